"""Strengths, weaknesses and next steps, each decided by the numbers. The thresholds stand at the top."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shotsmith.reports.facts import Facts, Row
from shotsmith.reports.language import Statement
from shotsmith.reports.numbers import p_value

LARGE_SHARE = 0.5
"""Of the headroom: from here on it counts as a strength."""
CLEAR_SIGNAL = 0.5
"""Mean Adv Std, and share of groups that carry signal, from which on the signal counts as clear."""
FAR_FROM_REFERENCE = 5.0
"""KL (nats) above which the policy has left its reference behind."""
COLLAPSED = 0.1
"""Share of its first entropy below which a policy hardly explores any more."""
LATE_LOSS = 0.02
"""Share of the best val reward that the last epoch may lie below it."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do next, with the command that does it."""

    why: Statement
    command: str


def strengths(facts: Facts) -> list[Statement]:
    """What speaks for the trained policy."""
    return [statement for good, statement in _judgements(facts) if good]


def weaknesses(facts: Facts) -> list[Statement]:
    """What speaks against it, or remains unknown."""
    return [statement for good, statement in _judgements(facts) if not good]


def verdict(facts: Facts) -> Statement:
    """The one sentence at the top."""
    if not facts.test:
        key = "verdict.trained" if facts.shown["epochs"] else "verdict.nothing"
        return Statement(key, {})
    trained, free = facts.accuracy(facts.trained), facts.accuracy(facts.best_training_free)
    contrast = facts.contrast(facts.trained, facts.best_training_free)
    if trained is None or free is None or contrast is None:
        return Statement("verdict.no_contrast", {})
    values = {"policy": facts.trained, "free": facts.best_training_free, "accuracy": trained["accuracy"], **contrast}
    return Statement(f"verdict.{_sign(contrast)}", values)


def next_steps(facts: Facts) -> list[Step]:
    """What to do now, most pressing first; the commands can be pasted as they are."""
    return [*_finish(facts), *_change(facts), *_look(facts)]


def _judgements(facts: Facts) -> Iterator[tuple[bool, Statement]]:
    yield from _against(facts, facts.best_training_free)
    if facts.trained != "supervised":
        yield from _against(facts, "supervised")
    yield from _below_supervised(facts)
    yield from _order(facts)
    yield from _headroom(facts)
    yield from _signal(facts)
    yield from _stability(facts)
    yield from _criteria(facts)


def _against(facts: Facts, other: str | None) -> Iterator[tuple[bool, Statement]]:
    contrast = facts.contrast(facts.trained, other)
    if contrast is not None:
        sign = _sign(contrast)
        yield sign == "better", Statement(f"contrast.{sign}", _with_p(contrast))


def _below_supervised(facts: Facts) -> Iterator[tuple[bool, Statement]]:
    if facts.trained == "supervised":
        return
    for shots in facts.shots:
        contrast = facts.contrast(facts.trained, "supervised", shots)
        if shots != "mean" and contrast is not None and contrast["high"] < 0:
            yield False, Statement("contrast.below_at_shots", _with_p(contrast))


def _order(facts: Facts) -> Iterator[tuple[bool, Statement]]:
    contrast = facts.contrast(facts.trained, f"{facts.trained}_reversed")
    if contrast is not None:
        sign = _sign(contrast)
        yield sign == "better", Statement(f"order.{sign}", {**_with_p(contrast), "reverse": -contrast["difference"]})


def _headroom(facts: Facts) -> Iterator[tuple[bool, Statement]]:
    if facts.headroom is None or facts.gain is None:
        return
    share = facts.gain / facts.headroom if facts.headroom > 0 else 0.0
    values = {"headroom": facts.headroom, "gain": facts.gain, "share": 100 * share, "left": facts.headroom - facts.gain}
    large = share >= LARGE_SHARE
    yield large, Statement("headroom.large" if large else "headroom.small", values)


def _signal(facts: Facts) -> Iterator[tuple[bool, Statement]]:
    if facts.last_phase != "grpo":
        return
    if std := facts.trends.get("adv_std"):
        clear = std.mean > CLEAR_SIGNAL
        yield clear, Statement("signal.clear" if clear else "signal.weak", {"adv_std": std.mean})
    if (zero := facts.trends.get("frac_reward_zero_std")) and zero.mean > 1 - CLEAR_SIGNAL:
        yield False, Statement("signal.zero_groups", {"share": 100 * zero.mean})


def _stability(facts: Facts) -> Iterator[tuple[bool, Statement]]:
    if facts.last_phase == "grpo" and (kl := facts.trends.get("kl")):
        epoch, highest = kl.highest
        near = highest <= FAR_FROM_REFERENCE
        yield near, Statement("kl.near" if near else "kl.far", {"kl": highest, "epoch": epoch})
    if _entropy_collapsed(facts):
        entropy = facts.trends["entropy"]
        yield False, Statement("entropy.collapsed", {"first": entropy.first, "last": entropy.last})
    if (reward := facts.trends.get("val_reward")) and len(reward.values) > 1:
        epoch, highest = reward.highest
        late = _peaked_early(facts)
        values = {"epoch": epoch, "best": highest, "last": reward.last, "first": reward.first}
        if late or reward.direction == "rose":
            yield not late, Statement("val_reward.fell_late" if late else "val_reward.rose", values)
        elif reward.direction == "fell":
            yield False, Statement("val_reward.fell", values)


def _criteria(facts: Facts) -> Iterator[tuple[bool, Statement]]:
    by_reward, by_loss = facts.best["val_reward"], facts.best["val_loss"]
    if by_reward and by_reward[0]["phase"] != facts.last_phase:
        best = by_reward[0]
        values = {"last_phase": facts.last_phase, "phase": best["phase"], "value": best["val_reward"]}
        yield False, Statement("criteria.earlier_phase", values)
    if not by_reward or not by_loss or by_reward[0] is by_loss[0]:
        return
    chosen = by_loss[0]
    if isinstance(chosen["val_reward"], int | float):
        values = {key: chosen[key] for key in ("seed", "phase", "epoch")}
        yield False, Statement("criteria.differ", {**values, "lost": by_reward[0]["val_reward"] - chosen["val_reward"]})


def _finish(facts: Facts) -> Iterator[Step]:
    """What the run itself still lacks."""
    again = f"shotsmith run {_recipe(facts)} --out {shlex.quote(facts.folder)}"
    if any(phase.done < phase.planned for phase in facts.phases):
        yield Step(Statement("next.train", {}), again)
    elif not facts.test:
        yield Step(Statement("next.evaluate", {}), f"shotsmith evaluate {shlex.quote(facts.folder)}")


def _change(facts: Facts) -> Iterator[Step]:
    """What to try in another run, the change computed from this one's settings."""
    grpo, reward = facts.recipe["grpo"], facts.trends.get("val_reward")
    if facts.last_phase == "grpo" and reward and len(reward.values) > 1:
        if _peaked_early(facts):
            halved = {"grpo.learning_rate": grpo["learning_rate"] / 2}
            yield _variant(facts, "slower", "next.slower", halved, epoch=reward.highest[0])
        elif reward.highest[0] == reward.values[-1][0]:
            yield _variant(facts, "longer", "next.longer", {"grpo.epochs": 2 * grpo["epochs"]}, epoch=reward.highest[0])
    if facts.last_phase == "grpo":
        zero, kl = facts.trends.get("frac_reward_zero_std"), facts.trends.get("kl")
        if zero and zero.mean > 1 - CLEAR_SIGNAL:
            doubled = {"grpo.num_generations": 2 * grpo["num_generations"]}
            yield _variant(facts, "more-generations", "next.generations", doubled, share=100 * zero.mean)
        if kl and kl.highest[1] > FAR_FROM_REFERENCE:
            beta = {"grpo.beta": 5 * grpo["beta"] or 0.01}
            yield _variant(facts, "closer", "next.beta", beta, kl=kl.highest[1])
        if _entropy_collapsed(facts):
            bonus = {"grpo.entropy_coef": 5 * grpo["entropy_coef"] or 0.002}
            yield _variant(facts, "more-entropy", "next.entropy", bonus)
    if facts.test and len(facts.recipe["seeds"]) < 3:
        first = facts.recipe["seeds"][0]
        yield _variant(facts, "seeds", "next.seeds", {"seeds": [first, first + 1, first + 2]})


def _look(facts: Facts) -> Iterator[Step]:
    folder = shlex.quote(facts.folder)
    yield Step(Statement("next.show", {}), f"shotsmith show {folder} --json")
    if facts.shown["epochs"]:
        yield Step(
            Statement("next.tensorboard", {}), f"tensorboard --logdir {shlex.quote(f'{facts.folder}/tensorboard')}"
        )


def _variant(facts: Facts, suffix: str, key: str, changes: dict[str, Any], **values: object) -> Step:
    """A run of this run's recipe with some settings changed, under a name of its own."""
    settings = {"name": f"{facts.recipe['name']}-{suffix}", **changes}
    options = " ".join(f"--set {shlex.quote(f'{name}={_yaml(value)}')}" for name, value in settings.items())
    return Step(Statement(key, values), f"shotsmith run {_recipe(facts)} {options}")


def _recipe(facts: Facts) -> str:
    return shlex.quote(f"{facts.folder}/recipe.yaml")


def _yaml(value: object) -> str:
    """A value as YAML reads it back (1e-05 would be read as text, 1.0e-05 is a number)."""
    if isinstance(value, float):
        text = repr(value)
        return text.replace("e", ".0e") if "e" in text and "." not in text else text
    return str(value).replace(" ", "")


def _sign(contrast: Row) -> str:
    """Whether the interval lies above 0, below it, or holds it."""
    return "better" if contrast["low"] > 0 else "worse" if contrast["high"] < 0 else "open"


def _with_p(contrast: Row) -> Row:
    """The contrast with its p as a sentence takes it: '= 0.012' or '< 0.001'."""
    p = p_value(contrast["p"])
    return {**contrast, "p": p if p.startswith("<") else f"= {p}"}


def _peaked_early(facts: Facts) -> bool:
    reward = facts.trends["val_reward"]
    return reward.highest[1] - reward.last > LATE_LOSS * abs(reward.highest[1])


def _entropy_collapsed(facts: Facts) -> bool:
    entropy = facts.trends.get("entropy")
    return facts.last_phase == "grpo" and entropy is not None and entropy.last < COLLAPSED * entropy.first
