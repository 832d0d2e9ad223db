"""Validation loss and validation reward that would choose different epochs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from statistics import fmean

from shotsmith.diagnosis.evidence import Curve, Evidence
from shotsmith.diagnosis.finding import Finding, Value

COSTS = 0.02
"""Share of the best validation reward that the other choice must cost ..."""
NOISE = 2.0
"""... and how many times the jitter from epoch to epoch: the best of many noisy epochs is always some way above."""


def criteria_disagree(evidence: Evidence) -> Iterator[Finding]:
    """The epoch of the lowest loss earns clearly less reward than the best epoch (means over seeds).

    A warning for each phase whose epoch was chosen by the loss; else a note of the phase that would lose most.
    """
    would_lose: list[tuple[float, Finding]] = []
    for phase in evidence.phases:
        values = _lost(evidence, phase)
        if values is None:
            continue
        if evidence.setting(f"{phase}.best_by") == "val_loss":
            yield Finding("criteria_disagree", "warning", values, {f"{phase}.best_by": "val_reward"})
        else:
            would_lose.append((float(values["share"]), Finding("criteria_disagree", "note", values)))
    if would_lose:
        yield max(would_lose, key=lambda pair: pair[0])[1]


def _lost(evidence: Evidence, phase: str) -> dict[str, Value] | None:
    loss, reward = evidence.curve("val_loss", phase), evidence.curve("val_reward", phase)
    if not loss or not reward:
        return None
    by_loss, (by_reward, best) = loss.lowest[0], reward.highest
    there = reward.at(by_loss)
    if there is None or best - there <= max(COSTS * abs(best), NOISE * _jitter(reward)):
        return None
    values: dict[str, Value] = {"phase": phase, "by_loss": by_loss, "by_reward": by_reward, "best": best}
    return values | {"there": there, "lost": best - there, "share": 100 * (best - there) / abs(best)}


def _jitter(curve: Curve) -> float:
    """Deviation of a single epoch, from the differences of neighbours: a slow trend hardly enters it."""
    squares = [(after - before) ** 2 for before, after in pairwise(curve.values)]
    return math.sqrt(fmean(squares) / 2) if squares else 0.0
