"""A run's figures as tables for the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from shotsmith.cli.console import Console
from shotsmith.cli.terminal import epoch_table
from shotsmith.completions.summary import FailedPrompts
from shotsmith.evaluation.copying import copying_statements
from shotsmith.metrics.table import DEFAULT, METRICS
from shotsmith.reports.facts import SELECTORS, facts, left_out
from shotsmith.reports.language import LANGUAGES
from shotsmith.reports.numbers import counted, duration, figure, megabytes, p_value

_WIDE = 90
"""Characters from which every accuracy has room for its interval."""


def print_results(shown: Mapping[str, Any], console: Console) -> None:
    """Accuracy of every selector at every number of shots, with intervals."""
    if not shown["test"]:
        why = left_out(shown["stages"]).get("evaluate")
        console.print(_left_out_line("evaluate", why) if why else "not evaluated yet", highlight=False)
        return
    console.print(results_table(shown["test"], console.width))
    for metric in dict.fromkeys(row["metric"] for row in shown["test"]):
        if METRICS[metric].stand_in is not None:  # what the recipe asks for, beside what decides
            console.print(results_table((row for row in shown["test"] if row["metric"] == metric), console.width))
    for line in [*stopping_lines(shown["test"]), *copying_lines(shown)]:
        console.print(line, highlight=False)


def print_verdict(shown: Mapping[str, Any], console: Console) -> None:
    """The last line: whether training beats the best free selector, and if not, what to use instead."""
    from shotsmith.reports.overview import headline

    found = facts(shown)
    line = headline(found, LANGUAGES["en"].measured_by(found.metric))
    console.print(line, style="bold", highlight=False, markup=False, soft_wrap=True)


def print_failed(failed: FailedPrompts | None, console: Console) -> None:
    """One line where prompts failed: how many of how many, most often why, and what to do."""
    if failed is not None:
        console.print(str(failed), style="yellow", highlight=False, markup=False, soft_wrap=True)


def results_table(test: Iterable[Mapping[str, Any]], width: int) -> Table:
    """The first metric, one row per selector, one column per number of shots.

    Where a terminal is narrow, only the mean has its interval.
    """
    rows = list(test)
    cells = {(row["selector"], row["shots"]): row for row in rows if row["metric"] == rows[0]["metric"]}
    shots = sorted({shots for _, shots in cells}, key=lambda s: (s == "mean", s))
    gaps = (0, 2 if width >= _WIDE else 1, 0, 0)
    title = f"{_heading(rows[0]['metric'] if rows else DEFAULT)}, with its interval"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=gaps)
    table.add_column("Selector", no_wrap=True)
    for number in shots:
        heading = "mean" if number == "mean" else f"{number} shot{'s' if number > 1 else ''}"
        table.add_column(heading, justify="right", no_wrap=True)
    names = {name for name, _ in cells}
    for name in [*(n for n in SELECTORS if n in names), *sorted(names - set(SELECTORS))]:
        style = "bold" if name == "grpo" else "dim" if name == "oracle" else None
        accuracies = (_accuracy(cells.get((name, n)), width >= _WIDE or n == "mean") for n in shots)
        table.add_row(name, *accuracies, style=style)
    return table


def copying_lines(shown: Mapping[str, Any]) -> list[str]:
    """What the most trained policy and the best free selector repeat of their demonstrations, a line each."""
    rows, found = shown.get("copying", ()), facts(shown)
    language = LANGUAGES["en"]
    said = []
    for selector in dict.fromkeys(name for name in (found.trained, found.best_free) if name is not None):
        statements = copying_statements(rows, selector)
        said.append(language.sentences(language.say(key, **values) for key, values in statements))
    return [line for line in said if line]


def stopping_lines(test: Iterable[Mapping[str, Any]]) -> list[str]:
    """Where a selector shows fewer demonstrations than it may, one line that says how many."""
    rows = list(test)
    fewer: dict[str, dict[int, float]] = {}
    for row in rows:
        if row["metric"] == rows[0]["metric"] and row["shots"] != "mean" and row["selector"] != "zero_shot":
            fewer.setdefault(row["selector"], {})[row["shots"]] = row.get("demonstrations", row["shots"])
    return [
        f"Demonstrations that {name} shows on average: "
        + ", ".join(f"{number:.1f} of {shots}" for shots, number in sorted(shown.items()))
        for name, shown in fewer.items()
        if any(number < shots for shots, number in shown.items())
    ]


def stages_table(stages: Iterable[Mapping[str, Any]]) -> Table:
    """What each finished stage took. Memory is the most that the process had held by its end."""
    table = Table(box=None, pad_edge=False)
    for heading in ("Stage", "Time", "VLM calls", "Cache hits", "Most memory"):
        table.add_column(heading, justify="left" if heading == "Stage" else "right")
    for stage in stages:
        calls, hits = str(stage["vlm_calls"]), str(stage["cache_hits"])
        table.add_row(stage["name"], duration(stage["seconds"]), calls, hits, megabytes(stage.get("peak_memory")))
    return table


def left_out_lines(stages: Iterable[Mapping[str, Any]]) -> list[str]:
    """What a run does without beside its evaluation, a line each."""
    return [_left_out_line(name, why) for name, why in left_out(stages).items() if name != "evaluate"]


def _left_out_line(name: str, why: str) -> str:
    return LANGUAGES["en"].say(f"left_out.{why}", column=name)


def stopped_lines(shown: Mapping[str, Any]) -> list[str]:
    """Why a run stands still, and how to go on; nothing where it is running or done."""
    if shown["status"] not in ("created", "stopped"):
        return []
    go_on = f"shotsmith run {shlex.quote(str(shown['run']))}"
    stopped = shown["stopped"]
    if stopped is None:
        return [f"To begin: {go_on}"]
    after = "before the end of the first stage" if stopped["after"] is None else f"after the stage {stopped['after']}"
    why = {
        "failed": f"failed: {stopped['error']}",
        "interrupted": "was interrupted",
        "killed": "was killed, or the machine stopped, before it could note a reason",
        "finished": "had done what was asked for (--until)",
    }.get(stopped["how"], "left no note of the reason")
    return [f"Stopped {after}: it {why}", f"To go on: {go_on}"]


def print_best(epochs: Sequence[Mapping[str, Any]], heading: str, console: Console) -> None:
    """Epochs under a heading."""
    console.print(f"\n{heading}", style="bold")
    console.print(epoch_table(epochs, console.width) if epochs else "no epoch has this figure yet")


def best_lines(shown: Mapping[str, Any]) -> list[str]:
    """How many epochs there are, and the best of them, one line per criterion that has one."""
    trained = counted(len(shown["epochs"]), "epoch")
    return [
        f"{trained}; the best by {criterion.replace('_', ' ')} is epoch {row['epoch']} of {row['phase']}, "
        f"seed {row['seed']}: {figure(row[criterion])}"
        for criterion, row in shown["best"].items()
        if row
    ]


def mean_contrasts(contrasts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The means over the numbers of shots; all where there is no mean."""
    return [row for row in contrasts if row["shots"] == "mean"] or list(contrasts)


def contrasts_table(contrasts: Iterable[Mapping[str, Any]]) -> Table:
    """Differences between selectors, with intervals and p."""
    table = Table(title="Differences in points", title_justify="left", box=None, pad_edge=False)
    for heading in ("A", "B", "Shots", "A - B", "Interval", "p"):
        table.add_column(heading, justify="left" if heading in "AB" else "right")
    for row in contrasts:
        interval = f"{row['low']:+.1f} to {row['high']:+.1f}"
        table.add_row(row["a"], row["b"], str(row["shots"]), f"{row['difference']:+.1f}", interval, p_value(row["p"]))
    return table


def _heading(metric: str) -> str:
    """A metric with its unit."""
    unit = {"percent": " in percent", "times_100": " times 100", "itself": ""}[METRICS[metric].unit]
    return f"{METRICS[metric].heading or METRICS[metric].title}{unit}"


def _accuracy(row: Mapping[str, Any] | None, with_interval: bool) -> str:
    if row is None:
        return "-"
    interval = f" ({row['low']:.0f}-{row['high']:.0f})" if with_interval else ""
    return f"{row['accuracy']:.1f}{interval}"
