"""Results per query, and the Parquet file they are kept in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from shotsmith.errors import DataError, InputError
from shotsmith.files import replacing


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
    """The VLM's answer; None where it could not be had."""
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
    left_out: int = 0
    """Demonstrations of the sequence, the first of it, that the budget of a prompt left out."""
    without_image: int = 0
    """Demonstrations, the first that have images, that it had shown without them."""


_SCHEMA = pa.schema(
    [
        pa.field("query_id", pa.int64(), nullable=False),
        pa.field("selector", pa.string(), nullable=False),
        pa.field("seed", pa.int64()),
        pa.field("shots", pa.int32(), nullable=False),
        pa.field("draw", pa.int32(), nullable=False),
        pa.field("sequence", pa.list_(pa.int64()), nullable=False),
        pa.field("text", pa.string()),
        pa.field("vqa_accuracy", pa.float64()),
        pa.field("vqa_accuracy_normalised", pa.float64()),
        pa.field("question_type", pa.string(), nullable=False),
        pa.field("failure", pa.string()),
        pa.field("vqa_accuracy_stemmed", pa.float64()),
        pa.field("cider", pa.float64()),
        pa.field("exact_match", pa.float64()),
        pa.field("left_out", pa.int32()),
        pa.field("without_image", pa.int32()),
    ]
)


def write_results(path: Path, results: Iterable[Result]) -> None:
    """Write the results atomically."""
    table = pa.Table.from_pylist([asdict(result) for result in results], schema=_SCHEMA)
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
    wanted = fields(Result)
    if missing := [f.name for f in wanted if f.default is MISSING and f.name not in table.column_names]:
        raise DataError("is missing", file=path, field=missing[0])
    rows = table.select([f.name for f in wanted if f.name in table.column_names]).to_pylist()
    return [Result(**{**row, "sequence": tuple(row["sequence"])}) for row in rows]
