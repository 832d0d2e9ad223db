"""Ten million completions in one store: `python benchmarks/store.py [--completions N] [--json]`.

The store is written in order of its keys (as a merge writes it), 20,000 further completions batch by batch (as a run
writes them). Looked up are 10,000 keys of which nine in ten are there: cold (the file's pages dropped from the
system's memory, the store opened anew), then warm. Every text that comes back is checked.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from resident_memory import ResidentMemory

from shotsmith.completions.store import Store
from shotsmith.records import Completion

BLOCK = 100_000
WORDS = ("red", "two", "a small dog", "yes", "no", "on the left", "a man with a hat", "blue and white")


def key(number: int, total: int) -> bytes:
    """Random but for its first bytes, which grow with the number."""
    return (number * 2**64 // total).to_bytes(8, "big") + hashlib.sha256(number.to_bytes(8, "big")).digest()[:24]


def text(number: int) -> str:
    return WORDS[number % len(WORDS)] + f" {number % 997}"


def blocks(total: int) -> Iterator[range]:
    for start in range(0, total, BLOCK):
        yield range(start, min(start + BLOCK, total))


def build(path: Path, total: int) -> float:
    """Seconds taken; every completion has a text and one log-probability."""
    Store.open(path).close()
    start = time.perf_counter()
    connection = sqlite3.connect(path, isolation_level=None)
    for block in blocks(total):
        keys = [key(number, total) for number in block]
        connection.execute("BEGIN IMMEDIATE")
        rows = ((one, text(number), "beam") for one, number in zip(keys, block, strict=True))
        connection.executemany("INSERT INTO completions VALUES (?, ?, ?)", rows)
        values = ((one, text(number), -(number % 89) / 7) for one, number in zip(keys, block, strict=True))
        connection.executemany("INSERT INTO log_probs VALUES (?, ?, ?)", values)
        connection.execute("COMMIT")
    connection.execute("INSERT INTO calls VALUES ('beam', ?)", (total,))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return time.perf_counter() - start


def put(path: Path, count: int) -> float:
    """Completions a second where batches of 32 under random keys are added to the full store."""
    random_keys = [hashlib.sha256(f"more {number}".encode()).hexdigest() for number in range(count)]
    start = time.perf_counter()
    with Store.open(path) as store:
        for first in range(0, count, 32):
            batch = [(one, Completion("red", {"red": -0.5})) for one in random_keys[first : first + 32]]
            store.put_many(batch, "more")
    return count / (time.perf_counter() - start)


def forget(path: Path) -> None:
    """Drop the file from the system's memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def look_up(path: Path, total: int, count: int) -> tuple[dict[str, float], bool]:
    chooser = random.Random(1)
    known = {key(number, total).hex(): number for number in chooser.sample(range(total), count * 9 // 10)}
    absent = [hashlib.sha256(f"absent {number}".encode()).hexdigest() for number in range(count - len(known))]
    wanted = [*known, *absent]
    chooser.shuffle(wanted)
    forget(path)
    seconds, equal = {}, True
    start = time.perf_counter()
    with Store.open(path) as store:
        seconds["open_seconds_cold"] = time.perf_counter() - start
        for state in ("cold", "warm"):
            start = time.perf_counter()
            found = store.get_many(wanted)
            seconds[f"look_up_seconds_{state}"] = time.perf_counter() - start
            equal &= {one: found[one].text for one in found} == {one: text(number) for one, number in known.items()}
    return seconds, equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--completions", type=int, default=10_000_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ResidentMemory() as memory:
        path = Path(folder) / "completions.sqlite"
        build_seconds = build(path, options.completions)
        size = path.stat().st_size
        seconds, equal = look_up(path, options.completions, options.keys)
        figures = {
            "completions": options.completions,
            "build_per_second": options.completions / build_seconds,
            "bytes_per_completion": size / options.completions,
            "gigabytes": size / 1e9,
            **seconds,
            "put_per_second": put(path, 20_000),
        }
    figures["peak_mib"] = memory.peak
    figures["load_average"] = os.getloadavg()[0]
    for name, value in figures.items():
        print(f"{name:22} {value:,.3f}")
    if options.json:
        print(json.dumps({"figures": figures, "equal": equal}))


if __name__ == "__main__":
    main()
