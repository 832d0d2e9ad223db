"""Files of torch.save, read without running anything that is in them.

torch.load trusts the sizes a file claims, and refuses a file as a whole if any part of it is more than tensors and
plain values. So a file is first checked to be a whole zip of plain records; then its pickle is read by
`restricted_pickle`, and only the tensors that are asked for are taken from their records.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from shotsmith.compat.restricted_pickle import LONGEST_PICKLE, StoredTensor, read_pickle
from shotsmith.errors import CheckpointError
from shotsmith.files import replacing

_DAMAGED = (
    *(RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, AssertionError),
    *(OverflowError, MemoryError, struct.error),
)
"""What zipfile and torch raise where a file is not what it says it is."""

_RUNS_CODE = frozenset(
    "builtins __builtin__ os posix nt io _io sys subprocess importlib runpy shutil socket ctypes pty code webbrowser "
    "pickle _pickle marshal multiprocessing tempfile commands operator".split()
)
"""Modules by which pickles run programs. No checkpoint has a reason to name them."""
_HARMLESS_BUILTINS = frozenset(
    "bool bytearray bytes complex dict float frozenset getattr int list object range set slice str tuple".split()
)


@dataclass(frozen=True, slots=True)
class Archive:
    """What a file holds."""

    value: Any
    """Plain values, `StoredTensor`s, and an `Opaque` for everything else."""
    opaque: tuple[str, ...]
    """Names of what is neither a plain value nor a tensor."""


def read_archive(file: Path) -> Archive:
    """What torch.save put into `file`, its tensors only described.

    Raises CheckpointError where the file cannot be read or is damaged, or where it names something that runs code.
    """
    with _opened(file) as archive:
        pickles = [member for member in archive.infolist() if member.filename.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError("is a zip, but none that torch.save wrote (it has no data.pkl)", file=file)
        if pickles[0].file_size > LONGEST_PICKLE:
            raise CheckpointError(f"holds {pickles[0].file_size:,} bytes beside its tensors", file=file)
        try:
            value, opaque = read_pickle(archive.read(pickles[0]))
        except ValueError as error:
            raise CheckpointError(str(error), file=file) from error
    if refused := [name for name in opaque if _runs_code(name)]:
        raise CheckpointError(
            f"needs {', '.join(refused)} to be read, which can run any code: it is refused, and nothing was run. "
            "Save it again with tensors and plain values only",
            file=file,
        )
    return Archive(value, opaque)


def read_tensors(file: Path, wanted: Mapping[str, StoredTensor]) -> dict[str, torch.Tensor]:
    """The tensors, on the CPU, each by its name. Raises CheckpointError where the file does not hold one whole."""
    found = {}
    with _opened(file, check=False) as archive:
        members = {member.filename.partition("/")[2]: member for member in archive.infolist()}
        order = archive.read(members["byteorder"]) if "byteorder" in members else b"little"
        if order != b"little":
            raise CheckpointError("holds numbers in another byte order than this machine reads", file=file)
        for name, tensor in wanted.items():
            member = members.get(f"data/{tensor.record}")
            if member is None or not _fits(tensor, member.file_size):
                raise CheckpointError("is damaged: its record does not hold this tensor", file=file, field=name)
            found[name] = _tensor(archive.read(member), tensor)
    return found


def write_archive(file: Path, value: object) -> None:
    """Write `value` as torch.save does, whole or not at all; the same value gives the same bytes."""
    with replacing(file) as temporary, temporary.open("wb") as stream:
        torch.save(value, stream)


@contextmanager
def _opened(file: Path, *, check: bool = True) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            if check:
                _check_records(archive, file.stat().st_size, file)
            yield archive
    except FileNotFoundError as error:
        raise CheckpointError("no such file", file=file) from error
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror or error}", file=file) from error
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"is damaged, or no file of torch.save: {_first_line(error)}", file=file) from error
    except CheckpointError:
        raise
    except _DAMAGED as error:
        raise CheckpointError(f"is damaged: {_first_line(error)}", file=file) from error


def _check_records(archive: zipfile.ZipFile, size: int, file: Path) -> None:
    members = archive.infolist()
    if sum(member.file_size for member in members) > size:
        raise CheckpointError("is damaged: its records are longer than the file", file=file)
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED:
            raise CheckpointError(f"holds a compressed record, '{member.filename}'; torch.save has none", file=file)
    if (broken := archive.testzip()) is not None:
        raise CheckpointError(f"is damaged: the record '{broken}' is not what was written", file=file)


def _fits(tensor: StoredTensor, size: int) -> bool:
    """Whether the record is as long as the storage, and the tensor within it."""
    if tensor.stored * tensor.dtype.itemsize != size:
        return False
    reach = sum((count - 1) * stride for count, stride in zip(tensor.size, tensor.stride, strict=True))
    return tensor.numel == 0 or tensor.offset + reach < tensor.stored


def _tensor(record: bytes, tensor: StoredTensor) -> torch.Tensor:
    if not tensor.numel:
        return torch.empty(tensor.size, dtype=tensor.dtype)
    storage = torch.frombuffer(bytearray(record), dtype=tensor.dtype)
    return storage.as_strided(tensor.size, tensor.stride, tensor.offset)


def _runs_code(name: str) -> bool:
    module, _, attribute = name.partition(".")
    return module in _RUNS_CODE and not (module.strip("_").startswith("builtin") and attribute in _HARMLESS_BUILTINS)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
