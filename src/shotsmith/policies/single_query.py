"""Greedy selection for one query with few operations: what `PointerPolicy.greedy` chooses, sooner.

Each step needs the highest score only, no shortlist and no probabilities; where a bank has rounded keys, few entries
are scored exactly (policies.rounded_keys). This holds for policies without gains and
without STOP whose scores are inner products; others go through `greedy`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from shotsmith.errors import InputError
from shotsmith.policies.bank import DECIMALS
from shotsmith.policies.bank_walk import BankWalk
from shotsmith.policies.decoding import TIE
from shotsmith.policies.entries import Entries, Whole
from shotsmith.policies.parts import State
from shotsmith.policies.pointer import PointerPolicy
from shotsmith.policies.protocol import BankInputs
from shotsmith.policies.rounded_keys import Places, RoundedKeys, Scores


def choose(policy: PointerPolicy, inputs: BankInputs, shots: int) -> list[int]:
    """The rows of the bank chosen for the one query of `inputs`, in the order of choice.

    Raises InputError where the bank has fewer than `shots` entries for a policy that cannot stop.
    """
    keys = _prepare(policy, inputs)
    with torch.inference_mode():
        return _chosen(policy, inputs, shots, keys, None)


def choose_with_log_probs(policy: PointerPolicy, inputs: BankInputs, shots: int) -> tuple[list[int], list[float]]:
    """As `choose`, and the log-probability of each choice among the shortlist of its step (Policy.locate)."""
    log_probs: list[float] = []
    keys = _prepare(policy, inputs)
    with torch.inference_mode():
        rows = _chosen(policy, inputs, shots, keys, log_probs)
    if len(log_probs) < len(rows):
        shown = torch.tensor([[rows]], dtype=torch.int64, device=inputs.queries.device)
        log_probs = policy.locate(inputs, shown).log_probs[0, 0].tolist()
    return rows, log_probs


@torch.no_grad()
def _prepare(policy: PointerPolicy, inputs: BankInputs) -> RoundedKeys | None:
    """Have keys and index made outside inference mode: training needs what the bank keeps, too.

    Returns the rounded keys where the whole bank is scored by the few operations of this module.
    """
    if inputs.bank.search(policy) is not None:
        return None
    keys = inputs.bank.candidates(policy).keys
    if policy.gain_parts or policy.can_stop or policy.scorer.vectors(keys[:1]) is None:
        return None
    return inputs.bank.rounded(policy)


def _chosen(
    policy: PointerPolicy, inputs: BankInputs, shots: int, keys: RoundedKeys | None, log_probs: list[float] | None
) -> list[int]:
    """The rows; where the whole bank is scored, `log_probs` is filled with those of the choices."""
    walk = None if policy.gain_parts or policy.can_stop else policy.walk(inputs)
    if not isinstance(walk, BankWalk) or policy.scorer.vectors(walk.query) is None:
        return [row for row in policy.greedy(inputs, shots)[0].tolist() if row >= 0]
    excluded = inputs.bank.excluded(inputs.barred)[0]
    excluded = excluded[excluded >= 0]
    excluded = excluded.unique() if len(excluded) else excluded
    left = len(inputs.bank) - len(excluded)
    if shots > left:
        raise InputError(f"{shots} shots cannot be taken from a bank of {left}")
    entries, chosen, temperature = walk.entries, list[int](), float(policy.temperature)
    whole = isinstance(entries, Whole)
    # Where keys hold the whole cosine, similarity adds no more than what rounding the cosine changes.
    rounding = whole and policy.similar and policy.left_out(inputs.queries) is None
    step_number = torch.zeros(1, 1, dtype=torch.int64, device=excluded.device)
    state: State = {**policy.begin(walk.query), "step": step_number}
    alone = excluded
    for step in range(shots):
        vectors = policy.scorer.vectors(policy.asked(state))
        assert vectors is not None
        entries.look(vectors, None, best=True)
        if not (whole and step):
            barred = torch.cat([excluded, excluded.new_tensor(chosen)]) if chosen else excluded
            alone = _alone(entries, barred, similarity=not rounding)
        number = 1 if log_probs is None else min(policy.shortlist, left - step)
        slack = TIE * temperature + (2 * 10.0**-DECIMALS if rounding else 0.0)
        places, scores = _highest(keys, entries, vectors[0, 0], alone, number, slack)
        near = np.flatnonzero(scores >= scores.max() - np.float32(slack))
        if rounding and len(near) > 1:
            near = near[_best_exactly(policy, inputs, entries, places[near], scores[near])]
        place = int(places[near[0]])
        if whole and log_probs is not None:
            among = np.partition(scores, -number)[-number:] / temperature
            log_probs.append(float(scores[near[0]] / temperature - np.logaddexp.reduce(among)))
        chosen.append(place if whole else int(entries.rows(torch.tensor(place, device=alone.device))))
        alone[place] = -torch.inf
        if step + 1 < shots:
            after = policy.follow(state, entries.candidates.encoded[place].view(1, 1, -1))
            state = {**after, "step": state["step"] + 1}
    return chosen


def _alone(entries: Entries, excluded: torch.Tensor, *, similarity: bool) -> torch.Tensor:
    """What the entries score whatever was chosen [U], with or without similarity; -inf for rows excluded [X]."""
    alone = entries.candidates.keys.new_zeros(len(entries.candidates.keys))
    if similarity and entries.similarity is not None:
        alone += entries.similarity[0]
    if entries.candidates.prior is not None:
        alone += entries.candidates.prior
    if len(excluded):
        places = entries.places(excluded)
        alone[places[places >= 0]] = -torch.inf
    return alone


def _highest(
    keys: RoundedKeys | None, entries: Entries, vector: torch.Tensor, alone: torch.Tensor, number: int, slack: float
) -> tuple[Places, Scores]:
    """Places [X], ascending, and their scores [X]: all of them, or with rounded keys those that can matter.

    These are the `number` highest and what is within `slack` of the highest.
    """
    if keys is not None:
        return keys.highest(vector, alone, number, slack)
    scores = torch.addmv(alone, entries.candidates.keys, vector).cpu().numpy()
    return np.arange(len(scores)), scores


def _best_exactly(
    policy: PointerPolicy, inputs: BankInputs, entries: Entries, places: Places, scores: Scores
) -> npt.NDArray[np.bool_]:
    """Which of `places` [X] are best once what rounding their cosines adds is counted: bool [X]."""
    embeddings = entries.candidates.embeddings[torch.from_numpy(places).to(inputs.queries.device)]
    exact = scores + policy.unlearned(inputs.queries, embeddings)[0].cpu().numpy()
    best: npt.NDArray[np.bool_] = exact >= exact.max() - TIE * float(policy.temperature)
    return best
