"""Detect updates of the policy that are unstable, too large, without effect, or based on outdated rollouts."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from shotsmith.diagnosis.evidence import Curve, Evidence
from shotsmith.diagnosis.finding import Finding
from shotsmith.diagnosis.signal import LOW_SPREAD
from shotsmith.recipe.grpo import BETA_BOUNDS

SPIKE = 10.0
"""Mean gradient norm of an unstable epoch, as a multiple of the median of its phase."""
MIN_EPOCHS = 4
"""The fewest epochs for a median gradient norm."""

EQUAL_KL = 1e-4
"""Nats: the KL between equal policies stays below it in 32-bit arithmetic."""
LEVEL = 0.5
"""A KL curve is level if its range over the epochs is at most this share of its mean."""
MAX_KL = 5.0
"""Nats above which the policy has left its reference: the reference gives its choices a probability below 1 %."""
JUMP = 20.0
"""KL of an epoch with a sudden explosion, as a multiple of the median over epochs."""
MIN_JUMP_KL = 1.0
"""Nats that the KL of a sudden explosion also exceeds."""

AT_BOUND = 0.5
"""Share of the epochs at a bound from which on beta counts as stuck there."""
BOUND_TOLERANCE = 1.01
"""Factor within which beta counts as equal to a bound; logs hold rounded values."""
FIXED_BETA = {"grpo.kl.controller": "fixed", "grpo.beta": 0.01}

CLIPPED = 0.3
"""Share of clipped ratios, averaged over epochs, from which on much of each batch has no gradient."""
MIN_ESS = 0.5
"""Effective sample size, as a share of the rollouts, below which few rollouts determine an update."""
MAX_RATIO = 10.0
"""Largest ratio, averaged over the updates of an epoch, above which it is far outside any common clip range."""
ROUNDING = 1e-4
"""Distance of a ratio from 1 that rounding alone explains."""
MAX_REUSED = 3
"""Epochs on the same recorded rollouts after which these no longer describe the policy."""
ON_POLICY = {"grpo.sampling.source": "on_policy"}

ZERO_LOSS = 0.01
"""A PPO loss of at most this size is 0 up to rounding, weights and ratios 1 % away from 1 (advantages of spread 1)."""


def skipped_updates(evidence: Evidence) -> Iterator[Finding]:
    """Updates were skipped because their loss or gradient was not finite."""
    for phase in evidence.phases:
        rows = [row for row in evidence.epochs if row["phase"] == phase and row.get("skipped_updates")]
        if rows:
            skipped = sum(row["skipped_updates"] for row in rows)
            values = {"phase": phase, "skipped": int(skipped), "epoch": min(row["epoch"] for row in rows)}
            yield Finding("skipped_updates", "fault", values, _halve_rate(evidence, phase))


def figures_not_finite(evidence: Evidence) -> Finding | None:
    """A training log holds NaN or infinity."""
    rows = [row for row in evidence.epochs if row.get("not_finite")]
    if not rows:
        return None
    values = {"count": sum(row["not_finite"] for row in rows), "epoch": min(row["epoch"] for row in rows)}
    return Finding("figures_not_finite", "fault", values, _halve_rate(evidence, "grpo"))


def gradient_spikes(evidence: Evidence) -> Iterator[Finding]:
    """The mean gradient norm of an epoch is many times the median of its phase; the worst epoch of each phase."""
    for phase in evidence.phases:
        worst = None
        for seed in evidence.seeds:
            norms = evidence.curve("grad_norm", phase, seed)
            if len(norms) < MIN_EPOCHS:
                continue
            usual, (epoch, highest) = median(norms.values), norms.highest
            if highest > SPIKE * usual and (worst is None or highest > worst["norm"]):
                worst = {"seed": seed, "epoch": epoch, "norm": highest, "median": usual}
        if worst:
            yield Finding("gradient_spikes", "warning", {"phase": phase, **worst}, _halve_rate(evidence, phase))


def kl_before_update(evidence: Evidence) -> Iterator[Finding]:
    """KL is above 0 before the first update: from dropout, another reference, or an unknown cause."""
    kl = evidence.curve("kl_before_first_update")
    if not kl or kl.mean <= EQUAL_KL:
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
    """KL is as high in the first epoch as in all others, while hardly any group carries signal."""
    kl, spread = evidence.curve("kl"), evidence.curve("adv_std")
    if evidence.curve("kl_before_first_update") or not spread or spread.mean >= LOW_SPREAD:
        return None
    if len(kl) < 3 or kl.lowest[1] <= EQUAL_KL or kl.highest[1] - kl.lowest[1] > LEVEL * kl.mean:
        return None
    values = {"first": kl.values[0], "last": kl.values[-1], "lowest": kl.lowest[1], "highest": kl.highest[1]}
    return Finding("kl_is_noise", "warning", values, {"grpo.dropout": False})


def kl_exploded(evidence: Evidence) -> Finding | None:
    """KL is far above what useful updates need, or jumps far above its other epochs."""
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


def beta_at_bound(evidence: Evidence) -> Finding | None:
    """The controller keeps beta at its floor (KL costs nothing) or at its ceiling (KL outweighs the rewards)."""
    beta = evidence.curve("beta")
    if not beta or evidence.setting("grpo.kl.controller") == "fixed":
        return None
    for key, bound in zip(("beta_at_floor", "beta_at_ceiling"), BETA_BOUNDS, strict=True):
        at = [value for value in beta.values if bound / BOUND_TOLERANCE <= value <= bound * BOUND_TOLERANCE]
        if len(at) >= AT_BOUND * len(beta):
            values = {
                "beta": at[-1],
                "bound": bound,
                "at": len(at),
                "share": 100 * len(at) / len(beta),
                "epochs": len(beta),
            }
            return Finding(key, "warning", values, FIXED_BETA)
    return None


def clip_binds(evidence: Evidence) -> Finding | None:
    """A large share of the ratios of current to old policy lies outside the clip range."""
    clipped = evidence.curve("clip_ratio/region_mean")
    if not clipped or clipped.mean < CLIPPED:
        return None
    values = {"share": 100 * clipped.mean, "highest": 100 * clipped.highest[1], "epoch": clipped.highest[0]}
    return Finding("clip_binds", "warning", values, _smaller_updates(evidence))


def ratio_extreme(evidence: Evidence) -> Finding | None:
    """The ratios of current to old policy are so uneven that few rollouts determine the update."""
    largest, size = evidence.curve("ratio_max"), evidence.curve("ess")
    if not largest or not size or (largest.highest[1] <= MAX_RATIO and size.lowest[1] >= MIN_ESS):
        return None
    values = {"ratio": largest.highest[1], "epoch": largest.highest[0], "ess": 100 * size.lowest[1]}
    return Finding("ratio_extreme", "warning", values, _smaller_updates(evidence))


def policy_unmoved(evidence: Evidence) -> Finding | None:
    """Every batch has several updates, and the policy is unchanged after the first of them."""
    largest, iterations = evidence.curve("ratio_max"), evidence.number("grpo.num_iterations")
    if not largest or not iterations or iterations < 2 or abs(largest.highest[1] - 1) > ROUNDING:
        return None
    rate = evidence.number("grpo.learning_rate")
    settings = {} if rate is None else {"grpo.learning_rate": 10 * rate}
    return Finding("policy_unmoved", "fault", {"ratio": largest.highest[1], "iterations": int(iterations)}, settings)


def behaviour_ess_low(evidence: Evidence) -> Finding | None:
    """The policy has moved so far from the policy that sampled the rollouts that few of these count."""
    size = evidence.curve("behaviour_ess")
    if not size or size.lowest[1] >= MIN_ESS:
        return None
    epoch, lowest = size.lowest
    values = {"ess": 100 * lowest, "epoch": epoch, "first": 100 * size.values[0], "last": 100 * size.values[-1]}
    recorded = evidence.setting("grpo.sampling.source") == "recorded"
    settings = ON_POLICY if recorded else {"grpo.sampling.temperature": 1.0}
    return Finding("behaviour_ess_low", "warning", values, settings)


def never_on_policy(evidence: Evidence) -> Finding | None:
    """Every epoch of GRPO trained on the same recorded rollouts."""
    epochs = max((row["epoch"] for row in evidence.epochs if row["phase"] == "grpo"), default=0)
    if evidence.setting("grpo.sampling.source") != "recorded" or epochs <= MAX_REUSED:
        return None
    return Finding("never_on_policy", "warning", {"epochs": epochs}, ON_POLICY)


def ppo_loss_sign(evidence: Evidence) -> Finding | None:
    """The PPO loss takes both signs and stays close to 0, so that its sign carries no information."""
    loss = evidence.curve("ppo_loss")
    positive = sum(value > 0 for value in loss.values)
    negative = sum(value < 0 for value in loss.values)
    if not positive or not negative or max(map(abs, loss.values)) > ZERO_LOSS:
        return None
    values = {"positive": positive, "negative": negative, "lowest": loss.lowest[1], "highest": loss.highest[1]}
    return Finding("ppo_loss_sign", "note", values)


def _has_exploded(curve: Curve) -> bool:
    highest = curve.highest[1]
    return highest > MAX_KL or (highest > MIN_JUMP_KL and highest > JUMP * median(curve.values))


def _halve_rate(evidence: Evidence, phase: str) -> dict[str, object]:
    """Return half the learning rate of a phase; empty where the rate is unknown."""
    rate = evidence.number(f"{phase}.learning_rate")
    return {} if rate is None else {f"{phase}.learning_rate": rate / 2}


def _smaller_updates(evidence: Evidence) -> dict[str, object]:
    """Return half the updates per batch and half the learning rate of GRPO, as far as they are known."""
    iterations = evidence.number("grpo.num_iterations")
    fewer: dict[str, object] = {"grpo.num_iterations": int(iterations) // 2} if iterations and iterations > 1 else {}
    return fewer | _halve_rate(evidence, "grpo")
