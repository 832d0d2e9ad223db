"""Which queries GRPO trains on while it begins: judged by their recorded rollouts, and always whole groups."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from shotsmith.errors import InputError
from shotsmith.recipe import CurriculumSettings
from shotsmith.training.groups import Groups


def difficulty(groups: Groups, queries: int, settings: CurriculumSettings, highest_reward: float) -> torch.Tensor:
    """[queries] float64, what `settings.measure` says of each query: the higher the sooner it takes part.

    Judged by the valid rollouts of its recorded groups, however many; NaN where there are none.
    """
    number, step = groups.valid.nonzero(as_tuple=True)
    rows, rewards = groups.rows[number], groups.values[number, step].double()
    return MEASURES[settings.measure](rows, rewards, queries, highest_reward)


def eligible(epoch: int, settings: CurriculumSettings, measured: torch.Tensor) -> torch.Tensor:
    """[queries] bool: those that take part in `epoch` (from 1), by their difficulty `measured` [queries].

    Those measured highest, of equal ones the earlier; at least one. Queries without recorded rollouts take part from
    the time all do. Raises InputError where a curriculum finds no recorded rollouts at all.
    """
    share = SHARES[settings.kind](epoch, settings)
    if share >= 1:
        return torch.ones(len(measured), dtype=torch.bool)
    known = int((~measured.isnan()).sum())
    if not known:
        raise InputError("a curriculum needs recorded rollouts of the training queries")
    number = max(1, round(share * known))
    highest_first = measured.nan_to_num(nan=-math.inf).argsort(descending=True, stable=True)
    return torch.zeros(len(measured), dtype=torch.bool).index_fill(0, highest_first[:number], True)


def _solved(rows: torch.Tensor, rewards: torch.Tensor, queries: int, highest_reward: float) -> torch.Tensor:
    """Share of the rollouts whose reward is at least half the highest there is."""
    return _reduced(rows, (rewards >= highest_reward / 2).double(), queries, "mean")


def _contrast(rows: torch.Tensor, rewards: torch.Tensor, queries: int, _highest_reward: float) -> torch.Tensor:
    """Highest minus lowest reward."""
    return _reduced(rows, rewards, queries, "amax") - _reduced(rows, rewards, queries, "amin")


def _reduced(rows: torch.Tensor, values: torch.Tensor, queries: int, reduction: str) -> torch.Tensor:
    unknown = torch.full((queries,), math.nan, dtype=torch.float64)
    return unknown.scatter_reduce(0, rows, values, reduction, include_self=False)


MEASURES: dict[str, Callable[[torch.Tensor, torch.Tensor, int, float], torch.Tensor]] = {
    "solved": _solved,
    "contrast": _contrast,
}
"""(row of each rollout, its reward, queries, highest reward there is) -> [queries], NaN where there is no rollout."""

SHARES: dict[str, Callable[[int, CurriculumSettings], float]] = {
    "none": lambda _epoch, _settings: 1.0,
    "staged": lambda epoch, settings: settings.share if epoch <= settings.epochs else 1.0,
    "continuous": lambda epoch, settings: settings.share + (1 - settings.share) * (epoch - 1) / settings.epochs,
}
"""(epoch from 1, settings) -> share of the queries that take part; all from 1 on."""
