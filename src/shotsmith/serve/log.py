"""The selections log: one JSON line for every selection, without images, from which selections can be repeated."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

from shotsmith.errors import InputError
from shotsmith.evaluation.selections import content_hash
from shotsmith.library.bank import Bank
from shotsmith.library.selection import Selection
from shotsmith.records import Example

_LONGEST_LINE = 10_000_000


def log_row(
    selection: Selection, query: str, shots: int | Literal["auto"], bank: Bank, milliseconds: float
) -> dict[str, Any]:
    """What is kept of a selection from `bank`; `shotsmith.evaluation.served` reads it.

    `query` is its digest, `shots` what was asked for, `milliseconds` the time from request to selection.
    """
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "query": query,
        "question": selection.query.question,
        "shots": shots,
        "ids": list(selection.ids),
        "hashes": [_hash(bank.examples[bank.row(one)]) for one in selection.ids],
        "scores": list(selection.scores),
        "chosen_by": selection.chosen_by,
        "stopped": selection.stopped,
        "familiarity": selection.familiarity,
        "unfamiliar": selection.unfamiliar,
        "milliseconds": round(milliseconds, 3),
    }


def _hash(example: Example) -> str | None:
    """The content of an example; None where an image is not on this machine."""
    try:
        return content_hash(example)
    except InputError:
        return None


class SelectionsLog:
    """A file of rows that is put aside (`FILE.1`, `FILE.2`, ...) when it is full; the oldest are deleted."""

    def __init__(self, file: Path, most_bytes: int, files: int) -> None:
        """Rows are added to what the file holds. Raises InputError where it cannot be written."""
        self._file = file
        self._most_bytes = most_bytes
        self._files = files
        self._lock = threading.Lock()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a+b") as held:
                _drop_cut_line(held)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror or error}", file=file) from error

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows. Raises OSError where the disk does not take them."""
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        with self._lock:
            if self._file.exists() and self._file.stat().st_size + len(lines) > self._most_bytes:
                self._put_aside()
            with self._file.open("ab") as out:
                out.write(lines)

    def _put_aside(self) -> None:
        aside = [self._file, *(self._file.with_name(f"{self._file.name}.{n}") for n in range(1, self._files + 1))]
        aside[-1].unlink(missing_ok=True)
        for older, newer in zip(aside[:0:-1], aside[-2::-1], strict=True):
            if newer.exists():
                newer.replace(older)


def _drop_cut_line(held: BinaryIO) -> None:
    """Remove what a kill left of a last line."""
    size = held.seek(0, os.SEEK_END)
    held.seek(max(0, size - _LONGEST_LINE))
    tail = held.read()
    held.truncate(size - len(tail) + tail.rfind(b"\n") + 1)
