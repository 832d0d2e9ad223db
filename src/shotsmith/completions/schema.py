"""The tables of a completions store: how they are created, upgraded and validated.

SQLite keeps any value in any column, and a file from another source may hold views and triggers. The tables are
therefore checked when a store is opened, and the values before a store is merged or exported.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from shotsmith.errors import StoreError

SCHEMA_VERSION = 1

_APPLICATION = 0x53686F74  # "Shot"

_REQUIRED_TABLES = (
    "CREATE TABLE completions (key BLOB PRIMARY KEY, text TEXT, origin TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE log_probs (key BLOB, answer TEXT, value REAL NOT NULL, PRIMARY KEY (key, answer)) WITHOUT ROWID",
    "CREATE TABLE calls (origin TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE failures (key BLOB, reason TEXT, count INTEGER NOT NULL, PRIMARY KEY (key, reason)) WITHOUT ROWID",
)
"""Completions, log-probabilities of given answers, VLM calls by the origin that paid, and failures by reason."""

_ADDED_TABLES: Mapping[str, str] = {
    "truncated": "(key BLOB PRIMARY KEY) WITHOUT ROWID",
    "failing": "(key BLOB PRIMARY KEY, origin TEXT NOT NULL) WITHOUT ROWID",
}
"""Tables that stores of older versions lack: keys of texts cut off at the token limit, and keys of failed prompts with
the origin of the last request."""

_ROW_COUNTS = "CREATE TABLE stored (origin TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID"
"""How many rows of completions each origin has added; filled by counting when a store of an older version is opened."""

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
"""The columns of every table that a store may have. The tables of _REQUIRED_TABLES come first."""

_KEY = "typeof(key) = 'blob' AND length(key) = 32"
_COUNT = "typeof(count) = 'integer' AND count >= 0"
_VALID_VALUES: Mapping[str, Mapping[str, str]] = {
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
"""Table -> column -> the SQL condition that valid values meet: types, key lengths, and finite numbers."""


def create_or_upgrade(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables of an empty file, or check those of a store and add what older versions lack.

    The caller holds a transaction. Raises StoreError for another database, another version or unexpected tables.
    """
    if _identity(connection) == (0, 0) and not connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
        for statement in _REQUIRED_TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    _check_identity(connection, path)
    check_tables(connection, path)
    for name, columns in _ADDED_TABLES.items():
        connection.execute(f"CREATE TABLE IF NOT EXISTS {name} {columns}")
    if not has_table(connection, "stored"):
        connection.execute(_ROW_COUNTS)
        connection.execute("INSERT INTO stored SELECT origin, count(*) FROM completions GROUP BY origin")


def check_read_only(connection: sqlite3.Connection, path: Path) -> None:
    """Check a store that cannot be written to, and add the tables it lacks as empty temporary tables.

    Raises StoreError for another database, another version or unexpected tables.
    """
    _check_identity(connection, path)
    check_tables(connection, path)
    for name, columns in _ADDED_TABLES.items():
        if not has_table(connection, name):
            connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {name} {columns}")


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    """Whether the file holds a table of this name."""
    return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchone() is not None


def check_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError for a missing table, a table or column that no store has, or a view or trigger."""
    found = connection.execute("SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'").fetchall()
    for kind, name in found:
        if kind != "table" or name not in COLUMNS:
            raise StoreError(f"{path}: holds the {kind} {str(name)[:60]!r}, which no store has")
    names = {name for _, name in found}
    for table in list(COLUMNS)[: len(_REQUIRED_TABLES)]:
        if table not in names:
            raise StoreError(f"{path}: has no table '{table}'")
    for table in names:
        columns = tuple(row[1] for row in connection.execute(f"PRAGMA table_xinfo({table})"))
        if columns != COLUMNS[table]:
            listed = ", ".join(map(str, columns))[:200]
            raise StoreError(f"{path}: the table '{table}' has the columns {listed}, not {', '.join(COLUMNS[table])}")


def check_values(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError naming table and column of the first invalid value. Reads every row once."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    for table, columns in _VALID_VALUES.items():
        if table not in tables:
            continue
        valid = " AND ".join(f"({condition})" for condition in columns.values())
        if connection.execute(f"SELECT 1 FROM {table} WHERE ({valid}) IS NOT TRUE LIMIT 1").fetchone() is None:
            continue
        for column, condition in columns.items():
            invalid = connection.execute(
                f"SELECT typeof({column}), quote(substr({column}, 1, 40)) FROM {table} "
                f"WHERE ({condition}) IS NOT TRUE LIMIT 1"
            ).fetchone()
            if invalid is not None:
                raise StoreError(f"{path}: '{table}.{column}' holds the {invalid[0]} {invalid[1]}, which no store has")


def _identity(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the application id and the schema version in the file header."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version


def _check_identity(connection: sqlite3.Connection, path: Path) -> None:
    application, version = _identity(connection)
    if application != _APPLICATION:
        raise StoreError(f"{path}: is a database, but not a completions store")
    if version != SCHEMA_VERSION:
        raise StoreError(f"{path}: has schema version {version}; this version of Shotsmith reads {SCHEMA_VERSION}")
