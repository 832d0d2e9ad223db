"""Validation that turns for the worse, and epochs that brought nothing."""

from __future__ import annotations

from collections.abc import Iterator

from shotsmith.diagnosis.evidence import Curve, Evidence
from shotsmith.diagnosis.finding import Finding, Value
from shotsmith.diagnosis.signal import FEW, carrying_share
from shotsmith.diagnosis.trend import Slope, slope

VISIBLE = 0.005
"""Share of the best value by which the fitted line must get worse after it: less is no finding."""
MANY = 10
"""Epochs from which on a best epoch can be called early."""
EARLY = 0.1
"""Share of the epochs that are the early ones (at least two of them)."""


def val_loss_turned(evidence: Evidence) -> Iterator[Finding]:
    """Validation loss rises after its lowest point, and validation reward (where it is known) does not gain by it."""
    for phase in evidence.phases:
        loss, reward = evidence.curve("val_loss", phase), evidence.curve("val_reward", phase)
        if not loss or _gains(reward, loss.lowest[0]):
            continue
        epoch, lowest = loss.lowest
        line = slope(loss.after(epoch))
        if line is not None and line.low > 0 and _worsens(line, loss, epoch, lowest):
            yield _turned("val_loss_turned", evidence, phase, loss, (epoch, lowest), line)


def val_reward_turned(evidence: Evidence) -> Iterator[Finding]:
    """Validation reward falls after its highest point."""
    for phase in evidence.phases:
        reward = evidence.curve("val_reward", phase)
        if not reward:
            continue
        epoch, highest = reward.highest
        line = slope(reward.after(epoch))
        if line is not None and line.high < 0 and _worsens(line, reward, epoch, highest):
            yield _turned("val_reward_turned", evidence, phase, reward, (epoch, highest), line)


def best_epoch_early(evidence: Evidence) -> Iterator[Finding]:
    """The best of many epochs is one of the first."""
    for phase in evidence.phases:
        reward, loss = evidence.curve("val_reward", phase), evidence.curve("val_loss", phase)
        curve, column = (reward, "val_reward") if reward else (loss, "val_loss")
        if not curve:
            continue
        best, last = (curve.highest if reward else curve.lowest)[0], curve.epochs[-1]
        if last >= MANY and best <= max(2, EARLY * last):
            values: dict[str, Value] = {
                "phase": phase,
                "column": column,
                "epoch": best,
                "epochs": last,
                "after": last - best,
            }
            yield Finding("best_epoch_early", "warning", values, {f"{phase}.patience": 3})


def _gains(reward: Curve, epoch: int) -> bool:
    """Whether the reward after an epoch is on average no lower than at it."""
    at, later = reward.at(epoch), reward.after(epoch)
    return at is not None and bool(later) and later.mean >= at


def _worsens(line: Slope, curve: Curve, epoch: int, best: float) -> bool:
    return abs(line.slope) * (curve.epochs[-1] - epoch) > VISIBLE * abs(best)


def _turned(key: str, evidence: Evidence, phase: str, curve: Curve, best: tuple[int, float], line: Slope) -> Finding:
    values: dict[str, Value] = {
        "phase": phase,
        "epoch": best[0],
        "best": best[1],
        "last": curve.values[-1],
        "epochs": curve.epochs[-1],
    }
    values |= {"slope": line.slope, "low": line.low, "high": line.high}
    return Finding(key, "warning", values, {f"{phase}.patience": 3} | _smaller_steps(evidence, phase))


def _smaller_steps(evidence: Evidence, phase: str) -> dict[str, object]:
    """Half the learning rate, unless it is the signal that is missing."""
    rate, carrying = evidence.number(f"{phase}.learning_rate"), carrying_share(evidence)
    if rate is None or (phase == "grpo" and carrying is not None and carrying < FEW):
        return {}
    return {f"{phase}.learning_rate": rate / 2}
