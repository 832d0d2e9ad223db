"""KL from the reference: there before anything was learned, nothing but noise, or out of hand."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from shotsmith.diagnosis.evidence import Curve, Evidence
from shotsmith.diagnosis.finding import Finding
from shotsmith.diagnosis.signal import FEW

NONE = 1e-4
"""Nats: equal policies computed alike differ by less, in 32-bit arithmetic."""
LEVEL = 0.5
"""Share of its mean by which KL may vary over the epochs and still be level."""
FAR = 5.0
"""Nats above which the policy has left its reference behind: the choices it makes had a chance below 1 % there."""
JUMP = 20.0
"""Times the median of all epochs that an epoch of a sudden explosion reaches ..."""
JUMP_FROM = 1.0
"""... if it also reaches so many nats."""


def kl_before_update(evidence: Evidence) -> Iterator[Finding]:
    """KL above 0 although nothing has been learned: dropout, another reference, or a cause not known."""
    kl = evidence.curve("kl_before_first_update")
    if not kl or kl.mean <= NONE:
        return
    values = {"kl": kl.mean}
    dropout = evidence.setting("grpo.dropout") is True
    reference = evidence.setting("grpo.reference.policy") == "supervised" and "rce" in evidence.phases
    if dropout:
        yield Finding("kl_from_dropout", "fault", values, {"grpo.dropout": False})
    if reference:
        yield Finding("kl_from_reference", "note", values, {"grpo.reference.policy": "start"})
    if not dropout and not reference:
        yield Finding("kl_before_update", "warning", values, {"grpo.dropout": False, "grpo.reference.policy": "start"})


def kl_is_noise(evidence: Evidence) -> Finding | None:
    """KL as high in the first epoch as in all others, while next to no group carries signal."""
    kl, spread = evidence.curve("kl"), evidence.curve("adv_std")
    if evidence.curve("kl_before_first_update") or not spread or spread.mean >= FEW:
        return None
    if len(kl) < 3 or kl.lowest[1] <= NONE or kl.highest[1] - kl.lowest[1] > LEVEL * kl.mean:
        return None
    values = {"first": kl.values[0], "last": kl.values[-1], "lowest": kl.lowest[1], "highest": kl.highest[1]}
    return Finding("kl_is_noise", "warning", values, {"grpo.dropout": False})


def kl_exploded(evidence: Evidence) -> Finding | None:
    """KL far above what any useful step needs, or jumping far above its other epochs."""
    curves = [(seed, evidence.curve("kl", seed=seed)) for seed in evidence.seeds]
    exploded = [(seed, curve) for seed, curve in curves if curve and _has_exploded(curve)]
    if not exploded:
        return None
    seed, curve = max(exploded, key=lambda pair: pair[1].highest[1])
    epoch, highest = curve.highest
    values = {"kl": highest, "epoch": epoch, "seed": seed, "median": median(curve.values)}
    beta, rate = evidence.number("grpo.beta"), evidence.number("grpo.learning_rate")
    settings = {} if beta is None else {"grpo.beta": 5 * beta or 0.01}
    settings |= {} if rate is None else {"grpo.learning_rate": rate / 2}
    return Finding("kl_exploded", "fault", values, settings or {"grpo.beta": 0.05})


def _has_exploded(curve: Curve) -> bool:
    highest = curve.highest[1]
    return highest > FAR or (highest > JUMP_FROM and highest > JUMP * median(curve.values))
