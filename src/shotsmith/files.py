"""Files and folders that are either whole or absent, files of JSON lines, and content hashes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from shotsmith.errors import InputError, ShotsmithError, WriteError
from shotsmith.temporary import clear_leftovers, exchange_folder, unfinished_file, unfinished_folder

Row = dict[str, Any]
"""One line of a JSON-lines file."""

_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""How libraries written in Rust (safetensors) tell what the disk refuses."""


def is_utf8(text: str) -> bool:
    """Whether a text can be written in UTF-8: no half of a character (a lone surrogate) stands in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes `path`'s place at once, durably.

    Without `durable` nothing waits for the disk: the place is taken at once, but a power cut may empty the file.
    Raises WriteError where the disk is full, read-only or failing, or the name cannot be had.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if durable:
            clear_leftovers(path.parent, path)
        with unfinished_file(path) as temporary:
            yield temporary
            if durable:
                sync(temporary)
            temporary.replace(path)
            if durable:
                sync(path.parent)


@contextlib.contextmanager
def replacing_folder(folder: Path, own: Collection[str] = ()) -> Iterator[Path]:
    """Yield a new folder beside `folder` that takes its place on success; what a kill left behind is removed.

    Raises InputError where `folder` holds something that the new one lacks and that is not of `own`: it would be
    lost; WriteError as `replacing` does.
    """
    with _explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(folder.parent, folder)
        with unfinished_folder(folder) as temporary:
            yield temporary
            if folder.exists():
                known = {entry.name for entry in temporary.iterdir()} | set(own)
                if strangers := {entry.name for entry in folder.iterdir()} - known:
                    problem = f"holds '{min(strangers)}', which would be lost; move it away, or choose another folder"
                    raise InputError(problem, file=folder)
            exchange_folder(temporary, folder)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into one error that names the file, whichever library tells it."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and Path(os.fsdecode(error.filename)).parent != path.parent:
            raise  # of another file
        raise WriteError(f"{error.strerror or error}", file=path) from error
    except Exception as error:
        if (told := _OS_ERROR.search(str(error))) and not isinstance(error, ShotsmithError):
            raise WriteError(os.strerror(int(told.group(1))), file=path) from error
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically and durably."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object, *, indent: int | None = 1) -> None:
    """Write JSON atomically; NaN and infinities are refused (ValueError): they are not JSON."""
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, *, unique_keys: bool = False) -> Any:
    """The JSON value in `path` (a byte-order mark is accepted). Raises InputError naming file and line.

    With `unique_keys` also where a key stands twice in one object: all but the last of its values would be lost.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique if unique_keys else None)
    except FileNotFoundError as error:
        raise InputError("no such file", file=path) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=path) from error
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", file=path) from error
    except json.JSONDecodeError as error:
        problem = f"is not valid JSON: {error.msg}, column {error.colno}"
        raise InputError(problem, file=path, row=error.lineno) from error
    except RecursionError as error:
        raise InputError("is nested too deeply", file=path) from error
    except ValueError as error:  # a whole number of thousands of digits
        raise InputError(f"is not valid JSON: {error}", file=path) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice[:60]!r} stands twice in an object")
    return found


def append_row(path: Path, row: Mapping[str, object]) -> None:
    """Append one JSON line durably; what a kill left of an unfinished line is cut off first.

    Raises WriteError where the disk does not take it.
    """
    line = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as stream:
            stream.seek(0)
            written = stream.read()
            stream.truncate(written.rfind(b"\n") + 1)
            stream.write(line.encode())
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise WriteError(error.strerror or str(error), file=path) from error


def read_rows(path: Path, required: tuple[str, ...] = ()) -> list[Row]:
    """The whole lines of a JSON-lines file; none where it is absent.

    Raises InputError naming the line that is damaged or lacks a required field.
    """
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError("is not a line of JSON", file=path, row=number) from error
        if not isinstance(row, dict):
            raise InputError("is not a JSON object", file=path, row=number)
        if missing := [key for key in required if key not in row]:
            raise InputError("is missing", file=path, row=number, field=missing[0])
        rows.append(row)
    return rows


def digest(*parts: str | bytes | memoryview) -> str:
    """SHA-256 (hex) of the parts; each is length-prefixed, so that no two lists of parts collide."""
    hasher = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        hasher.update(len(data).to_bytes(8, "big"))
        hasher.update(data)
    return hasher.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes; remembered while size and time of change stay the same."""
    try:
        status = path.stat()
        return _file_digest(path, status.st_size, status.st_mtime_ns)
    except FileNotFoundError as error:
        raise InputError("no such file", file=path) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=path) from error


@lru_cache(maxsize=1_000_000)
def _file_digest(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync(place: Path) -> None:
    """Wait until the disk has a file, or the names in a folder."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
