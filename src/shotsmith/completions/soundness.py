"""Whether a store holds what a store holds, and nothing else: checked before it is taken over or exported.

SQLite keeps any value in any column, and a file from elsewhere may hold views and triggers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from shotsmith.errors import StoreError

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "completions": ("key", "text", "origin"),
    "log_probs": ("key", "answer", "value"),
    "calls": ("origin", "count"),
    "failures": ("key", "reason", "count"),
    "stored": ("origin", "count"),
    "truncated": ("key",),
    "failing": ("key", "origin"),
    "name": ("value",),
    "taken": ("source", "kind", "item", "count"),
}
"""Every table that a store may have; the first four it must have."""
_NEEDED = 4

_KEY = "typeof(key) = 'blob' AND length(key) = 32"
_COUNT = "typeof(count) = 'integer' AND count >= 0"
_SOUND: Mapping[str, Mapping[str, str]] = {
    "completions": {"key": _KEY, "text": "typeof(text) IN ('text', 'null')", "origin": "typeof(origin) = 'text'"},
    "log_probs": {
        "key": f"{_KEY} AND EXISTS (SELECT 1 FROM completions WHERE completions.key = log_probs.key)",
        "answer": "typeof(answer) = 'text'",
        "value": "typeof(value) = 'real' AND value BETWEEN -1e300 AND 1e300",
    },
    "calls": {"origin": "typeof(origin) = 'text'", "count": _COUNT},
    "failures": {"key": _KEY, "reason": "typeof(reason) = 'text'", "count": _COUNT},
    "truncated": {"key": _KEY},
    "failing": {"key": _KEY, "origin": "typeof(origin) = 'text'"},
    "stored": {"origin": "typeof(origin) = 'text'", "count": _COUNT},
}
"""Table -> column -> what holds of a sound value: types, key lengths, and finite numbers."""


def check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError where a store has other tables or columns than a store has, or a view or trigger."""
    found = connection.execute("SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'").fetchall()
    for kind, name in found:
        if kind != "table" or name not in COLUMNS:
            raise StoreError(f"{path}: holds the {kind} {str(name)[:60]!r}, which no store has")
    names = {name for _, name in found}
    for table in list(COLUMNS)[:_NEEDED]:
        if table not in names:
            raise StoreError(f"{path}: has no table '{table}'")
    for table in names:
        columns = tuple(row[1] for row in connection.execute(f"PRAGMA table_xinfo({table})"))
        if columns != COLUMNS[table]:
            told = ", ".join(map(str, columns))[:200]
            raise StoreError(f"{path}: the table '{table}' has the columns {told} and not {', '.join(COLUMNS[table])}")


def check_values(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError naming table and column of the first value that no store has. Reads everything once."""
    there = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    for table, columns in _SOUND.items():
        if table not in there:
            continue
        sound = " AND ".join(f"({condition})" for condition in columns.values())
        if connection.execute(f"SELECT 1 FROM {table} WHERE ({sound}) IS NOT TRUE LIMIT 1").fetchone() is None:
            continue
        for column, condition in columns.items():
            bad = connection.execute(
                f"SELECT typeof({column}), quote(substr({column}, 1, 40)) FROM {table} "
                f"WHERE ({condition}) IS NOT TRUE LIMIT 1"
            ).fetchone()
            if bad is not None:
                raise StoreError(f"{path}: '{table}.{column}' holds the {bad[0]} {bad[1]}, which no store has")
