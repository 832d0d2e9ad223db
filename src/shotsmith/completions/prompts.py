"""The log of prompts of a run: which demonstrations were shown to which query, under which origin.

A store keeps completions under hashes, from which nobody can tell what a prompt showed. The log keeps, under the same
keys, the ids of the query and of its demonstrations. It belongs to one run, because ids are those of its data; the
store may be shared.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from shotsmith.errors import StoreError
from shotsmith.records import Request

_TABLE = (
    "CREATE TABLE IF NOT EXISTS prompts (key BLOB, origin TEXT, query INTEGER NOT NULL, shown TEXT NOT NULL, "
    "PRIMARY KEY (key, origin)) WITHOUT ROWID"
)
_BUSY_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt that a run has asked for, from the store or from the VLM."""

    key: str
    """Its key in the store of completions."""
    origin: str
    """The part of the run that asked."""
    query: int
    """Id of the query."""
    shown: tuple[int, ...]
    """Ids of the demonstrations in the order shown, without those that a budget left out."""


class PromptLog:
    """Adds prompts to a file, each once per origin, so that a resumed run logs the same as one that was not stopped.

    Raises StoreError where the file is damaged or holds something else. It may only be used in the thread that made it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _naming(path):
            self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(_TABLE)

    def add(self, keys: Sequence[str], requests: Sequence[Request], origin: str) -> None:
        """Log the prompts of some requests; `keys` are theirs in the store."""
        rows = [
            (bytes.fromhex(key), origin, request.query.id, " ".join(str(one.id) for one in request.demonstrations))
            for key, request in zip(keys, requests, strict=True)
        ]
        with _naming(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR IGNORE INTO prompts VALUES (?, ?, ?, ?)", rows)
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def read_prompts(path: Path) -> list[Prompt]:
    """All prompts of a log by origin and key; none where there is no file, as in runs of older versions.

    The file is not changed. Raises StoreError where it is damaged.
    """
    if not path.exists():
        return []
    log = path.with_name(f"{path.name}-wal")
    unchanging = "" if log.exists() and log.stat().st_size else "&immutable=1"
    with _naming(path):
        uri = f"{path.resolve().as_uri()}?mode=ro{unchanging}"
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)) as connection:
            rows = connection.execute("SELECT key, origin, query, shown FROM prompts ORDER BY origin, key").fetchall()
        return [Prompt(key.hex(), origin, query, tuple(map(int, shown.split()))) for key, origin, query, shown in rows]


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Convert errors within the block to a StoreError that names the file."""
    try:
        yield
    except (sqlite3.Error, OSError, ValueError, AttributeError) as error:
        problem = (
            f"{path}: is no log of prompts, or damaged ({error}); nothing but `shotsmith bank` and `view` needs it: "
        )
        raise StoreError(f"{problem}delete it to begin a new one") from error
