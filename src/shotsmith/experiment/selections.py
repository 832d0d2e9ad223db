"""Selections of a run as a file, and those of any other system evaluated on the same queries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shotsmith.errors import InputError
from shotsmith.evaluation.results import Result, read_results, write_results
from shotsmith.evaluation.selections import (
    content_hash,
    evaluate_selections,
    read_selections,
    selection_rows,
    write_rows,
)
from shotsmith.evaluation.served import is_log, read_served
from shotsmith.evaluation.summary import compared
from shotsmith.experiment.evaluating import trained_policies
from shotsmith.experiment.parts import Parts
from shotsmith.files import read_json, write_json
from shotsmith.progress import Progress
from shotsmith.records import Example
from shotsmith.runs import PHASES, Run, Split
from shotsmith.selectors.policy import PolicySelector
from shotsmith.selectors.protocol import Selector, Tasks
from shotsmith.selectors.training_free import TRAINING_FREE

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def write_selections(
    run: Run, out: Path, progress: Progress, *, split: Split = "test", selector: str | None = None
) -> int:
    """Write what a selector shows the queries of a split, at every number of shots evaluated; returns the lines.

    `selector` is a phase or a training-free selector; by default the last phase that was trained. A phase has lines
    for every seed. Raises InputError where there is no such selector.
    """
    with Parts(run.recipe, run, progress) as parts:
        tasks = parts.tasks(split)
        choosers = list(_choosers(parts, selector))
        return write_rows(out, _rows(tasks, choosers, run.recipe.evaluation.shots))


def _rows(
    tasks: Tasks, choosers: list[tuple[Selector, int | None]], shots: tuple[int, ...]
) -> Iterator[Mapping[str, Any]]:
    for chooser, seed in choosers:
        for number in sorted(shots):
            yield from selection_rows(tasks, chooser.select(tasks, number), number, chooser.name, seed)


def _choosers(parts: Parts, name: str | None) -> Iterator[tuple[Selector, int | None]]:
    trained = [phase for phase in PHASES if getattr(parts.recipe, phase).epochs]
    if name is None:
        if not trained:
            raise InputError("the recipe trains nothing; name a selector", field="--selector")
        name = trained[-1]
    if name in trained:
        for policy, manifest in trained_policies(parts):
            if manifest.phase == name:
                yield PolicySelector(name, policy), manifest.seed
    elif name in TRAINING_FREE:
        yield TRAINING_FREE[name](), None
    else:
        known = ", ".join([*trained, *TRAINING_FREE])
        raise InputError(f"no selector is called '{name}'; there are {known}", field="--selector")


def write_material(run: Run, folder: Path, progress: Progress, *, split: Split = "test") -> None:
    """Write what another system chooses from: `queries.jsonl`, without answers, and `bank.jsonl`.

    Each query lists the examples of the bank that are barred from it.
    """
    with Parts(run.recipe, run, progress) as parts:
        queries = [parts.splits.named()[split][row] for row in parts.query_rows(split)]
        bank = parts.splits.bank
        barred = [[bank[row].id for row in rows] for rows in parts.barred[split].rows]
        asked = ({**_told(query), "barred": some} for query, some in zip(queries, barred, strict=True))
        write_rows(folder / "queries.jsonl", asked)
        write_rows(folder / "bank.jsonl", ({**_told(one), "answers": list(one.answers)} for one in bank))


def _told(example: Example) -> dict[str, Any]:
    told = {"id": example.id, "images": [str(image.absolute()) for image in example.images]}
    return {**told, "question": example.question, "options": list(example.options), "hash": content_hash(example)}


def evaluate_given(run: Run, file: Path, progress: Progress, *, name: str | None = None) -> dict[str, Any]:
    """Evaluate the selections of a file on the run's test queries; returns tables as those of its own evaluation.

    The file is a selection file (`evaluation.selections`) or the selections log of a server (`evaluation.served`); of a
    log, the tables say under `log` how many rows are scored, and why the others are not.
    The tables have a row for the file beside those of the run, at the numbers of shots that both have; the contrasts
    are the run's last phase minus the file, and the file minus the best free selector. Results and tables are kept in
    `evaluation/given/NAME`, NAME being that of the file. The run's own evaluation stays as it is.

    Raises InputError where the run is not evaluated yet or has a selector of this name, DataError for a faulty line.
    """
    name = name or file.stem
    if not run.results.exists():
        raise InputError(f"is not evaluated yet: shotsmith run {run.recipe_file}", file=run.folder)
    own = read_results(run.results)
    if not _NAME.fullmatch(name) or name in {result.selector for result in own}:
        raise InputError(f"'{name}' is a selector of the run, or cannot be the name of a file", field="--name")
    with Parts(run.recipe, run, progress) as parts:
        tasks = replace(parts.tasks("test"), pools=None)
        shots = run.recipe.evaluation.shots
        served = read_served(file, tasks, shots) if is_log(file) else None
        selected = read_selections(file, tasks, shots) if served is None else served.selected
        given = evaluate_selections(tasks, name, selected, parts.ask, origin=f"given/{name}")
    tables = compared([*_with(own, given), *given], _pairs(run, own, name), run.recipe.evaluation)
    tables["excluded"] = [row for row in tables["excluded"] if row["selector"] == name]
    if served is not None:
        tables["log"] = dict(served.counts)
    folder = run.folder / "evaluation" / "given"
    write_results(folder / f"{name}.parquet", given)
    write_json(folder / f"{name}.json", tables)
    return tables


def _with(own: list[Result], given: list[Result]) -> list[Result]:
    """The run's own results at the numbers of shots of the others: means are then over the same numbers."""
    shots = {result.shots for result in given}
    return [result for result in own if result.shots in shots]


def _pairs(run: Run, own: list[Result], name: str) -> list[tuple[str, str]]:
    present = {result.selector for result in own}
    last = [phase for phase in reversed(PHASES) if phase in present][:1]
    best = (read_json(run.summary).get("best_free") or {}).get("selector")
    return [*((phase, name) for phase in last), *([(name, best)] if best in present else [])]
