"""A numpy array out of a pickle, without unpickling it.

A pickle is a program for a small machine. The one here knows the few instructions by which numpy writes an array of
numbers, and has no way to import or call anything: a pickle that wants more is refused with the name of what it wants.
"""

from __future__ import annotations

import io
import math
import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

NUMBERS = frozenset({"f2", "f4", "f8"})
"""The types of numbers an array of embeddings may have."""

_DAMAGE = (ValueError, IndexError, KeyError, OverflowError, TypeError, AttributeError, struct.error, UnicodeError)
"""What `pickletools` raises for bytes that are no pickle."""


class NotAnArray(ValueError):
    """The pickle is damaged, or holds something else than one array of numbers."""


@dataclass(frozen=True, slots=True)
class _Name:
    """A global the pickle speaks of. It is never looked up."""

    name: str


@dataclass(slots=True)
class _Type:
    """A numpy dtype in the making."""

    code: str
    order: str = "<"

    def build(self, state: object) -> None:
        if not (isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "=")):
            raise NotAnArray("describes its type of numbers in an unknown way")
        self.order = str(state[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        if self.code not in NUMBERS:
            raise NotAnArray(f"holds values of type '{self.code[:20]}', not floating-point numbers")
        return np.dtype(self.order.replace("|", "=") + self.code)


@dataclass(slots=True)
class _Array:
    """A numpy array in the making."""

    values: Array | None = None

    def build(self, state: object) -> None:
        if not (isinstance(state, tuple) and len(state) == 5):
            raise NotAnArray("describes its array in an unknown way")
        _, shape, kind, by_columns, data = state
        self.values = _values(data, kind, shape, "F" if by_columns else "C")


def speaks_of_numpy(data: bytes) -> bool:
    """Whether a pickle names anything of numpy's, as far as it can be read. Nothing is executed."""
    texts = ("GLOBAL", "SHORT_BINUNICODE", "BINUNICODE")
    try:
        return any(
            code.name in texts and str(argument).startswith("numpy")
            for code, argument, _ in pickletools.genops(io.BytesIO(data))
        )
    except _DAMAGE:
        return False


def read_array(data: bytes) -> Array:
    """The array. Raises NotAnArray with the reason for anything else, whatever the bytes are."""
    try:
        return _Machine().run(data)
    except NotAnArray:
        raise
    except _DAMAGE as error:
        raise NotAnArray(f"is damaged: {' '.join(str(error).split())[:100]}") from error


class _Machine:
    """Stack, memo, and the instructions numpy needs."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Array:
        for code, argument, _ in pickletools.genops(io.BytesIO(data)):
            if code.name == "STOP":
                break
            self._do(code.name, argument)
        result = self.stack.pop()
        if isinstance(result, _Array):
            result = result.values
        if not isinstance(result, np.ndarray):
            raise NotAnArray("holds no numpy array")
        return result

    def _do(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _PUSH:
            self.stack.append(argument)
        elif name in _SIZES:
            self._tuple(_SIZES[name])
        elif name in _STORE:
            self.memo[len(self.memo) if argument is None else argument] = self.stack[-1]
        elif name in _FETCH:
            self.stack.append(self.memo[argument])
        elif name == "MARK":
            self.marks.append(len(self.stack))
        elif name == "TUPLE":
            self._tuple(len(self.stack) - self.marks.pop())
        elif name == "GLOBAL":
            self._name(str(argument).replace(" ", "."))
        elif name == "STACK_GLOBAL":
            attribute, module = self.stack.pop(), self.stack.pop()
            self._name(f"{module}.{attribute}")
        elif name == "REDUCE":
            arguments, called = self.stack.pop(), self.stack.pop()
            self.stack.append(_made(called, arguments))
        elif name == "BUILD":
            state = self.stack.pop()
            self._buildable().build(state)
        elif name not in ("PROTO", "FRAME"):
            raise NotAnArray(f"needs the instruction {name}, which no array of numbers needs")

    def _tuple(self, size: int) -> None:
        if not 0 <= size <= len(self.stack):
            raise NotAnArray("is damaged: its stack is empty")
        start = len(self.stack) - size
        self.stack[start:] = [tuple(self.stack[start:])]

    def _name(self, name: str) -> None:
        if name not in _MAKERS and name != "numpy.ndarray":
            raise NotAnArray(f"needs {name[:100]!r}, which is code; only what rebuilds an array is followed")
        self.stack.append(_Name(name))

    def _buildable(self) -> _Type | _Array:
        made = self.stack[-1]
        if not isinstance(made, _Type | _Array):
            raise NotAnArray("fills something that is no array")
        return made


def _made(called: object, arguments: object) -> object:
    if not (isinstance(called, _Name) and called.name in _MAKERS and isinstance(arguments, tuple)):
        raise NotAnArray("calls something that is not numpy's way to rebuild an array")
    return _MAKERS[called.name](*arguments)


def _empty(_kind: object, _shape: object, _code: object) -> _Array:
    return _Array()


def _type(code: object, *_flags: object) -> _Type:
    if not isinstance(code, str):
        raise NotAnArray("names its type of numbers in an unknown way")
    return _Type(code)


def _encoded(text: object, encoding: object) -> bytes:
    """Protocol 2 has no bytes: it stores them as text."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise NotAnArray("stores its bytes in an unknown way")
    return text.encode("latin-1")


def _from_buffer(data: object, kind: object, shape: object, order: object) -> _Array:
    return _Array(_values(data, kind, shape, order))


def _values(data: object, kind: object, shape: object, order: object) -> Array:
    if not isinstance(data, bytes | bytearray) or not isinstance(kind, _Type) or order not in ("C", "F"):
        raise NotAnArray("holds no array of numbers")
    if not (isinstance(shape, tuple) and all(type(size) is int and 0 <= size < 2**40 for size in shape)):
        raise NotAnArray("has no shape that an array can have")
    if math.prod(shape) * kind.dtype.itemsize != len(data):
        raise NotAnArray(f"holds {len(data)} bytes for an array of shape {shape}")
    return np.frombuffer(data, kind.dtype).reshape(shape, order="F" if order == "F" else "C")


_CONSTANTS: Mapping[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_PUSH = frozenset(
    "BININT BININT1 BININT2 INT LONG LONG1 BINUNICODE SHORT_BINUNICODE BINUNICODE8 UNICODE BINBYTES SHORT_BINBYTES "
    "BINBYTES8 BYTEARRAY8".split()
)
_SIZES: Mapping[str, int] = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_STORE = frozenset({"BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"})
_FETCH = frozenset({"BINGET", "LONG_BINGET", "GET"})
_MAKERS: Mapping[str, Callable[..., object]] = {
    "numpy.dtype": _type,
    "_codecs.encode": _encoded,
    **{f"numpy.{core}.multiarray._reconstruct": _empty for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")},
}
"""What the machine makes where a pickle would have numpy called."""
