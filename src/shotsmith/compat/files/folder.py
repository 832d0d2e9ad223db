"""The folder that an import leaves: Parquet and safetensors files, and a manifest that says what they came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar, cast

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from shotsmith.compat.files.records import Accuracy, Imported, ImportedBeam, ImportedQuery, ImportedRollout, Role
from shotsmith.embeddings.embedded import Floats
from shotsmith.errors import DataError, InputError
from shotsmith.files import file_digest, read_json, replacing_folder, write_json
from shotsmith.records import Example

MANIFEST = "manifest.json"
FORMAT = 1

UNKNOWN = ("vlm", "vlm_revision", "prompt_version", "decoding", "encoder")
"""What no file of Lever-Plus says."""

Record = TypeVar("Record")

_ARROW: Mapping[str, Any] = {
    "int": pa.int64(),
    "int | None": pa.int64(),
    "float": pa.float64(),
    "float | None": pa.float64(),
    "str": pa.string(),
    "str | None": pa.string(),
    "LeftOut | None": pa.string(),
    "Indices": pa.list_(pa.int64()),
    "Indices | None": pa.list_(pa.int64()),
    "tuple[str, ...]": pa.list_(pa.string()),
}
"""Columns of the records' fields, by their types."""

_EXAMPLES = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("image", pa.string()),
        pa.field("question", pa.string(), nullable=False),
        pa.field("answers", pa.list_(pa.string()), nullable=False),
        pa.field("question_type", pa.string(), nullable=False),
    ]
)


_FILES = (
    *(f"{name}.parquet" for name in ("examples", "queries", "rollouts", "beams")),
    "embeddings.safetensors",
    "accuracies.json",
    "epochs.json",
    MANIFEST,
)
"""What an import may hold."""


def write_imported(
    folder: Path,
    imported: Imported,
    sources: Sequence[tuple[Path, str]],
    unreadable: Sequence[Mapping[str, str | None]] = (),
) -> dict[str, Any]:
    """Write everything; the folder appears whole, in the place of an earlier import. Returns the manifest.

    `sources` are the files and their formats, `unreadable` the files that could not be read, each with its `problem`.
    Raises InputError where the folder holds something else.
    """
    if folder.exists() and not (folder / MANIFEST).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("is not empty, and not an earlier import; choose another", file=folder)
    manifest = {
        "format": FORMAT,
        "sources": [
            {"file": str(file.absolute()), "format": form, "sha256": file_digest(file)} for file, form in sources
        ],
        "unreadable": list(unreadable),
        "counts": counts(imported),
        "unknown": dict.fromkeys(UNKNOWN, "unknown"),
    }
    with replacing_folder(folder, _FILES) as temporary:
        _write(temporary / "examples.parquet", _EXAMPLES, [_example_row(example) for example in imported.examples])
        for name, kind, records in (
            ("queries", ImportedQuery, imported.queries),
            ("rollouts", ImportedRollout, imported.rollouts),
            ("beams", ImportedBeam, imported.beams),
        ):
            _write(temporary / f"{name}.parquet", _schema(kind), [asdict(record) for record in records])
        if imported.embeddings:
            save_file(
                {str(role): array for role, array in imported.embeddings.items()}, temporary / "embeddings.safetensors"
            )
        write_json(temporary / "accuracies.json", [asdict(accuracy) for accuracy in imported.accuracies])
        write_json(temporary / "epochs.json", list(imported.epochs))
        write_json(temporary / MANIFEST, manifest)
    return manifest


def read_imported(folder: Path) -> Imported:
    """What `write_imported` wrote. Raises InputError where it is no import, DataError where it is damaged."""
    if not (folder / MANIFEST).exists():
        raise InputError(f"is not an import (it has no {MANIFEST}); make one with `shotsmith import`", file=folder)
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataError("is not an import that this version reads", file=folder / MANIFEST, field="format")
    embeddings = folder / "embeddings.safetensors"
    try:
        arrays = load_file(embeddings) if embeddings.exists() else {}
        return Imported(
            examples=tuple(_example(row) for row in _read(folder / "examples.parquet")),
            queries=_records(folder / "queries.parquet", ImportedQuery),
            rollouts=_records(folder / "rollouts.parquet", ImportedRollout),
            beams=_records(folder / "beams.parquet", ImportedBeam),
            embeddings=cast("dict[Role, Floats]", arrays),
            accuracies=tuple(Accuracy(**row) for row in read_json(folder / "accuracies.json")),
            epochs=tuple(read_json(folder / "epochs.json")),
        )
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        raise DataError(f"is damaged: {error}", file=folder) from error


def counts(imported: Imported) -> dict[str, Any]:
    """How much there is of everything, and what nothing is learned from."""
    left_out = Counter(rollout.left_out for rollout in imported.rollouts if rollout.left_out)
    beams_left_out = Counter(beam.left_out for beam in imported.beams if beam.left_out)
    return {
        "examples": len(imported.examples),
        "queries": len(imported.queries),
        "pools": sum(query.pool is not None for query in imported.queries),
        "rollouts": len(imported.rollouts),
        "rollouts_to_learn_from": len(imported.rollouts) - left_out.total(),
        "rollouts_left_out": dict(sorted(left_out.items())),
        "beams": len(imported.beams),
        "beams_left_out": dict(sorted(beams_left_out.items())),
        "embeddings": {role: list(array.shape) for role, array in imported.embeddings.items()},
        "accuracies": len(imported.accuracies),
        "epochs": len(imported.epochs),
    }


def _schema(kind: type[Any]) -> Any:
    return pa.schema([pa.field(each.name, _ARROW[str(each.type)]) for each in fields(kind)])


def _write(path: Path, schema: Any, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def _read(path: Path) -> Iterable[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot be read: {error}", file=path) from error
    return rows


def _records(path: Path, kind: Callable[..., Record]) -> tuple[Record, ...]:
    return tuple(
        kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in row.items()})
        for row in _read(path)
    )


def _example_row(example: Example) -> dict[str, Any]:
    row = {name: getattr(example, name) for name in _EXAMPLES.names}
    return row | {"image": None if example.image is None else str(example.image.absolute())}


def _example(row: dict[str, Any]) -> Example:
    image = row.pop("image")
    images = () if image is None else (Path(image),)
    return Example(**row | {"images": images, "answers": tuple(row["answers"])})
