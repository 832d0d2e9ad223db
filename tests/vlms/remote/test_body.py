"""Bodies are read within a bound, whatever is compressed in them, and are JSON or no answer."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest

from shotsmith.vlms.remote.body import parse, read_body
from shotsmith.vlms.remote.retry import BrokenAnswer

MIB = 2**20


class Chunks:
    """A body in chunks, of which is known how many were taken."""

    def __init__(self, content: bytes, size: int = 1000) -> None:
        self.content, self.size, self.taken = content, size, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), self.size):
            self.taken += 1
            yield self.content[start : start + self.size]


def read(content: bytes, encoding: str = "", limit: int = MIB, size: int = 1000, *, whole: bool = True) -> bytes:
    return asyncio.run(read_body(aiter(Chunks(content, size)), encoding, limit, whole=whole))


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "x-gzip", " GZIP "])
def test_a_body_is_what_was_sent(encoding: str, size: int) -> None:
    content = json.dumps(list(range(500))).encode()
    sent = gzip.compress(content[:100]) + gzip.compress(content[100:]) if "zip" in encoding.lower() else content
    assert read(sent, encoding, len(content), size) == content


def test_a_bomb_is_refused_early_and_without_memory() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    sent = b"".join(bomb.compress(bytes(MIB)) for _ in range(300)) + bomb.flush()
    chunks = Chunks(sent, 65536)
    tracemalloc.start()
    with pytest.raises(BrokenAnswer, match=r"longer than 1,048,576 bytes.*reply_megabytes"):
        asyncio.run(read_body(aiter(chunks), "gzip", MIB))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert chunks.taken <= 2 and most < 4 * MIB


def test_bombs_of_many_members_and_of_plain_bytes_are_refused() -> None:
    with pytest.raises(BrokenAnswer, match="longer"):
        read(gzip.compress(bytes(MIB)) * 3, "gzip", 2 * MIB, 65536)
    with pytest.raises(BrokenAnswer, match="longer"):
        read(gzip.compress(b"") * 60_000, "gzip", MIB, 65536)
    with pytest.raises(BrokenAnswer, match="longer"):
        read(bytes(1001), "", 1000)
    assert read(bytes(1000), "", 1000) == bytes(1000)


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "x" * 500])
def test_what_is_compressed_in_a_way_that_was_not_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(BrokenAnswer, match="not asked for"):
        read(b"{}", encoding)


def test_damaged_compression_is_no_answer() -> None:
    sent = gzip.compress(bytes(range(256)) * 20)
    for damaged in (sent[:-5], sent[:20], b"\x1f\x8b" + sent[5:], sent + b"rest", b"plain text"):
        with pytest.raises(BrokenAnswer, match="cannot be decompressed"):
            read(damaged, "gzip")


def test_of_an_error_s_body_only_the_beginning_is_read() -> None:
    assert read(b"a" * 5000, "", 1000, whole=False) == b"a" * 1000
    assert read(gzip.compress(b"a" * 5000), "gzip", 1000, whole=False) == b"a" * 1000


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"a": NaN}',
        b"[Infinity]",
        b"-Infinity",
        b"[" * 200_000,
        b"[" * 200_000 + b"]" * 200_000,
        b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
        b"1" * 5000,
        b"\x80",
    ],
    ids=lambda content: str(content[:20]),
)
def test_what_is_no_json_or_too_deep_is_no_answer(content: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        parse(content)
