"""Detect overfitting to training queries, a doubtful choice of the best epoch, and repeated test evaluations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from statistics import fmean

from shotsmith.diagnosis.evidence import Curve, Evidence, Slope
from shotsmith.diagnosis.finding import Finding, Value
from shotsmith.diagnosis.signal import LOW_SPREAD, signal_share

MIN_DECLINE = 0.005
"""Share of the best value by which the fitted line must decline after it to be a finding."""
MANY_EPOCHS = 10
"""The fewest epochs of a phase for its best epoch to be called early."""
EARLY = 0.1
"""Share of the epochs that count as early (at least two epochs)."""
MIN_LOSS_OF_REWARD = 0.02
"""Share of the best validation reward that a choice by validation loss must lose to be a finding."""
NOISE = 2.0
"""The lost reward must also exceed this multiple of the noise between epochs: the highest of many noisy values lies
above the others by chance."""


def val_loss_turned(evidence: Evidence) -> Iterator[Finding]:
    """Validation loss rises after its lowest epoch, without a gain in validation reward (where that is known)."""
    for phase in evidence.phases:
        loss, reward = evidence.curve("val_loss", phase), evidence.curve("val_reward", phase)
        if not loss or _reward_holds(reward, loss.lowest[0]):
            continue
        epoch, lowest = loss.lowest
        slope = loss.after(epoch).slope()
        if slope is not None and slope.low > 0 and _is_visible(slope, loss, epoch, lowest):
            yield _turned("val_loss_turned", evidence, phase, loss, (epoch, lowest), slope)


def val_reward_turned(evidence: Evidence) -> Iterator[Finding]:
    """Validation reward falls after its highest epoch."""
    for phase in evidence.phases:
        reward = evidence.curve("val_reward", phase)
        if not reward:
            continue
        epoch, highest = reward.highest
        slope = reward.after(epoch).slope()
        if slope is not None and slope.high < 0 and _is_visible(slope, reward, epoch, highest):
            yield _turned("val_reward_turned", evidence, phase, reward, (epoch, highest), slope)


def best_epoch_early(evidence: Evidence) -> Iterator[Finding]:
    """The best of many epochs is one of the first."""
    for phase in evidence.phases:
        reward, loss = evidence.curve("val_reward", phase), evidence.curve("val_loss", phase)
        curve, column = (reward, "val_reward") if reward else (loss, "val_loss")
        if not curve:
            continue
        best, last = (curve.highest if reward else curve.lowest)[0], curve.epochs[-1]
        if last >= MANY_EPOCHS and best <= max(2, EARLY * last):
            values: dict[str, Value] = {
                "phase": phase,
                "column": column,
                "epoch": best,
                "epochs": last,
                "after": last - best,
            }
            yield Finding("best_epoch_early", "warning", values, {f"{phase}.patience": 3})


def criteria_disagree(evidence: Evidence) -> Iterator[Finding]:
    """The epoch with the lowest validation loss has clearly less validation reward than the best (means over seeds).

    Yields a warning for each phase whose epoch was chosen by the loss. Without such a phase, yields a note for the
    phase in which a choice by the loss would lose most.
    """
    notes: list[tuple[float, Finding]] = []
    for phase in evidence.phases:
        values = _reward_lost_by_loss(evidence, phase)
        if values is None:
            continue
        if evidence.setting(f"{phase}.best_by") == "val_loss":
            yield Finding("criteria_disagree", "warning", values, {f"{phase}.best_by": "val_reward"})
        else:
            notes.append((float(values["share"]), Finding("criteria_disagree", "note", values)))
    if notes:
        yield max(notes, key=lambda pair: pair[0])[1]


def evaluated_again(evidence: Evidence) -> Finding | None:
    """The test queries were evaluated more than once; any change made in between biases their accuracies upwards."""
    if evidence.evaluations < 2:
        return None
    return Finding("test_evaluated_again", "warning", {"times": evidence.evaluations})


def _reward_holds(reward: Curve, epoch: int) -> bool:
    """Whether the mean reward after an epoch is at least the reward at this epoch."""
    at, later = reward.at(epoch), reward.after(epoch)
    return at is not None and bool(later) and later.mean >= at


def _is_visible(slope: Slope, curve: Curve, epoch: int, best: float) -> bool:
    return abs(slope.per_epoch) * (curve.epochs[-1] - epoch) > MIN_DECLINE * abs(best)


def _turned(key: str, evidence: Evidence, phase: str, curve: Curve, best: tuple[int, float], slope: Slope) -> Finding:
    values: dict[str, Value] = {
        "phase": phase,
        "epoch": best[0],
        "best": best[1],
        "last": curve.values[-1],
        "epochs": curve.epochs[-1],
    }
    values |= {"slope": slope.per_epoch, "low": slope.low, "high": slope.high}
    return Finding(key, "warning", values, {f"{phase}.patience": 3} | _halve_rate(evidence, phase))


def _halve_rate(evidence: Evidence, phase: str) -> dict[str, object]:
    """Return half the learning rate; empty where it is unknown or the groups lack signal, which no rate can mend."""
    rate, carrying = evidence.number(f"{phase}.learning_rate"), signal_share(evidence)
    if rate is None or (phase == "grpo" and carrying is not None and carrying < LOW_SPREAD):
        return {}
    return {f"{phase}.learning_rate": rate / 2}


def _reward_lost_by_loss(evidence: Evidence, phase: str) -> dict[str, Value] | None:
    """Return the values of a clear loss of reward at the epoch of the lowest validation loss; else None."""
    loss, reward = evidence.curve("val_loss", phase), evidence.curve("val_reward", phase)
    if not loss or not reward:
        return None
    by_loss, (by_reward, best) = loss.lowest[0], reward.highest
    there = reward.at(by_loss)
    if there is None or best - there <= max(MIN_LOSS_OF_REWARD * abs(best), NOISE * _noise(reward)):
        return None
    values: dict[str, Value] = {"phase": phase, "by_loss": by_loss, "by_reward": by_reward, "best": best}
    return values | {"there": there, "lost": best - there, "share": 100 * (best - there) / abs(best)}


def _noise(curve: Curve) -> float:
    """Estimate the standard deviation of a single epoch.

    The estimate uses differences of neighbouring epochs, which a slow trend hardly affects.
    """
    squares = [(after - before) ** 2 for before, after in pairwise(curve.values)]
    return math.sqrt(fmean(squares) / 2) if squares else 0.0
