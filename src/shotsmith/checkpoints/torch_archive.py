"""Files of torch.save, read without running anything that is in them.

torch.load trusts the sizes a file claims, even with weights_only=True, and makes objects as large as it is told to.
So a file is first checked to be a whole zip of plain records whose pickle names nothing but tensors and plain values;
then it is mapped into memory, where no tensor reaches beyond the file.
"""

from __future__ import annotations

import pickletools
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch._weights_only_unpickler import UnpicklingError  # type: ignore[attr-defined]

from shotsmith.errors import CheckpointError
from shotsmith.files import replacing

_LONGEST_PICKLE = 1_000_000
"""Bytes, read in less than a second. Tensors are records of their own: what describes them takes some kilobytes."""

_HARMLESS = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch Size",
    *(f"torch {kind}Storage" for kind in ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char")),
    *(f"torch {kind}Storage" for kind in ("Byte", "Bool")),
}
"""All that weights, figures and texts are made of."""

_DAMAGED = (
    *(RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, AssertionError),
    *(OverflowError, MemoryError, ImportError, struct.error, UnpicklingError),
)
"""What torch and zipfile raise where a file is not what it says it is."""


def read_archive(file: Path) -> Any:
    """What torch.save put into `file`: plain values and CPU tensors.

    Raises CheckpointError where the file cannot be read, is damaged, or needs more than plain values, naming what.
    """
    _check(file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror or error}", file=file) from error
    except _DAMAGED as error:
        raise CheckpointError(f"is damaged: {_first_line(error)}", file=file) from error


def write_archive(file: Path, value: object) -> None:
    """Write `value` as torch.save does, whole or not at all; the same value gives the same bytes."""
    with replacing(file) as temporary, temporary.open("wb") as stream:
        torch.save(value, stream)


def _check(file: Path) -> None:
    try:
        size = file.stat().st_size
        with zipfile.ZipFile(file) as archive:
            _check_records(archive, size, file)
            pickles = [member for member in archive.infolist() if member.filename.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise CheckpointError("is a zip, but none that torch.save wrote (it has no data.pkl)", file=file)
            if pickles[0].file_size > _LONGEST_PICKLE:
                raise CheckpointError(f"holds {pickles[0].file_size:,} bytes beside its tensors", file=file)
            refused = sorted(set(_named_in(archive.read(pickles[0]))) - _HARMLESS)
    except FileNotFoundError as error:
        raise CheckpointError("no such file", file=file) from error
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror or error}", file=file) from error
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"is damaged, or no file of torch.save: {_first_line(error)}", file=file) from error
    except _DAMAGED as error:
        raise CheckpointError(f"is damaged: {_first_line(error)}", file=file) from error
    if refused:
        names = ", ".join(name.replace(" ", ".") for name in refused)
        raise CheckpointError(
            f"needs {names} to be read, and whatever a pickle names can run code: it is refused. "
            "Save it again with tensors and plain values only",
            file=file,
        )


def _check_records(archive: zipfile.ZipFile, size: int, file: Path) -> None:
    members = archive.infolist()
    if sum(member.file_size for member in members) > size:
        raise CheckpointError("is damaged: its records are longer than the file", file=file)
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED:
            raise CheckpointError(f"holds a compressed record, '{member.filename}'; torch.save has none", file=file)
    if (broken := archive.testzip()) is not None:
        raise CheckpointError(f"is damaged: the record '{broken}' is not what was written", file=file)


def _named_in(pickle: bytes) -> Iterator[str]:
    """The globals a pickle names, as 'module name'; those it makes up at run time under what does so."""
    for code, argument, _ in pickletools.genops(pickle):
        if code.name == "GLOBAL":
            yield str(argument)
        elif code.name in {"STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"}:
            yield f"pickle {code.name}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
