"""What to do next, each step with the command that does it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from shotsmith.diagnosis.diagnose import EXPLAINED
from shotsmith.diagnosis.finding import SEVERITIES, Finding
from shotsmith.plugins import Table
from shotsmith.reports.facts import Facts
from shotsmith.reports.language import Statement


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do next, with the command that does it."""

    why: Statement
    command: str


SUGGESTIONS: Table[Callable[[Facts], Iterable[Step]]] = Table("shotsmith.suggestions")
"""What other packages suggest; their sentences are in `reports.language.SENTENCES`."""


def next_steps(facts: Facts, findings: Collection[Finding] = ()) -> list[Step]:
    """What to do now, most pressing first; the commands can be pasted as they are."""
    return [
        *_finish(facts),
        *_use(facts, findings),
        *_ask(facts, findings),
        *_remedies(facts, findings),
        *_change(facts, findings),
        *_suggested(facts),
        *_look(facts),
    ]


def _finish(facts: Facts) -> Iterator[Step]:
    """What the run itself still lacks."""
    if facts.is_log:
        return
    again = f"shotsmith run {_recipe(facts)} --out {shlex.quote(facts.folder)}"
    if facts.unfinished:
        yield Step(Statement("next.train", {}), again)
    elif not facts.test and "evaluate" not in facts.left_out:
        yield Step(Statement("next.evaluate", {}), f"shotsmith evaluate {shlex.quote(facts.folder)}")


def _use(facts: Facts, findings: Collection[Finding]) -> Iterator[Step]:
    """A policy that beats what is free is there to be used."""
    if facts.is_better and not facts.unfinished and not _is_unresponsive(facts, findings):
        yield Step(Statement("next.use", {}), f"shotsmith serve {shlex.quote(facts.folder)}")


def _ask(facts: Facts, findings: Collection[Finding]) -> Iterator[Step]:
    """Where the answers of the VLM do not depend on what it is shown: read what it is asked."""
    if not facts.is_log and _is_unresponsive(facts, findings):
        yield Step(Statement("next.prompt", {}), f"shotsmith prompt {shlex.quote(facts.folder)}")


def _is_unresponsive(facts: Facts, findings: Collection[Finding]) -> bool:
    found = {finding.key for finding in findings}
    return facts.sole_answer is not None or facts.nothing_right or bool(found & EXPLAINED.keys())


def _change(facts: Facts, findings: Collection[Finding]) -> Iterator[Step]:
    """What to try in another run, the change computed from this one's settings."""
    if facts.is_log or _is_unresponsive(facts, findings):
        return
    reward = facts.trends.get("val_reward")
    if facts.last_phase == "grpo" and reward and len(reward.values) > 1 and reward.highest[0] == reward.values[-1][0]:
        epochs = 2 * facts.recipe["grpo"]["epochs"]
        yield _variant(
            facts, "longer", Statement("next.longer", {"epoch": reward.highest[0]}), [f"grpo.epochs={epochs}"]
        )
    if facts.test and len(facts.recipe["seeds"]) < 3:
        first = facts.recipe["seeds"][0]
        yield _variant(facts, "seeds", Statement("next.seeds", {}), [f"seeds=[{first},{first + 1},{first + 2}]"])


def _remedies(facts: Facts, findings: Iterable[Finding]) -> Iterator[Step]:
    """The settings that the diagnosis advises to try."""
    tried: set[tuple[str, ...]] = set()
    for finding in sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)):
        if finding.settings and tuple(finding.overrides) not in tried:
            tried.add(tuple(finding.overrides))
            words = [finding.key, *([str(finding.values["phase"])] if "phase" in finding.values else [])]
            why = Statement(f"finding.{finding.key}.advice", finding.values)
            yield _variant(facts, "-".join(words).replace("_", "-"), why, finding.overrides)


def _suggested(facts: Facts) -> Iterator[Step]:
    for suggestions in SUGGESTIONS.values():
        yield from suggestions(facts)


def _look(facts: Facts) -> Iterator[Step]:
    folder = shlex.quote(facts.folder)
    if facts.is_log:
        yield Step(Statement("next.diagnose", {}), f"shotsmith diagnose {folder} --json")
        return
    yield Step(Statement("next.show", {}), f"shotsmith show {folder} --json")
    if facts.shown["epochs"]:
        yield Step(
            Statement("next.tensorboard", {}), f"tensorboard --logdir {shlex.quote(f'{facts.folder}/tensorboard')}"
        )


def _variant(facts: Facts, suffix: str, why: Statement, overrides: Iterable[str]) -> Step:
    """A run of this run's recipe with some settings changed, under a name of its own."""
    settings = (f"name={facts.name}-{suffix}", *overrides)
    options = " ".join(f"--set {shlex.quote(setting)}" for setting in settings)
    return Step(why, f"shotsmith run {_recipe(facts)} {options}")


def _recipe(facts: Facts) -> str:
    """A log does not say where its recipe is: the reader has to."""
    return "RECIPE.yaml" if facts.is_log else shlex.quote(f"{facts.folder}/recipe.yaml")
