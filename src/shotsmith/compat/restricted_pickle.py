"""An unpickler that imports and calls nothing: it gives plain values, and descriptions of tensors and numpy arrays.

Every other object becomes an `Opaque` that only has its name. The standard library's unpickler decodes the stream;
what it would do with objects (look up, call, fill, hash) is replaced. It is the one written in Python, because the one
in C reserves memory for whatever index of its memo a file names.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

LONGEST_PICKLE = 4_000_000
"""Bytes, read in a few seconds. Tensors are records of their own: what describes one takes about 200 bytes."""

_DAMAGE = (
    *(pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, OverflowError, TypeError, AttributeError),
    *(AssertionError, struct.error, UnicodeError),
)
"""What the unpickler raises for bytes that are no pickle."""

_LARGEST = 2**40
_KEYS = (str, int, float, bool, bytes, type(None))
"""Other keys are never looked up, and hashing a deeply nested one can overflow the stack."""


class Opaque:
    """An object that is neither a plain value nor a tensor nor an array: it was not made, only its name is known."""

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


@dataclass(slots=True)
class StoredType:
    """A numpy dtype: its code, and the state that says its byte order. Neither is checked."""

    code: object
    state: object = None


@dataclass(slots=True)
class StoredArray:
    """A numpy array: its state (version, shape, dtype, whether by columns, bytes), which is not checked."""

    state: object = None


@dataclass(frozen=True, slots=True)
class _Storage:
    record: str
    dtype: torch.dtype
    numel: int


def read_pickle(data: bytes) -> tuple[Any, tuple[str, ...]]:
    """The value, and the names of all globals that the pickle mentions and that are no part of a value.

    Raises ValueError where it is damaged, or needs an instruction that no plain value needs.
    """
    unpickler = _Restricted(io.BytesIO(data))
    try:
        value = unpickler.load()
    except _DAMAGE as error:
        raise ValueError(f"is damaged: {' '.join(str(error).split())[:160] or type(error).__name__}") from error
    return value, tuple(sorted(unpickler.foreign))


class _Restricted(pickle._Unpickler):
    """The unpickler. `foreign` are the names of the globals that it has not made anything of."""

    stack: list[Any]
    append: Callable[[object], None]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="latin-1")
        self.foreign: set[str] = set()

    def find_class(self, module: str, name: str) -> Opaque:
        """The name of a global; nothing is imported."""
        whole = f"{module}.{name}"
        if whole not in _MAKERS and whole not in _STORAGES:
            self.foreign.add(whole[:200])
        return Opaque(whole)

    def persistent_load(self, value: object) -> object:
        """A storage, from ('storage', its type, its record, device, numbers in it)."""
        if not (isinstance(value, tuple) and len(value) == 5 and value[0] == "storage"):
            raise ValueError("it refers to something that is no storage of a tensor")
        _, kind, record, _, numel = value
        if not isinstance(kind, Opaque) or not isinstance(record, str) or not _is_size(numel):
            raise ValueError("it describes a storage in an unknown way")
        return _Storage(record, _STORAGES[kind.name], numel) if kind.name in _STORAGES else Opaque(kind.name)

    def _call(self, called: object, arguments: object) -> None:
        if not isinstance(called, Opaque):
            raise ValueError("it calls something that is no global")
        if called.name in _MAKERS and isinstance(arguments, tuple | list):
            self.append(_MAKERS[called.name](*arguments))
        else:
            self.append(Opaque(called.name))

    def _reduce(self) -> None:
        arguments, called = self.stack.pop(), self.stack.pop()
        self._call(called, arguments)

    def _new_with_names(self) -> None:
        self.stack.pop()
        self._reduce()

    def _object(self) -> None:
        called, *arguments = self.pop_mark()
        self._call(called, arguments)

    def _instance(self) -> None:
        module, name = (self.readline()[:-1].decode("ascii") for _ in range(2))
        arguments = self.pop_mark()
        self._call(self.find_class(module, name), arguments)

    def _build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if isinstance(made, StoredType | StoredArray):
            made.state = state

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def _set(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], dict):
            pairs = zip(items[::2], items[1::2], strict=True)
            self.stack[-1].update((key if type(key) in _KEYS else Opaque("a key"), value) for key, value in pairs)

    def _dictionary(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set(items)

    def _bytes(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(min(length, _LARGEST)))

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **vars(pickle._Unpickler)["dispatch"],
        **{pickle.REDUCE[0]: _reduce, pickle.NEWOBJ[0]: _reduce, pickle.NEWOBJ_EX[0]: _new_with_names},
        **{pickle.OBJ[0]: _object, pickle.INST[0]: _instance, pickle.BUILD[0]: _build},
        **{pickle.DICT[0]: _dictionary, pickle.BYTEARRAY8[0]: _bytes},
        pickle.SETITEM[0]: lambda self: self._set([self.stack.pop(-2), self.stack.pop()]),
        pickle.SETITEMS[0]: lambda self: self._set(self.pop_mark()),
        pickle.APPEND[0]: lambda self: self._extend([self.stack.pop()]),
        pickle.APPENDS[0]: lambda self: self._extend(self.pop_mark()),
        pickle.EMPTY_SET[0]: lambda self: self.append([]),
        pickle.ADDITEMS[0]: lambda self: self._extend(self.pop_mark()),
        pickle.FROZENSET[0]: lambda self: self.append(tuple(self.pop_mark())),
    }
    for _code in (pickle.EXT1, pickle.EXT2, pickle.EXT4):
        del dispatch[_code[0]]  # they name objects that this process has registered


def _tensor(storage: object, offset: object, size: object, stride: object, *_others: object) -> object:
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


def _encoded(text: object, encoding: object = None) -> bytes:
    """Bytes, which protocols before 3 store as text."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("it stores bytes in an unknown way")
    return text.encode("latin-1")


def _from_buffer(data: object, kind: object, shape: object, order: object) -> StoredArray:
    return StoredArray((1, shape, kind, order == "F", data))


def _first(value: object = None, *_others: object) -> object:
    return value


_MAKERS: Mapping[str, Callable[..., object]] = {
    "collections.OrderedDict": lambda *_arguments: {},
    "torch.Size": _first,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "_codecs.encode": _encoded,
    "numpy.ndarray": lambda *_arguments: Opaque("numpy.ndarray"),
    "numpy.dtype": lambda code=None, *_flags: StoredType(code),
    **{f"numpy.{core}.multiarray._reconstruct": lambda *_kind: StoredArray() for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")},
}
"""What stands in the place of a call of each global."""

_STORAGES: Mapping[str, torch.dtype] = {
    f"torch.{name}Storage": dtype
    for name, dtype in {
        **{"Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16},
        **{"Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8},
        **{"Byte": torch.uint8, "Bool": torch.bool},
    }.items()
}
