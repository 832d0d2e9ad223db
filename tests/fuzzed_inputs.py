"""Recipes, stores and tables with faults drawn from a seed, and what becomes of reading them.

Every variant must be read, or refused with an error of ours that names the file.
"""

from __future__ import annotations

import io
import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from damaged_bytes import blank, cut, flip, repeat

from shotsmith.completions.store import Store
from shotsmith.completions.summary import overview
from shotsmith.completions.transfer import export, merge
from shotsmith.data.table import read_table
from shotsmith.errors import ShotsmithError
from shotsmith.recipe import TableColumns, dump_recipe, load_recipe, parse_recipe
from shotsmith.records import Completion, Failure

LIMIT_SECONDS = 2.0
_VALUES = (
    *("~", "true", "-1", "0.5", "1e999", ".nan", "9" * 5000, "0x" + "f" * 500, '"\\ud800"', '"\\0"', "[]", "{}"),
    *("[[[]]]", "*a", "&a [1]", "<<", "!!binary x", "!!python/name:os.system", "2001-13-45", "1:2:3", "''", "|", "? x"),
)
_ODD: tuple[Any, ...] = (
    *(None, True, -1, 2**63, 0.5, float("nan"), "", " ", "['a']", "\0", "\x1b[2J", "\u202e", [], {}, [None], [["a"]]),
    *({"answer": "a"}, [{"answer": "a"}], "<image>", "a" * 5000, b"\xff", 10**18),
)
_SQL = (
    "UPDATE {table} SET {column} = {value}",
    "UPDATE OR IGNORE {table} SET {column} = {value} WHERE rowid % 2",
    "DELETE FROM {table}",
    "DROP TABLE {table}",
    "ALTER TABLE {table} RENAME TO other",
    "ALTER TABLE {table} ADD COLUMN more DEFAULT {value}",
    "CREATE VIEW v AS SELECT {column} FROM {table}",
    "CREATE TRIGGER t AFTER INSERT ON {table} BEGIN DELETE FROM calls; END",
    "CREATE INDEX i ON {table} ({column})",
    "PRAGMA user_version = 7",
    "PRAGMA application_id = 7",
    "PRAGMA encoding = 'UTF-16'",
)
_SQL_VALUES = (
    "NULL",
    "x'ff'",
    "'text'",
    "-1",
    "9e999",
    "-9e999",
    "0.5",
    "zeroblob(32)",
    "1e308",
    "CAST(x'ff' AS TEXT)",
)
_COLUMNS = {"completions": ("key", "text", "origin"), "log_probs": ("key", "answer", "value")} | {
    "calls": ("origin", "count"),
    "failures": ("key", "reason", "count"),
    "stored": ("origin", "count"),
}


@dataclass
class Outcome:
    """What became of the variants of one kind of input."""

    errors: int = 0
    read: int = 0
    slowest: float = 0.0
    """Seconds of the processor."""
    unexplained: list[str] = field(default_factory=list)
    """Errors that do not name the file."""


def fuzz(kind: str, seeds: Iterable[int], folder: Path) -> Outcome:
    """Read a variant for every seed. Anything but a clean reading or a ShotsmithError is raised."""
    write, use = KINDS[kind]
    outcome = Outcome()
    for seed in seeds:
        place = folder / f"{kind}-{seed}"
        place.mkdir(parents=True)
        file = write(place, random.Random(f"{kind} {seed}"))
        started = time.process_time()
        try:
            use(file)
            outcome.read += 1
        except ShotsmithError as error:
            outcome.errors += 1
            if str(place) not in str(error):
                outcome.unexplained.append(f"seed {seed}: {error}")
        outcome.slowest = max(outcome.slowest, time.process_time() - started)
    return outcome


def _bytes(data: bytes, rng: random.Random) -> bytes:
    return rng.choice((cut, flip, repeat, blank))(data, rng) if data and rng.random() < 0.4 else data


def _recipe(folder: Path, rng: random.Random) -> Path:
    """A whole recipe of which some lines have another value, place or depth."""
    lines = dump_recipe(parse_recipe({"name": "run", "data": {"world": {}}, "pools": {"size": 8}})).splitlines()
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        number = rng.randrange(len(lines))
        key, colon, _ = lines[number].partition(":")
        change = rng.randrange(5)
        if change == 0:
            lines[number] = f"{key}{colon} {rng.choice(_VALUES)}"
        elif change == 1:
            lines.insert(rng.randrange(len(lines)), lines[number])
        elif change == 2:
            lines[number] = f"  {lines[number]}"
        elif change == 3:
            lines[number] = f"{rng.choice(_VALUES)}{colon} 1"
        else:
            lines.insert(number, f"base: {rng.choice(_VALUES)}")
    file = folder / "recipe.yaml"
    file.write_bytes(_bytes("\n".join(lines).encode(), rng))
    return file


def _store(folder: Path, rng: random.Random) -> Path:
    """A store with foreign values, objects or bytes."""
    file = folder / "store.sqlite"
    with Store.open(file) as store:
        rows = [(f"{n:064x}", Completion(str(n), {"red": -1.0, "blue": -2.0})) for n in range(rng.choice((1, 6)))]
        store.put_many([*rows, (f"{99:064x}", Failure("timeout"))], "beam")
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        for _ in range(rng.choice((0, 1, 1, 3))):
            table = rng.choice(tuple(_COLUMNS))
            column, value = rng.choice(_COLUMNS[table]), rng.choice(_SQL_VALUES)
            try:
                connection.execute(rng.choice(_SQL).format(table=table, column=column, value=value))
            except sqlite3.Error:
                continue  # SQLite itself refuses it
    file.write_bytes(_bytes(file.read_bytes(), rng))
    return file


def _take(file: Path) -> None:
    with Store.open(file.with_name("into")) as into, Store.open_to_read(file) as source:
        overview(source)
        merge(into, source)
    with Store.open(file) as store:
        overview(store)
        export(store, file.with_name("out.parquet"))


def _rows(rng: random.Random) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"id": n, "question": f"what is {n}?", "answers": ["red", "blue"][: n + 1]} for n in range(3)
    ]
    for _ in range(rng.choice((0, 1, 1, 2))):
        rng.choice(rows)[rng.choice(("id", "question", "answers"))] = rng.choice(_ODD)
    if rng.random() < 0.1:
        rng.choice(rows).pop("answers")
    return rows


_TYPES = (
    *(pa.duration("ns"), pa.date32(), pa.time64("ns"), pa.timestamp("ns", "UTC"), pa.decimal128(9, 2), pa.float16()),
    *(pa.list_(pa.date64()), pa.map_(pa.string(), pa.int8()), pa.struct([("answer", pa.binary())]), pa.null()),
    *(pa.dictionary(pa.int8(), pa.string()), pa.large_string(), pa.binary(2), pa.uint64(), pa.list_(pa.null())),
)


def _parquet(folder: Path, rng: random.Random) -> Path:
    """A Parquet file with a column of another type, odd values, or damaged bytes."""
    columns: dict[str, pa.Array] = {}
    rows = [row for row in _rows(rng) if "answers" in row]
    for name in ("id", "question", "answers"):
        try:
            columns[name] = pa.array([row[name] for row in rows])
        except (pa.ArrowException, OverflowError):
            columns[name] = pa.nulls(len(rows), rng.choice(_TYPES))
    if rng.random() < 0.4:
        columns[rng.choice(tuple(columns))] = pa.nulls(len(rows), rng.choice(_TYPES))
    buffer = io.BytesIO()
    try:
        pq.write_table(pa.table(columns), buffer)
    except pa.ArrowException:  # a type that Parquet has not
        pq.write_table(pa.table({"question": columns["question"].cast(pa.null(), safe=False)}), buffer)
    file = folder / "table.parquet"
    file.write_bytes(_bytes(buffer.getvalue(), rng))
    return file


def _json_lines(folder: Path, rng: random.Random) -> Path:
    file = folder / "table.jsonl"
    content = "".join(json.dumps(row, default=str) + "\n" for row in _rows(rng))
    file.write_bytes(_bytes(content.encode(), rng))
    return file


def _csv(folder: Path, rng: random.Random) -> Path:
    file = folder / "table.csv"
    lines = [
        "id,question,answers",
        *(f'{row.get("id")},{row.get("question")},"{row.get("answers")}"' for row in _rows(rng)),
    ]
    file.write_bytes(_bytes("\n".join(lines).encode(errors="surrogatepass"), rng))
    return file


def _read(file: Path) -> None:
    read_table(file, TableColumns(id="id", image=None))


KINDS: Mapping[str, tuple[Callable[[Path, random.Random], Path], Callable[[Path], object]]] = {
    "recipe": (_recipe, load_recipe),
    "store": (_store, _take),
    "parquet": (_parquet, _read),
    "json lines": (_json_lines, _read),
    "csv": (_csv, _read),
}
"""Kind of input -> what writes a variant, and what reads it."""
