"""`shotsmith compare`: runs side by side, and which of their differences so many questions cannot tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shotsmith.cli.options import Json, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from shotsmith.evaluation.compare import ComparedRow, Comparison
    from shotsmith.evaluation.results import Result
    from shotsmith.evaluation.transfer import Transfer
    from shotsmith.runs import Run

_WIDE = 100
"""Characters from which p without correction and the number of queries have room."""


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Run folders; the first is the base.")],
    selectors: Annotated[
        list[str] | None,
        typer.Option("--selector", help="Compare this selector of every run. Repeatable. Default: the last phase."),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="vqa_accuracy_normalised, ... Default: what the data are measured by.")
    ] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="Where test queries differ, use those all runs have.")
    ] = False,
    transfer: Annotated[
        bool, typer.Option("--transfer", help="Instead: selectors trained on one run's VLM, answered by another's.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare the test results of runs with those of the first: differences, intervals, p, and what can be told.

    With --transfer: the accuracy of each run's selector with each run's VLM, of what `evaluate --vlm` has evaluated.

    Example: shotsmith compare runs/baseline runs/mine --selector grpo --json
    """
    from shotsmith.cli.console import Console
    from shotsmith.errors import InputError
    from shotsmith.evaluation import compare as comparing
    from shotsmith.evaluation.results import read_results
    from shotsmith.runs import Run

    opened = _named([Run.open(folder) for folder in runs])
    if transfer:
        _transfer(opened, as_json)
        return
    if len(opened) < 2:
        raise InputError("comparing takes at least two runs")
    _same_data(opened)
    results = {name: read_results(run.results) for name, run in opened.items()}
    chosen = None if metric is None else comparing.as_metric(metric)
    found = comparing.compare(results, selectors=selectors, metric=chosen, shared=shared)
    if as_json:
        print_json(found.to_json())
        return
    console = Console()
    console.print(comparison_table(found, console.width))
    for line in (*verdicts(found), *_remarks(opened, results)):
        console.print(line, highlight=False, markup=False)


def _remarks(runs: Mapping[str, Run], results: Mapping[str, Sequence[Result]]) -> Iterator[str]:
    """A line for each run whose training gained nothing over what is free, or whose answers tell nothing of selectors:
    a difference between two such runs is not worth much."""
    from shotsmith.evaluation.unresponsive import nothing_right, sole_answer
    from shotsmith.reports.facts import facts
    from shotsmith.reports.language import LANGUAGES
    from shotsmith.reports.overview import headline
    from shotsmith.runs import show

    for name, run in runs.items():
        answers = {"sole_answer": sole_answer(results[name]), "nothing_right": nothing_right(results[name])}
        found = facts(show(run) | answers)
        unresponsive = found.sole_answer is not None or found.nothing_right
        if unresponsive or (found.contrast(found.trained, found.best_free) is not None and not found.is_better):
            yield f"{name}: {headline(found, LANGUAGES['en'].measured_by(found.metric))}"


def _transfer(runs: dict[str, Run], as_json: bool) -> None:
    from shotsmith.cli.console import Console
    from shotsmith.experiment.transfer import compare_transfer

    _same_data(runs)
    found = compare_transfer(runs)
    if as_json:
        print_json(found.to_json())
        return
    console = Console()
    console.print(transfer_table(found))
    for trained_on, answered_by in found.missing:
        folder, recipe = runs[trained_on].folder, runs[answered_by].recipe_file
        console.print(f"Not evaluated: shotsmith evaluate {folder} --vlm {recipe}", soft_wrap=True, highlight=False)


def transfer_table(found: Transfer) -> Table:
    """One row per run that selectors were trained in, one column per run whose VLM answered."""
    from rich.table import Table

    from shotsmith.evaluation.transfer import FREE_ROW

    table = Table(title="Trained on (rows), answered by (columns): accuracy in percent, mean over shots")
    table.add_column("")
    for name in found.runs:
        table.add_column(name, justify="right")
    for row in (*found.runs, FREE_ROW):
        cells = (found.cell(row, name) for name in found.runs)
        told = ("-" if one is None else f"{one.accuracy:.1f} ({one.low:.1f} to {one.high:.1f})" for one in cells)
        table.add_row(row, *told)
    return table


def comparison_table(found: Comparison, width: int) -> Table:
    """One row per difference; a narrow terminal does without the uncorrected p and the counts."""
    from rich.table import Table

    from shotsmith.reports.numbers import counted, p_value

    wide = width >= _WIDE
    title = f"Differences to {found.base} in points, over {counted(found.queries, 'test query', 'test queries')}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2 if wide else 1, 0, 0))
    table.add_column("Run", overflow="fold")
    counts = ("p alone", "Queries", "Seeds") if wide else ()
    for heading in ("Shots", "Difference", f"{found.confidence:.0%} interval", "p", "Detectable", *counts):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in found.rows:
        cells = [str(row.shots), f"{row.difference:+.2f}", f"{row.low:+.2f} to {row.high:+.2f}", p_value(row.p)]
        cells.append(f"{row.detectable:.2f}")
        if wide:
            cells += [p_value(row.p_alone), str(row.n), f"{row.seeds[0]} / {row.seeds[1]}"]
        table.add_row(_pair(row), *cells, style="bold" if row.decided else None)
    return table


def verdicts(found: Comparison) -> list[str]:
    """In words: which differences are told from none, and which this number of queries cannot tell."""
    lines = []
    if decided := [row for row in found.rows if row.decided]:
        lines.append(f"Told apart (p at most {found.alpha:g} after Holm's correction): {_by_sign(decided)}.")
    if found.undecided:
        sizes = [row.detectable for row in found.undecided]
        lines.append(
            f"{found.queries} questions cannot tell these from no difference: {_listed(found.undecided)}. "
            f"A true difference would have to be {_span(min(sizes), max(sizes))} points to be seen "
            f"{found.power:.0%} of the time."
        )
    return lines


def _by_sign(rows: list[ComparedRow]) -> str:
    """The pairs, those whose first is higher before those whose first is lower."""
    higher, lower = ([row for row in rows if sign * row.difference > 0] for sign in (1, -1))
    parts = (("higher", higher), ("lower", lower))
    return "; ".join(f"the first is {word}: {_listed(some)}" for word, some in parts if some)


def _listed(rows: tuple[ComparedRow, ...] | list[ComparedRow]) -> str:
    """'mine: grpo - base: grpo at 1, 2 shots and on the mean', one for each pair."""
    pairs: dict[str, list[str]] = {}
    for row in rows:
        pairs.setdefault(_pair(row), []).append(str(row.shots))
    said = []
    for pair, shots in pairs.items():
        numbers = [number for number in shots if number != "mean"]
        at = [f"at {', '.join(numbers)} shot{'' if numbers == ['1'] else 's'}"] if numbers else []
        said.append(f"{pair} {' and '.join(at + ['on the mean'] * ('mean' in shots))}")
    return "; ".join(said)


def _pair(row: ComparedRow) -> str:
    return f"{row.a} - {row.b}"


def _span(low: float, high: float) -> str:
    return f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f}"


def _named(runs: list[Run]) -> dict[str, Run]:
    """By the folders' names, or by their paths where two are called the same."""
    names = [run.folder.resolve().name for run in runs]
    return dict(zip(names if len(set(names)) == len(names) else [str(run.folder) for run in runs], runs, strict=True))


def _same_data(runs: dict[str, Run]) -> None:
    """Question 7 of another world is another question."""
    from shotsmith.errors import InputError

    (first, base), *others = runs.items()
    for name, run in others:
        if run.recipe.data.world != base.recipe.data.world:
            raise InputError(f"{first} and {name} were tested on different data (data.world)", file=run.recipe_file)
