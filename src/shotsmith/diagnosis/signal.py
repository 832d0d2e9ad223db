"""Detect groups without a learning signal, and a policy that no longer explores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding, Value

MAX_WITHOUT_SIGNAL = 0.5
"""Share of groups without signal from which on it is a finding: half of all completions then teach nothing."""
LOW_SPREAD = 0.1
"""Mean spread of the advantages below which hardly any group carries signal (a group with signal has spread 1)."""
COLLAPSED = 0.1
"""Share of the entropy of the first epoch below which a policy samples nearly the same sequence every time."""
FIRST_BONUS = 0.002
"""Entropy bonus to try where the recipe has none."""


def groups_without_signal(evidence: Evidence) -> Finding | None:
    """Most groups have no spread of rewards: truncated to their best, all good, all bad, or for an unknown reason."""
    carrying = signal_share(evidence)
    if carrying is None or carrying > 1 - MAX_WITHOUT_SIGNAL:
        return None
    zero: dict[str, Value] = {"zero": 100 * (1 - carrying)}
    kept, ties = evidence.setting("grpo.sampling.keep_top"), evidence.curve("frac_reward_zero_std")
    if isinstance(kept, Sequence) and kept and not (ties and ties.mean > MAX_WITHOUT_SIGNAL):
        values: dict[str, Value] = {**zero, "kept": ", ".join(map(str, kept))}
        return Finding("groups_truncated", "fault", values, {"grpo.sampling.keep_top": []})
    good, bad = evidence.curve("group/frac_all_good"), evidence.curve("group/frac_all_bad")
    if good and bad and max(good.mean, bad.mean) >= (1 - carrying) / 2:
        values = {**zero, "all_good": 100 * good.mean, "all_bad": 100 * bad.mean}
        if good.mean > bad.mean:
            return Finding("groups_saturated", "warning", values, _contrast_curriculum(evidence))
        return Finding("groups_failed", "warning", values, _denser_reward(evidence))
    generations = int(evidence.number("grpo.num_generations") or 8)
    return Finding("groups_without_signal", "warning", zero, {"grpo.num_generations": 2 * generations})


def advantages_averaged(evidence: Evidence) -> Finding | None:
    """The mean spread of z-scored advantages is small: few groups have spread 1, and most have exactly 0."""
    spread = evidence.curve("adv_std")
    if not _is_z_scored(evidence) or not spread or spread.mean >= LOW_SPREAD:
        return None
    signal = evidence.curve("group/frac_signal")
    lowest, highest = min(spread.values), max(spread.values)
    share = 100 * (signal.mean if signal else spread.mean)
    values: dict[str, Value] = {"adv_std": spread.mean, "lowest": lowest, "highest": highest, "share": share}
    return Finding("advantages_averaged", "fault", values, {"grpo.advantage.zero_variance": "resample"})


def entropy_collapsed(evidence: Evidence) -> Finding | None:
    """The entropy fell to a small share of its value in the first epoch of GRPO."""
    entropy = evidence.curve("entropy")
    if len(entropy) < 2:
        return None
    first, last = entropy.values[0], entropy.values[-1]
    if first <= 0 or last >= COLLAPSED * first:
        return None
    values = {"first": first, "last": last, "share": 100 * last / first}
    bonus = 5 * (evidence.number("grpo.entropy_coef") or 0.0) or FIRST_BONUS
    return Finding("entropy_collapsed", "warning", values, {"grpo.entropy_coef": bonus})


def signal_share(evidence: Evidence) -> float | None:
    """Return the share of sampled groups with signal, averaged over the epochs of GRPO; None where it is unknown."""
    shares = list(_signal_shares(evidence))
    if shares:
        return fmean(shares)
    spread = evidence.curve("adv_std")
    return min(1.0, spread.mean) if spread and _is_z_scored(evidence) else None


def _signal_shares(evidence: Evidence) -> Iterator[float]:
    """Yield the share of groups with signal for each epoch row.

    Groups that were sampled and left out of the update count as groups without signal, where the number of steps is
    known.
    """
    steps = evidence.number("grpo.steps_per_epoch")
    keeps = evidence.setting("grpo.advantage.zero_variance") == "keep"
    for row in evidence.epochs:
        if row["phase"] != "grpo":
            continue
        entered, sampled, signal = (row.get(f"group/{name}") for name in ("entered", "sampled", "frac_signal"))
        ties = row.get("frac_reward_zero_std")
        if steps and sampled and entered is not None and signal is not None:
            yield min(1.0, signal * entered * steps / sampled)
        elif keeps and signal is not None:
            yield signal
        elif ties is not None:
            yield 1 - ties


def _is_z_scored(evidence: Evidence) -> bool:
    """Whether a group with signal has spread 1. An unknown estimator is taken to be the group estimator."""
    return evidence.setting("grpo.advantage.estimator") in (None, "group")


def _contrast_curriculum(evidence: Evidence) -> dict[str, object]:
    """Return the settings of a curriculum by contrast; empty where the recipe has a curriculum."""
    has_curriculum = evidence.setting("grpo.curriculum.kind") not in (None, "none")
    return {} if has_curriculum else {"grpo.curriculum.kind": "staged"}


def _denser_reward(evidence: Evidence) -> dict[str, object]:
    """Return settings of a reward that ranks wrong answers, or more rollouts a group if it is in use."""
    if evidence.setting("reward.mode") in (None, "weighted_sum") and evidence.number("reward.answer_probability"):
        return {"grpo.num_generations": 2 * int(evidence.number("grpo.num_generations") or 8)}
    return {"reward.mode": "weighted_sum", "reward.answer_probability": 1.0}
