"""Small policies away from their starting point, and something for them to choose from."""

from __future__ import annotations

import torch

from shotsmith.policies.bank import BankIndex
from shotsmith.policies.pointer import PointerPolicy, build_policy
from shotsmith.policies.protocol import STOP, BankInputs, Inputs
from shotsmith.recipe import PolicySettings

WIDTH = 6
SMALL = {"hidden_size": 8, "topics": 4, "dpp_rank": 3, "top_m": 4, "temperature": 0.5}
NETWORK = SMALL | {
    "start": "random",
    "layers": 1,
    "feed_forward": False,
    "memory": "gate",
    "scorer": "cosine",
    "dropout": 0.1,
}
"""A policy without cosines in its scores, near that of the predecessor."""


def policy_of(settings: PolicySettings, seed: int = 0) -> PointerPolicy:
    """Away from its starting point, where projections are the identity and some weights are zero."""
    policy = build_policy(settings, WIDTH, seed)
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=noise)
    return policy


def inputs_of(queries: int = 3, pool: int = 7, seed: int = 1) -> Inputs:
    """Some queries; the second has a pool that is two smaller."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(queries, pool, dtype=torch.bool)
    mask[1, -2:] = False
    return Inputs(_quarters(generator, queries, WIDTH), _quarters(generator, queries, pool, WIDTH), mask)


def bank_inputs_of(queries: int = 3, entries: int = 9, seed: int = 1) -> BankInputs:
    """Some queries and a bank; the first and the last two entries are barred from the second query."""
    generator = torch.Generator().manual_seed(seed)
    barred = torch.full((queries, 3), -1)
    barred[1:2] = torch.tensor([0, entries - 2, entries - 1])
    embeddings = _quarters(generator, queries, WIDTH), _quarters(generator, entries, WIDTH)
    return BankInputs(embeddings[0], BankIndex(embeddings[1]), barred)


def pools_of(inputs: BankInputs) -> Inputs:
    """The whole bank as the pool of every query, without what is barred."""
    queries, entries = len(inputs.queries), len(inputs.bank)
    barred = torch.where(inputs.barred < 0, entries, inputs.barred)
    mask = torch.ones(queries, entries + 1, dtype=torch.bool).scatter(1, barred, False)[:, :entries]
    return Inputs(inputs.queries, inputs.bank.embeddings.expand(queries, -1, -1), mask)


def _quarters(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Noise whose inner products are exact, so that rounding them does not depend on how they are computed."""
    return (4 * torch.randn(*shape, generator=generator)).round() / 4


def some_sequences(inputs: Inputs, shots: int = 3, num: int = 4, seed: int = 2, can_stop: bool = False) -> torch.Tensor:
    """Random ones of `shots` [B, G, T]; with `can_stop` the second stops after one, the third shows nothing."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(len(inputs.mask), num, inputs.mask.shape[1], generator=generator)
    sequences = scores.masked_fill(~inputs.mask[:, None], -1).topk(shots, dim=-1).indices
    if can_stop:
        for row, length in ((1, 1), (2, 0)):
            sequences[:, row, length] = STOP
            sequences[:, row, length + 1 :] = -1
    return sequences


def gradients(policy: PointerPolicy, value: torch.Tensor) -> list[torch.Tensor]:
    """With respect to every parameter."""
    parameters = list(policy.parameters())
    found = torch.autograd.grad(value, parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
