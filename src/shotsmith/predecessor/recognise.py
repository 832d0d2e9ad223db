"""Which format a file has, by its content; and the reader of each, one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shotsmith.data.rows import shown
from shotsmith.diagnosis.log import evidence_of_log
from shotsmith.errors import DataError, InputError
from shotsmith.files import read_json
from shotsmith.predecessor.beam_data import read_beam_data
from shotsmith.predecessor.embeddings import read_embeddings
from shotsmith.predecessor.metrics_file import read_metrics_file
from shotsmith.predecessor.rl_data import read_rl_data
from shotsmith.predecessor.sampler_cache import read_anchors, read_candidates

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
    """Read a file of the predecessor, of the format named or of that which its content shows.

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
