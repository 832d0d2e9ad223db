"""What shortlists leave out, measured where a policy chooses greedily."""

from __future__ import annotations

import torch

from shotsmith.policies.bank_walk import BankWalk
from shotsmith.policies.entries import Found, Whole
from shotsmith.policies.pointer import PointerPolicy
from shotsmith.policies.protocol import STOP, BankInputs, Policy


@torch.no_grad()
def measure_shortlists(policy: Policy, inputs: BankInputs, shots: int) -> dict[str, float]:
    """How much of the bank's probability the shortlists of some queries miss, mean over queries and greedy steps.

    'shortlist/outside_mass': 1 minus the sum, over the shortlist, of the softmax over the whole bank, gains and STOP
    not counted. 'shortlist/recall': the share of the M entries with the highest scores that an approximate index has
    put on the shortlist; absent where search is exact. Both need the scores of all entries: measure few queries on a
    large bank. Empty for policies whose shortlists do not follow their scores: those that encode candidates side by
    side, and scorers that are no inner product.
    """
    walk = policy.walk(inputs) if isinstance(policy, PointerPolicy) else None
    if not isinstance(policy, PointerPolicy) or not isinstance(walk, BankWalk) or not len(inputs.queries):
        return {}
    state = walk.start()
    if policy.scorer.vectors(policy.asked(state)) is None:
        return {}
    whole = BankWalk(policy, inputs, walk.query, Whole(policy, inputs))
    outside, recall, counted = 0.0, 0.0, 0
    going = torch.ones(len(inputs.queries), 1, dtype=torch.bool, device=inputs.queries.device)
    for step in range(shots):
        scores = whole.scores(state)
        inside = state["scores"].logsumexp(-1) - scores.logsumexp(-1)
        outside += float((1 - inside.exp()).clamp(min=0)[going].sum())
        recall += float(_recall(state["shortlist"], scores)[going].sum())
        counted += int(going.sum())
        choice = walk.log_probs(state).argmax(-1)
        choice = torch.where(choice == walk.columns, STOP, choice)
        going = going & (choice >= 0) & (scores.isfinite().sum(-1) > 1)
        if step + 1 == shots or not going.any():
            break
        state = walk.advance(state, choice)
    figures = {"shortlist/outside_mass": outside / counted}
    return figures | ({"shortlist/recall": recall / counted} if isinstance(walk.entries, Found) else {})


def _recall(shortlist: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """The share [B, 1] of the highest `scores` [B, 1, N] that are on the shortlist [B, 1, M]; ties count as found."""
    best = scores.topk(shortlist.shape[-1], dim=-1).values
    lowest = best.masked_fill(best == -torch.inf, torch.inf).amin(-1, keepdim=True)
    found = scores.gather(-1, shortlist.clamp(min=0)).masked_fill(shortlist < 0, -torch.inf)
    return (found >= lowest - 1e-4).sum(-1) / best.isfinite().sum(-1)
