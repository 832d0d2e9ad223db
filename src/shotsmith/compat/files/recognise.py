"""Which format a file has, by its content, and the reader of each in one table. Metrics files are read here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shotsmith.compat.files.beam_data import read_anchors, read_beam_data, read_candidates
from shotsmith.compat.files.embeddings import read_embeddings
from shotsmith.compat.files.fields import LONGEST, as_entry, number
from shotsmith.compat.files.records import Accuracy
from shotsmith.compat.files.rl_data import read_rl_data
from shotsmith.compat.log import evidence_of_log
from shotsmith.data.rows import shown
from shotsmith.errors import DataError, InputError
from shotsmith.files import read_json

_SHOTS = re.compile(r"shot_num=([0-9]{1,3})")
_QUERIES = re.compile(r"test_data_num=([0-9]{1,9})(?![0-9])")


def read_metrics_file(file: Path, value: object) -> list[Accuracy]:
    """Every figure, in the file's order. Raises DataError naming file, entry and field."""
    if not isinstance(value, dict):
        raise DataError(f"is not an object of metrics: {shown(value)}", file=file)
    found = []
    for place, (name, entry) in enumerate(value.items()):
        row = as_entry(file, place, entry, shown(name))
        row.checked_text(name, "name")
        queries = _QUERIES.search(name)
        for field, figure in row.fields.items():
            shots = _SHOTS.fullmatch(field)
            if not shots or int(shots[1]) > LONGEST:
                raise row.fault("is not of the form shot_num=1", shown(field))
            accuracy = number(row, figure, field, 0.0)
            found.append(Accuracy(name, int(shots[1]), accuracy, int(queries[1]) if queries else None))
    return found


_KNOWN_FROM = 50
"""So many entries are looked at: the first may be damaged."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read."""

    file: Path
    format: str
    """A key of FORMATS, or 'questions', 'annotations', 'merged'."""
    content: object
    """What the format's reader returns; of questions and annotations nothing, as they are read together."""


_JSON: Mapping[str, Callable[[Path, object], object]] = {
    "beam": read_beam_data,
    "rl": read_rl_data,
    "candidates": read_candidates,
    "anchors": read_anchors,
    "metrics": read_metrics_file,
}
_OTHER: Mapping[str, Callable[[Path], object]] = {
    "embeddings": read_embeddings,
    "log": evidence_of_log,
}
QUESTIONS = ("questions", "annotations", "merged")
"""Formats of the data set itself: `shotsmith.data.official` reads them."""
FORMATS = (*_JSON, *_OTHER, *QUESTIONS)


def read_file(file: Path, form: str | None = None) -> Source:
    """Read a file of Lever-Plus, of the format named or of that which its content shows.

    Raises InputError for an unknown format, DataError or InputError, naming file, row and field, for any fault.
    """
    if form is not None and form not in FORMATS:
        raise InputError(f"there is no format '{form}'; there are: {', '.join(FORMATS)}", field="--as")
    try:
        if form is not None and form in _OTHER:
            return Source(file, form, _OTHER[form](file))
        if form is None and (kind := _by_first_bytes(file)) is not None:
            return Source(file, kind, _OTHER[kind](file))
        value = read_json(file, unique_keys=True)
        kind = form or _by_content(file, value)
        return Source(file, kind, None if kind in QUESTIONS else _JSON[kind](file, value))
    except RecursionError as error:
        raise DataError("is nested too deeply", file=file) from error


def _by_first_bytes(file: Path) -> str | None:
    """'embeddings' or 'log'; None for what begins like JSON."""
    try:
        with file.open("rb") as stream:
            start = stream.read(512)
    except FileNotFoundError as error:
        raise InputError("no such file", file=file) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=file) from error
    if not start:
        raise DataError("is empty", file=file)
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return "embeddings"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return None if text.startswith((b"{", b"[")) else "log"


def _by_content(file: Path, value: object) -> str:
    if isinstance(value, list):
        return "merged" if any(isinstance(each, dict) for each in value[:_KNOWN_FROM]) else "anchors"
    found = _of_object(value) if isinstance(value, dict) else None
    if found is None:
        raise DataError(f"is of no format that is known (name it: --as {'|'.join(FORMATS)}): {shown(value)}", file=file)
    return found


def _of_object(value: Mapping[str, object]) -> str | None:
    for key in ("questions", "annotations"):
        if key in value:
            rows = value[key]
            first = next((row for row in rows if isinstance(row, dict)), {}) if isinstance(rows, list) else {}
            return "merged" if {"question", "answers"} <= first.keys() else key
    for entry in [entry for key, entry in value.items() if key != "_meta"][:_KNOWN_FROM]:
        if isinstance(entry, list):
            return "candidates"
        if isinstance(entry, dict):
            for field, kind in (("pointer_candidates", "rl"), ("id_list", "beam")):
                if field in entry:
                    return kind
            if any(name.startswith("shot_num=") for name in entry):
                return "metrics"
    return "rl" if "_meta" in value else None
