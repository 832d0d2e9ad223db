"""Plain values out of a pickle of torch.save, without unpickling it.

A pickle is a program for a small machine. The machine here builds numbers, texts, lists, dictionaries and descriptions
of tensors. It has no way to import or call anything: every other object becomes an `Opaque` that only has its name.
"""

from __future__ import annotations

import io
import math
import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

LONGEST_PICKLE = 4_000_000
"""Bytes, read in a few seconds. Tensors are records of their own: what describes one takes about 200 bytes."""

DAMAGE = (ValueError, IndexError, KeyError, OverflowError, TypeError, AttributeError, struct.error, UnicodeError)
"""What `pickletools` and the machine raise for bytes that are no pickle."""

_LARGEST = 2**40
_KEYS = (str, int, float, bool, bytes, type(None))


class Opaque:
    """An object that is neither a plain value nor a tensor: it was not made, only its name is known."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies in the file."""

    record: str
    """Name of the record that holds its storage."""
    dtype: torch.dtype
    stored: int
    """Numbers in that storage."""
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def numel(self) -> int:
        """Numbers the tensor claims to have."""
        return math.prod(self.size)


@dataclass(frozen=True, slots=True)
class _Storage:
    record: str
    dtype: torch.dtype
    numel: int


def read_pickle(data: bytes) -> tuple[Any, tuple[str, ...]]:
    """The value, and the names of all globals that the pickle mentions and that are neither values nor tensors.

    Raises ValueError where it is damaged, or longer than any that describes a checkpoint.
    """
    if len(data) > LONGEST_PICKLE:
        raise ValueError(f"holds {len(data):,} bytes beside its tensors")
    machine = _Machine()
    try:
        value = machine.run(data)
    except DAMAGE as error:
        raise ValueError(f"is damaged: {' '.join(str(error).split())[:160] or type(error).__name__}") from error
    return value, tuple(sorted(machine.foreign))


class _Machine:
    """Stack, marks and memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.foreign: set[str] = set()

    def run(self, data: bytes) -> Any:
        for code, argument, _ in pickletools.genops(io.BytesIO(data)):
            if code.name == "STOP":
                return self.stack.pop()
            self._do(code.name, argument)
        raise ValueError("the pickle has no end")

    def _do(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _PUSH:
            self.stack.append(argument)
        elif name in _STORE:
            self.memo[len(self.memo) if argument is None else argument] = self.stack[-1]
        elif name in _FETCH:
            self.stack.append(self.memo[argument])
        elif name in _GATHER:
            self.stack.append(_GATHER[name](self._since_mark()))
        elif name in _SIZES:
            self.stack.append(tuple(self._last(_SIZES[name])))
        elif name in ("APPEND", "APPENDS", "ADDITEMS"):
            self._extend(self._last(1) if name == "APPEND" else self._since_mark())
        elif name in ("SETITEM", "SETITEMS"):
            self._set(self._last(2) if name == "SETITEM" else self._since_mark())
        elif name in ("GLOBAL", "INST"):
            made = self._global(str(argument).replace(" ", "."))
            if name == "INST":
                self._since_mark()
                made = self._foreign(str(argument).replace(" ", "."))
            self.stack.append(made)
        elif name == "STACK_GLOBAL":
            module, attribute = self._last(2)
            self.stack.append(self._global(f"{module}.{attribute}"))
        elif name in ("REDUCE", "NEWOBJ", "NEWOBJ_EX"):
            called, *arguments = self._last(3 if name == "NEWOBJ_EX" else 2)
            self.stack.append(_made(called, arguments[0]))
        elif name == "OBJ":
            called, *_ = self._since_mark()
            self.stack.append(_made(called, ()))
        elif name == "BUILD":
            self._last(1)  # the state of an object that was not made
            self.stack[-1]
        elif name == "BINPERSID":
            self.stack.append(_storage(self.stack.pop()))
        elif name == "MARK":
            self.marks.append(len(self.stack))
        elif name == "POP":
            self._last(1)
        elif name == "POP_MARK":
            self._since_mark()
        elif name == "DUP":
            self.stack.append(self.stack[-1])
        elif name.startswith("EXT"):
            self.stack.append(self._foreign(f"pickle.{name}"))
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"it needs the instruction {name}, which no checkpoint needs")

    def _last(self, count: int) -> list[Any]:
        if count > len(self.stack) - (self.marks[-1] if self.marks else 0):
            raise ValueError("its stack is empty")
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def _since_mark(self) -> list[Any]:
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def _set(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            return
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Other keys are never looked up, and hashing a deeply nested one can overflow the stack.
            self.stack[-1][key if type(key) in _KEYS else Opaque("a key")] = value

    def _global(self, name: str) -> Any:
        return Opaque(name) if name in _MAKERS or name in _STORAGES else self._foreign(name)

    def _foreign(self, name: str) -> Opaque:
        self.foreign.add(name[:200])
        return Opaque(name)


def _made(called: object, arguments: object) -> Any:
    if not isinstance(called, Opaque):
        raise ValueError("it calls something that is no global")
    if called.name in _MAKERS and isinstance(arguments, tuple):
        return _MAKERS[called.name](*arguments)
    return Opaque(called.name)


def _storage(value: object) -> Any:
    """A storage, from ('storage', its type, its record, device, numbers in it)."""
    if not (isinstance(value, tuple) and len(value) == 5 and value[0] == "storage"):
        raise ValueError("it refers to something that is no storage of a tensor")
    _, kind, record, _, numel = value
    if not isinstance(kind, Opaque) or not isinstance(record, str) or not _is_size(numel):
        raise ValueError("it describes a storage in an unknown way")
    return _Storage(record, _STORAGES[kind.name], numel) if kind.name in _STORAGES else Opaque(kind.name)


def _tensor(storage: object, offset: object, size: object, stride: object, *_others: object) -> Any:
    if not isinstance(storage, _Storage):
        return Opaque("a tensor of another kind")
    sizes, strides = _sizes(size), _sizes(stride)
    if type(offset) is not int or not _is_size(offset) or len(sizes) != len(strides):
        raise ValueError("it describes a tensor in an unknown way")
    return StoredTensor(storage.record, storage.dtype, storage.numel, offset, sizes, strides)


def _sizes(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple) or len(value) > 8 or not all(map(_is_size, value)):
        raise ValueError("it describes a tensor in an unknown way")
    return value


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _first(value: object = None, *_others: object) -> object:
    return value


def _mapping(*_arguments: object) -> dict[Any, Any]:
    return {}


_CONSTANTS: Mapping[str, Callable[[], object]] = {
    **{"NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False},
    **{"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": list},
}
_PUSH = frozenset(
    "BININT BININT1 BININT2 INT LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE "
    "SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8".split()
)
_SIZES: Mapping[str, int] = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_STORE = frozenset({"BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"})
_FETCH = frozenset({"BINGET", "LONG_BINGET", "GET"})


def _paired(items: list[Any]) -> dict[Any, Any]:
    return {
        key if type(key) in _KEYS else Opaque("a key"): value for key, value in zip(*[iter(items)] * 2, strict=True)
    }


_GATHER: Mapping[str, Callable[[list[Any]], Any]] = {"TUPLE": tuple, "LIST": list, "FROZENSET": tuple, "DICT": _paired}
_MAKERS: Mapping[str, Callable[..., Any]] = {
    "collections.OrderedDict": _mapping,
    "torch.Size": _first,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
}
"""What the machine makes where a pickle would have something called."""

_STORAGES: Mapping[str, torch.dtype] = {
    f"torch.{name}Storage": dtype
    for name, dtype in {
        **{"Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16},
        **{"Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8},
        **{"Byte": torch.uint8, "Bool": torch.bool},
    }.items()
}
