"""Results per query, and the Parquet file they are kept in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from itertools import repeat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shotsmith.errors import DataError, InputError
from shotsmith.files import replacing
from shotsmith.metrics.table import METRICS


@dataclass(frozen=True, slots=True)
class Result:
    """One query, answered after the demonstrations one selector chose."""

    query_id: int
    selector: str
    seed: int | None
    """Training seed; None for what is not trained."""
    shots: int
    draw: int
    """Which of the repeated draws of a random selector."""
    sequence: tuple[int, ...]
    """Dataset ids of the demonstrations, in the order shown."""
    text: str | None
    """The VLM's answer; None where the VLM delivered none."""
    vqa_accuracy: float | None
    """Official VQA accuracy, 0 to 1; None where there is no answer, as a failure is not scored, or another metric."""
    vqa_accuracy_normalised: float | None
    """The same with both sides always normalised."""
    question_type: str
    failure: str | None = None
    """Why there is no answer."""
    vqa_accuracy_stemmed: float | None = None
    """The same as OK-VQA reports it, with both sides stemmed; None in files from before it was measured."""
    cider: float | None = None
    """CIDEr-D of a caption, 0 to 10."""
    exact_match: float | None = None
    """1 where the answer is the label, else 0."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Every other metric by its name in the table of metrics; what has no figure is absent."""
    truth: str | None = None
    """The query's true class, where a metric of all answers together needs it."""
    left_out: int = 0
    """Demonstrations of the sequence, the first of it, that the budget of a prompt left out."""
    without_image: int = 0
    """Demonstrations, the first that have images, that it had shown without them."""

    def value(self, metric: str) -> float | None:
        """The figure in a metric of the table; None where there is none."""
        figure: float | None = getattr(self, metric) if metric in _OWN else self.scores.get(metric)
        return figure


_OWN = frozenset(one.name for one in fields(Result)) & METRICS.keys()
"""The metrics that are fields of their own."""
_OTHERS = tuple(name for name, metric in METRICS.items() if name not in _OWN and metric.of_data_set is None)


def scored_metrics(results: Iterable[Result]) -> set[str]:
    """The metrics of the table in which any of the results has a figure, in one pass over them."""
    found: set[str] = set()
    missing = set(_OWN)
    for result in results:
        if result.scores:
            found.update(result.scores)
        for name in [name for name in missing if getattr(result, name) is not None]:
            missing.remove(name)
    return (found & METRICS.keys()) | (_OWN - missing)


def result_with(scores: Mapping[str, float], **others: Any) -> Result:
    """A result with these figures, each in its place; `others` are its other fields."""
    own: dict[str, Any] = {name: scores.get(name) for name in _OWN}
    return Result(**others, **own, scores={name: scores[name] for name in _OTHERS if name in scores})


_FIELDS = {
    column.name: column
    for column in (
        pa.field("query_id", pa.int64(), nullable=False),
        pa.field("selector", pa.string(), nullable=False),
        pa.field("seed", pa.int64()),
        pa.field("shots", pa.int32(), nullable=False),
        pa.field("draw", pa.int32(), nullable=False),
        pa.field("sequence", pa.list_(pa.int64()), nullable=False),
        pa.field("text", pa.string()),
        pa.field("question_type", pa.string(), nullable=False),
        pa.field("failure", pa.string()),
        pa.field("truth", pa.string()),
        pa.field("left_out", pa.int32()),
        pa.field("without_image", pa.int32()),
    )
}
"""The columns that are no metrics."""
_SCHEMA = pa.schema(
    [
        pa.field(name, pa.float64()) if name in METRICS else _FIELDS[name]
        for one in fields(Result)
        for name in (_OTHERS if one.name == "scores" else (one.name,))
    ]
)
"""One column a field of a result, in the order of the fields; the other metrics stand in the place of `scores`."""


def write_results(path: Path, results: Iterable[Result]) -> None:
    """Write the results atomically."""
    table = pa.Table.from_pylist([_row(result) for result in results], schema=_SCHEMA)
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


def read_results(path: Path) -> list[Result]:
    """Read what `write_results` wrote. Raises InputError or DataError naming file and column."""
    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise InputError("no such file", file=path) from error
    except pa.ArrowInvalid as error:
        raise DataError(f"is not a Parquet file: {error}", file=path) from error
    wanted = [one for one in fields(Result) if one.name != "scores"]
    if missing := [one.name for one in wanted if one.default is MISSING and one.name not in table.column_names]:
        raise DataError("is missing", file=path, field=missing[0])
    # Columns without any value are most of a file: one stands there for every metric.
    filled = {name for name in table.column_names if table.column(name).null_count < table.num_rows}
    names = [one.name for one in wanted if one.default is MISSING or one.name in filled]
    metrics = [name for name in _OTHERS if name in filled]
    columns = {name: table.column(name).to_pylist() for name in (*names, *metrics)}
    columns["sequence"] = list(map(tuple, columns["sequence"]))
    figures: Iterable[tuple[float | None, ...]] = zip(*(columns[name] for name in metrics), strict=True)
    if not metrics:
        figures = repeat((), table.num_rows)
    rows = zip(*(columns[name] for name in names), strict=True)
    return [
        Result(**dict(zip(names, row, strict=True)), scores=_given(metrics, figure))
        for row, figure in zip(rows, figures, strict=True)
    ]


def _given(metrics: Sequence[str], figures: Sequence[float | None]) -> dict[str, float]:
    return {name: figure for name, figure in zip(metrics, figures, strict=True) if figure is not None}


def _row(result: Result) -> dict[str, Any]:
    named = {one.name: getattr(result, one.name) for one in fields(Result) if one.name != "scores"}
    return named | dict(result.scores)
