"""Whether groups carry anything to learn from, and if not, why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding, Value

MOST = 0.5
"""Share of groups without signal from which on it is a finding: half of all completions then teach nothing."""
FEW = 0.1
"""Mean spread of the advantages below which hardly any group carries signal (one that does has spread 1)."""
SAME = 0.1
"""Share by which two runs' spreads may differ and still be the same."""


def groups_without_signal(evidence: Evidence) -> Finding | None:
    """Most groups have no spread of rewards: cut to their best, all good, all bad, or for a reason not known."""
    carrying = carrying_share(evidence)
    if carrying is None or carrying > 1 - MOST:
        return None
    zero: dict[str, Value] = {"zero": 100 * (1 - carrying)}
    kept, ties = evidence.setting("grpo.sampling.keep_top"), evidence.curve("frac_reward_zero_std")
    if isinstance(kept, Sequence) and kept and not (ties and ties.mean > MOST):
        values: dict[str, Value] = {**zero, "kept": ", ".join(map(str, kept))}
        return Finding("groups_truncated", "fault", values, {"grpo.sampling.keep_top": []})
    good, bad = evidence.curve("group/frac_all_good"), evidence.curve("group/frac_all_bad")
    if good and bad and max(good.mean, bad.mean) >= (1 - carrying) / 2:
        values = {**zero, "all_good": 100 * good.mean, "all_bad": 100 * bad.mean}
        if good.mean > bad.mean:
            return Finding("groups_saturated", "warning", values, _contrast_first(evidence))
        return Finding("groups_failed", "warning", values, _denser_reward(evidence))
    generations = int(evidence.number("grpo.num_generations") or 8)
    return Finding("groups_without_signal", "warning", zero, {"grpo.num_generations": 2 * generations})


def advantages_averaged(evidence: Evidence) -> Finding | None:
    """A small mean spread of z-scored advantages: a few groups with spread 1, most with exactly 0."""
    spread = evidence.curve("adv_std")
    if not _is_z_scored(evidence) or not spread or spread.mean >= FEW:
        return None
    signal = evidence.curve("group/frac_signal")
    lowest, highest = min(spread.values), max(spread.values)
    share = 100 * (signal.mean if signal else spread.mean)
    values: dict[str, Value] = {"adv_std": spread.mean, "lowest": lowest, "highest": highest, "share": share}
    return Finding("advantages_averaged", "fault", values, {"grpo.advantage.zero_variance": "resample"})


def signal_unmoved(evidence: Evidence) -> Finding | None:
    """Two runs with the same, small spread of advantages; where they are known, their learning rates differ."""
    other = evidence.against
    if other is None:
        return None
    spreads = evidence.curve("adv_std"), other.curve("adv_std")
    if not all(spreads) or max(spread.mean for spread in spreads) >= FEW:
        return None
    here, there = (spread.mean for spread in spreads)
    if abs(here - there) > SAME * max(here, there):
        return None
    rates = [run.number("grpo.learning_rate") for run in (evidence, other)]
    values: dict[str, Value] = {"adv_std": here, "other_adv_std": there, "other": other.name}
    if rates[0] is None or rates[1] is None:
        return Finding("signal_unmoved", "fault", values)
    if rates[0] == rates[1]:
        return None
    return Finding("signal_unmoved_by_rate", "fault", values | {"rate": rates[0], "other_rate": rates[1]})


def carrying_share(evidence: Evidence) -> float | None:
    """Share of the sampled groups that carried signal, mean over the epochs of GRPO; None where it is not known."""
    shares = list(_carrying(evidence))
    if shares:
        return fmean(shares)
    spread = evidence.curve("adv_std")
    return min(1.0, spread.mean) if spread and _is_z_scored(evidence) else None


def _carrying(evidence: Evidence) -> Iterator[float]:
    """Of each epoch. Groups that were left out are counted too, where the number of steps is known."""
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
    """Whether a group with signal has spread 1; the estimator of a recipe that is not known is taken to be ours."""
    return evidence.setting("grpo.advantage.estimator") in (None, "group")


def _contrast_first(evidence: Evidence) -> dict[str, object]:
    """A curriculum, where there is none yet."""
    there = evidence.setting("grpo.curriculum.kind") not in (None, "none")
    return {} if there else {"grpo.curriculum.kind": "staged", "grpo.curriculum.measure": "contrast"}


def _denser_reward(evidence: Evidence) -> dict[str, object]:
    """A reward that tells wrong answers apart, or, where it is there already, more rollouts a group."""
    if evidence.setting("reward.mode") in (None, "weighted_sum") and evidence.number("reward.answer_probability"):
        return {"grpo.num_generations": 2 * int(evidence.number("grpo.num_generations") or 8)}
    return {"reward.mode": "weighted_sum", "reward.answer_probability": 1.0}
