"""The rows of a JSON file's list one after the other, so that a file of any size takes the memory of a few rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from shotsmith.data.rows import shown
from shotsmith.errors import DataError
from shotsmith.files import read_json

_CHUNK = 1 << 22
_SPACE = " \t\n\r"
_ENDS = ",:]}" + _SPACE
_DECODER = json.JSONDecoder()


class JsonRows:
    """A JSON file that is an object with a list under one of `keys` (the first found), or a bare list.

    Iterating gives the list's elements. What else the object holds beside them, lists apart, is in `header`, complete
    once the rows are through. Raises InputError where the file is no JSON, DataError where it has another form.
    """

    def __init__(self, file: Path, *keys: str, bare: bool = False) -> None:
        self.file = file
        self.header: dict[str, object] = {}
        self._keys = keys
        self._bare = bare

    def __iter__(self) -> Iterator[object]:
        yielded = 0
        try:
            with self.file.open(encoding="utf-8-sig", newline="") as stream:
                for row in self._streamed(_Reader(stream)):
                    yielded += 1
                    yield row
            return
        except (OSError, ValueError, RecursionError, EOFError, _OtherForm):
            content: object = read_json(self.file)  # says what is wrong where the file is no JSON at all
        yield from self._rows(content)[yielded:]

    def _streamed(self, reader: _Reader) -> Iterator[object]:
        if self._bare and reader.peek() == "[":
            yield from reader.elements()
            return
        wanted = self._keys[0]
        found = False
        reader.take("{")
        while True:
            key = reader.value()
            reader.take(":")
            if key == wanted and reader.peek() == "[":
                found = True
                yield from reader.elements()
            elif isinstance(key, str):
                value = reader.value()
                if isinstance(value, list | dict):
                    value = None  # a table of something else
                self.header[key] = value
            if reader.take(",}") == "}":
                break
        reader.end()
        if not found:
            raise _OtherForm

    def _rows(self, content: object) -> list[object]:
        if self._bare and isinstance(content, list):
            return content
        if not isinstance(content, dict):
            raise DataError(f"is not a JSON object: {shown(content)}", file=self.file)
        self.header = {key: value for key, value in content.items() if not isinstance(value, list | dict)}
        key = next((key for key in self._keys if key in content), self._keys[0])
        if key not in content:
            raise DataError("is missing", file=self.file, field=key)
        rows = content[key]
        if not isinstance(rows, list):
            raise DataError(f"is not a list: {shown(rows)}", file=self.file, field=key)
        return rows


class _OtherForm(Exception):
    """The list is not where it was looked for."""


class _Reader:
    """JSON values from a stream of text, of which no more is held than the value at hand and a chunk."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._at = 0

    def peek(self) -> str:
        """The next character that is no space."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            self._more()

    def take(self, allowed: str) -> str:
        character = self.peek()
        if character not in allowed:
            raise ValueError(character)
        self._at += 1
        return character

    def value(self) -> object:
        """The next value; read on until what follows it is there too, as a number may be cut anywhere."""
        self.peek()
        while True:
            try:
                found, end = _DECODER.raw_decode(self._text, self._at)
                if end < len(self._text) and self._text[end] in _ENDS:
                    self._at = end
                    value: object = found
                    return value
            except json.JSONDecodeError:
                pass
            self._more()

    def elements(self) -> Iterator[object]:
        """The elements of a list."""
        self.take("[")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            yield self.value()
            if self.take(",]") == "]":
                return

    def end(self) -> None:
        """Nothing but spaces may follow."""
        try:
            self.peek()
        except EOFError:
            return
        raise ValueError("more follows")

    def _more(self) -> None:
        chunk = self._stream.read(_CHUNK)
        if not chunk:
            raise EOFError
        self._text = self._text[self._at :] + chunk
        self._at = 0
