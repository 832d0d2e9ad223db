"""The selections log: one JSON line for every selection, without images, from which selections can be repeated."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from shotsmith.errors import DataError, InputError
from shotsmith.files import digest
from shotsmith.library.selection import Selection

_LONGEST_LINE = 10_000_000


def query_digest(question: str, images: Iterable[bytes]) -> str:
    """SHA-256 of question and image contents: the same query has the same digest everywhere."""
    return digest("query-1", question, *images)


def log_row(selection: Selection, query: str, milliseconds: float) -> dict[str, Any]:
    """What is kept of a selection. `query` is its digest, `milliseconds` the time from request to selection."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "query": query,
        "question": selection.query.question,
        "ids": list(selection.ids),
        "scores": list(selection.scores),
        "chosen_by": selection.chosen_by,
        "stopped": selection.stopped,
        "familiarity": selection.familiarity,
        "unfamiliar": selection.unfamiliar,
        "milliseconds": round(milliseconds, 3),
    }


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


def read_log(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a log, a line that a kill cut short excepted. Raises DataError naming the line of any other fault."""
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                if not line.endswith("\n"):
                    return
                raise DataError(f"is not JSON: {error}", file=file, row=number) from error
            if not isinstance(row, dict) or not {"query", "question", "ids"} <= row.keys():
                raise DataError("is no row of a selections log", file=file, row=number)
            yield row
