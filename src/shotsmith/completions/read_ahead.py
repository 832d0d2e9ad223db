"""Pages of a store that are not in memory, read by several threads at once.

Ten million completions are 1.3 GB, and 10,000 keys lie on twice as many pages of them. One query reads page after page
and waits for the disk each time; a disk answers many at once in the same time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

_READERS = 64
"""More than there are cores: they wait for the disk."""
_KEYS_PER_QUERY = 500
"""At most: SQLite bounds the values that a statement takes."""
_BUSY_SECONDS = 120.0


def read_ahead(path: Path, keys: Sequence[bytes]) -> None:
    """Have the pages of these keys read, in the order of the keys. Raises sqlite3.Error where the file is damaged."""
    size = min(max(1, -(-len(keys) // _READERS)), _KEYS_PER_QUERY)
    parts = [keys[start : start + size] for start in range(0, len(keys), size)]
    with ThreadPoolExecutor(_READERS) as readers:
        list(readers.map(partial(_touch, path), parts))


def _touch(path: Path, keys: Sequence[bytes]) -> None:
    marks = ", ".join("?" * len(keys))
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)) as connection:
        for table in ("completions", "log_probs"):
            connection.execute(f"SELECT count(*) FROM {table} WHERE key IN ({marks})", keys).fetchone()
