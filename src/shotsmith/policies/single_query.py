"""Greedy selection for one query with few operations: what `PointerPolicy.greedy` chooses, sooner.

Each step needs the highest score only, no shortlist and no probabilities. This holds for policies without gains and
without STOP whose scores are inner products; others go through `greedy`.
"""

from __future__ import annotations

import torch

from shotsmith.errors import InputError
from shotsmith.policies.bank import DECIMALS
from shotsmith.policies.bank_walk import BankWalk
from shotsmith.policies.decoding import TIE
from shotsmith.policies.entries import Entries, Whole
from shotsmith.policies.parts import State
from shotsmith.policies.pointer import PointerPolicy
from shotsmith.policies.protocol import BankInputs


def choose(policy: PointerPolicy, inputs: BankInputs, shots: int) -> list[int]:
    """The rows of the bank chosen for the one query of `inputs`, in the order of choice.

    Raises InputError where the bank has fewer than `shots` entries for a policy that cannot stop.
    """
    with torch.no_grad():  # what the bank keeps of this may be needed with gradient later
        if inputs.bank.search(policy) is None:
            inputs.bank.candidates(policy)
    with torch.inference_mode():
        return _chosen(policy, inputs, shots)


def _chosen(policy: PointerPolicy, inputs: BankInputs, shots: int) -> list[int]:
    walk = None if policy.gain_parts or policy.can_stop else policy.walk(inputs)
    if not isinstance(walk, BankWalk) or policy.scorer.vectors(walk.query) is None:
        return [row for row in policy.greedy(inputs, shots)[0].tolist() if row >= 0]
    excluded = inputs.bank.excluded(inputs.barred)[0]
    excluded = excluded[excluded >= 0].unique()
    left = len(inputs.bank) - len(excluded)
    if shots > left:
        raise InputError(f"{shots} shots cannot be taken from a bank of {left}")
    entries, chosen = walk.entries, list[int]()
    whole = isinstance(entries, Whole)
    # Where keys hold the whole cosine, similarity adds no more than what rounding the cosine changes.
    rounding = whole and policy.similar and policy.left_out(inputs.queries) is None
    step_number = torch.zeros(1, 1, dtype=torch.int64, device=excluded.device)
    state: State = {**policy.begin(walk.query), "step": step_number}
    alone = excluded
    for step in range(shots):
        vectors = policy.scorer.vectors(policy.asked(state))
        assert vectors is not None
        entries.look(vectors, None)
        if not (whole and step):
            alone = _alone(entries, torch.cat([excluded, excluded.new_tensor(chosen)]), similarity=not rounding)
        scores = torch.addmm(alone, vectors[0], entries.candidates.keys.T)[0]
        place = _best(policy, inputs, entries, scores, rounding)
        chosen.append(int(entries.rows(torch.tensor(place, device=scores.device))))
        alone[0, place] = -torch.inf
        if step + 1 < shots:
            after = policy.follow(state, entries.candidates.encoded[place].view(1, 1, -1))
            state = {**after, "step": state["step"] + 1}
    return chosen


def _alone(entries: Entries, excluded: torch.Tensor, *, similarity: bool) -> torch.Tensor:
    """What the entries score whatever was chosen [1, U], with or without similarity; -inf for rows excluded [X]."""
    alone = entries.candidates.keys.new_zeros(1, len(entries.candidates.keys))
    for part in (entries.similarity if similarity else None, entries.candidates.prior):
        if part is not None:
            alone += part
    if len(excluded):
        places = entries.places(excluded)
        alone[0, places[places >= 0]] = -torch.inf
    return alone


def _best(policy: PointerPolicy, inputs: BankInputs, entries: Entries, scores: torch.Tensor, rounding: bool) -> int:
    """The lowest place with the highest of `scores` [U]; with `rounding`, what rounding the cosines adds counts too."""
    tie = TIE * policy.temperature
    slack = tie + 2 * 10.0**-DECIMALS if rounding else tie
    near = (scores >= scores.max() - slack).nonzero()[:, 0]
    if rounding and len(near) > 1:
        exact = scores[near] + policy.unlearned(inputs.queries, entries.candidates.embeddings[near])[0]
        near = near[exact >= exact.max() - tie]
    return int(near[0])
