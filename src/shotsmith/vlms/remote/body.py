"""The body of a reply, read as it comes, decompressed and parsed within a bound."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator
from typing import Any, NoReturn

from shotsmith.vlms.remote.retry import BrokenAnswer

ENCODINGS = "gzip"
"""What is asked for as Accept-Encoding: zlib can be told how much to decompress at most."""

_GZIP = 16 + zlib.MAX_WBITS


async def read_body(chunks: AsyncIterator[bytes], encoding: str, limit: int, *, whole: bool = True) -> bytes:
    """The decompressed body, of which no more than `limit` bytes are ever held.

    A longer one raises BrokenAnswer as soon as that is known, or is cut there where `whole` is False. Raises
    BrokenAnswer for a damaged one and for an encoding that was not asked for.
    """
    body = _Body(encoding, limit)
    async for chunk in chunks:
        body.take(chunk)
        if body.is_too_long:
            if whole:
                raise BrokenAnswer(f"the server's reply is longer than {limit:,} bytes (vlm.server.reply_megabytes)")
            return body.content(whole)
    return body.content(whole)


def parse(content: bytes) -> Any:
    """A body as JSON. Raises BrokenAnswer for anything else, NaN and what is nested too deeply included."""
    try:
        return json.loads(content, parse_constant=_refuse)
    except RecursionError:
        raise BrokenAnswer("the server's reply is nested too deeply") from None
    except ValueError as error:
        raise BrokenAnswer(f"the server's reply is no JSON: {error}") from error


class _Body:
    def __init__(self, encoding: str, limit: int) -> None:
        kind = encoding.strip().lower()
        if kind not in ("", "identity", "gzip", "x-gzip"):
            raise BrokenAnswer("the server's reply is compressed in a way that was not asked for")
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = self._received = 0
        self._gzip = zlib.decompressobj(_GZIP) if kind.endswith("gzip") else None

    @property
    def is_too_long(self) -> bool:
        return self._size > self._limit or self._received > self._limit

    def take(self, chunk: bytes) -> None:
        self._received += len(chunk)
        if self._gzip is None:
            self._add(chunk)
            return
        try:
            while chunk and not self.is_too_long:
                if self._gzip.eof:  # a body may have several members
                    self._gzip = zlib.decompressobj(_GZIP)
                self._add(self._gzip.decompress(chunk, self._limit - self._size + 1))
                chunk = self._gzip.unused_data.lstrip(b"\0")
        except zlib.error as error:
            raise BrokenAnswer(f"the server's reply cannot be decompressed: {error}") from error

    def content(self, whole: bool) -> bytes:
        if whole and self._gzip is not None and self._received and not self._gzip.eof:
            raise BrokenAnswer("the server's reply cannot be decompressed: it is cut short")
        return b"".join(self._parts)[: self._limit]

    def _add(self, part: bytes) -> None:
        self._parts.append(part[: self._limit - self._size + 1])
        self._size += len(part)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")
