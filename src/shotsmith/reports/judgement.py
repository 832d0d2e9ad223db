"""Verdict, strengths and weaknesses, each decided by the numbers. The thresholds stand at the top."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from shotsmith.diagnosis.finding import Finding
from shotsmith.evaluation.contrasts import sign_of
from shotsmith.evaluation.free import WORTH
from shotsmith.evaluation.majority_vote import MAJORITY_VOTE
from shotsmith.reports.facts import Facts, Row, Trend
from shotsmith.reports.language import Statement
from shotsmith.reports.numbers import p_value
from shotsmith.selectors.named import AT_BANK

LARGE_SHARE = 0.5
"""Of the headroom: from here on it counts as a strength."""
CLEAR_SIGNAL = 0.5
"""Mean Adv Std from which on the signal counts as clear."""
CLEAR_GAIN = 0.05
"""Share of the first val reward by which the last must lie above it."""
NEAR_REFERENCE = 5.0
"""KL (nats) up to which the policy counts as near its reference."""
SIGNAL_FAULTS = frozenset(
    {"groups_truncated", "groups_saturated", "groups_failed", "groups_without_signal", "advantages_averaged"}
)
KL_FAULTS = frozenset({"kl_from_dropout", "kl_before_update", "kl_is_noise", "kl_exploded"})
REWARD_FAULTS = frozenset({"val_reward_turned", "best_epoch_early"})
"""Findings that speak against a strength."""


def judge(facts: Facts, findings: Iterable[Finding] = ()) -> tuple[list[Statement], list[Statement]]:
    """Strengths and weaknesses that the test and the curves show; what the diagnosis found is not said again."""
    judged = list(_judgements(facts, frozenset(finding.key for finding in findings)))
    return [said for good, said in judged if good], [said for good, said in judged if not good]


def verdict(facts: Facts) -> tuple[Statement, ...]:
    """What the run comes to, said first: what to use, and the best alternative that needs no training.

    The figures are left to what stands beside it.
    """
    return _outcome(facts, "verdict")


def line(facts: Facts) -> tuple[Statement, ...]:
    """The same for a terminal: the difference from the best free selector with its interval, in one line."""
    return _outcome(facts, "line")


def _outcome(facts: Facts, form: Literal["verdict", "line"]) -> tuple[Statement, ...]:
    if facts.is_log:
        epochs = [row["epoch"] for row in facts.shown["epochs"]]
        return (Statement("verdict.log", {"epochs": len(epochs), "first": min(epochs), "last": max(epochs)}),)
    if not facts.test:
        return (Statement("verdict.trained" if facts.shown["epochs"] else "verdict.nothing", {}),)
    if facts.sole_answer is not None:
        return (Statement("verdict.same_answer", {"text": facts.sole_answer}),)
    if facts.nothing_right:
        return (Statement("verdict.nothing_right", {}),)
    trained, free = facts.accuracy(facts.trained), facts.accuracy(facts.best_free)
    contrast = facts.contrast(facts.trained, facts.best_free)
    if trained is None or free is None or contrast is None:
        return (Statement("verdict.no_contrast", {}), *_use(facts, "verdict.use"))
    values = {"policy": facts.trained, "free": facts.best_free}
    figures = {"accuracy": trained["accuracy"], "of_free": free["accuracy"], **contrast}
    said = Statement(f"{form}.{sign_of(contrast)}", {**values, **figures})
    if sign_of(contrast) == "better":
        return said, *(() if form == "line" else _use(facts, "alternative"))
    return said, *_use(facts, "verdict.use"), *_cannot_pay(facts)


def _use(facts: Facts, form: Literal["verdict.use", "alternative"]) -> Iterator[Statement]:
    """What to use where training does not beat it, or where no trained selector can be used."""
    free = facts.best_free
    there = facts.accuracy(free, facts.best_free_shots or "mean")
    if free is None or there is None:
        return
    values = {"free": free, "best": there["accuracy"], "shots": facts.best_free_shots, "policy": facts.trained}
    if form == "alternative":
        beside = facts.accuracy(facts.trained, facts.best_free_shots or "mean")
        if beside is None:
            return
        values["there"] = beside["accuracy"]
    kind = {"zero_shot": "zero_shot", MAJORITY_VOTE: "vote"}.get(free.removesuffix(AT_BANK), "other")
    ending = {"verdict.use": "" if kind == "other" else f"_{kind}", "alternative": f".{kind}"}[form]
    yield Statement(form + ending, values)


def _cannot_pay(facts: Facts) -> Iterator[Statement]:
    """Said where even the oracle is hardly above the best free selector."""
    gap = facts.contrast("oracle", facts.best_free)
    if gap is not None and gap["high"] < WORTH:
        yield Statement("verdict.no_headroom", {"free": facts.best_free, **gap})


def _judgements(facts: Facts, faults: frozenset[str]) -> Iterator[tuple[bool, Statement]]:
    yield from _against(facts, facts.best_free)
    if facts.trained != "supervised":
        yield from _against(facts, "supervised")
    yield from _below_supervised(facts)
    yield from _order(facts)
    yield from _headroom(facts)
    yield from _training(facts, faults)
    yield from _earlier_phase(facts)


def _against(facts: Facts, other: str | None) -> Iterator[tuple[bool, Statement]]:
    contrast = facts.contrast(facts.trained, other)
    if contrast is not None:
        sign = sign_of(contrast)
        yield sign == "better", Statement(f"contrast.{sign}", _with_p(contrast))


def _below_supervised(facts: Facts) -> Iterator[tuple[bool, Statement]]:
    if facts.trained == "supervised":
        return
    for shots in facts.shots:
        contrast = facts.contrast(facts.trained, "supervised", shots)
        if shots != "mean" and contrast is not None and sign_of(contrast) == "worse":
            yield False, Statement("contrast.below_at_shots", _with_p(contrast))


def _order(facts: Facts) -> Iterator[tuple[bool, Statement]]:
    contrast = facts.contrast(facts.trained, f"{facts.trained}_reversed")
    if contrast is not None:
        sign = sign_of(contrast)
        yield sign == "better", Statement(f"order.{sign}", {**_with_p(contrast), "reverse": -contrast["difference"]})


def _headroom(facts: Facts) -> Iterator[tuple[bool, Statement]]:
    """How much of what the oracle shows possible was gained; a share of it is only spoken of where there is a gain."""
    if facts.headroom is None or facts.gain is None or facts.headroom <= 0:
        return
    points = {"headroom": facts.headroom, "gain": facts.gain, "left": facts.headroom - facts.gain}
    values = {"policy": facts.trained, **points}
    if facts.gain <= 0 or not facts.is_better:
        yield False, Statement("headroom.none" if facts.gain <= 0 else "headroom.open", values)
        return
    share = facts.gain / facts.headroom
    large = share >= LARGE_SHARE
    yield large, Statement("headroom.large" if large else "headroom.small", {**values, "share": 100 * share})


def _training(facts: Facts, faults: frozenset[str]) -> Iterator[tuple[bool, Statement]]:
    """What went well, where the diagnosis has nothing against it: what went wrong is told there."""
    trends = facts.trends if facts.last_phase == "grpo" else {}
    if (std := trends.get("adv_std")) and std.mean > CLEAR_SIGNAL and not faults & SIGNAL_FAULTS:
        yield True, Statement("signal.clear", {"adv_std": std.mean})
    if (kl := trends.get("kl")) and kl.highest[1] <= NEAR_REFERENCE and not faults & KL_FAULTS:
        epoch, highest = kl.highest
        yield True, Statement("kl.near", {"kl": highest, "epoch": epoch})
    reward = facts.trends.get("val_reward")
    if (
        reward
        and len(reward.values) > 1
        and reward.last - reward.first > CLEAR_GAIN * abs(reward.first)
        and not faults & REWARD_FAULTS
    ):
        epoch, highest = reward.highest
        yield True, Statement("val_reward.rose", {"epoch": epoch, "best": highest, **_ends(reward)})


def _ends(trend: Trend) -> dict[str, float]:
    return {"first": trend.first, "last": trend.last}


def _earlier_phase(facts: Facts) -> Iterator[tuple[bool, Statement]]:
    best = next(iter(facts.best["val_reward"]), None)
    if best and best["phase"] != facts.last_phase:
        values = {"last_phase": facts.last_phase, "phase": best["phase"], "value": best["val_reward"]}
        yield False, Statement("criteria.earlier_phase", values)


def _with_p(contrast: Row) -> Row:
    """The contrast with its p as a sentence takes it: '= 0.012' or '< 0.001'."""
    p = p_value(contrast["p"])
    return {**contrast, "p": p if p.startswith("<") else f"= {p}"}
