"""A store from elsewhere is taken over or exported only where it holds what stores hold; sources stay as they are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from shotsmith.completions.store import Store
from shotsmith.completions.summary import overview
from shotsmith.completions.transfer import export, merge
from shotsmith.errors import StoreError
from shotsmith.records import Completion


def key(number: int) -> str:
    return f"{number:064x}"


def filled(path: Path, numbers: range = range(5), origin: str = "beam") -> Path:
    with Store.open(path) as store:
        store.put_many([(key(n), Completion(str(n), {"red": -1.5, "blue": -0.5})) for n in numbers], origin)
    return path


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


FOREIGN = {
    "a text as a key": ["UPDATE OR IGNORE completions SET key = 'text' WHERE text = '3'"],
    "a short key": ["INSERT INTO completions VALUES (x'00', 'a', 'beam')"],
    "a number as a text": ["UPDATE completions SET text = x'ff00' WHERE text = '3'"],
    "bytes as an origin": ["UPDATE completions SET origin = x'00' WHERE text = '3'"],
    "an infinite log-probability": ["UPDATE log_probs SET value = -9e999 WHERE answer = 'red'"],
    "a text as a log-probability": ["UPDATE log_probs SET value = 'much' WHERE answer = 'red'"],
    "bytes as an answer": ["UPDATE log_probs SET answer = x'00' WHERE answer = 'red'"],
    "log-probabilities of nothing": [f"INSERT INTO log_probs VALUES (x'{key(99)}', 'red', -1.0)"],
    "a text as a count": ["UPDATE calls SET count = 'many'"],
    "a negative count": ["UPDATE calls SET count = -5"],
    "bytes as a reason": [f"INSERT INTO failures VALUES (x'{key(50)}', x'00', 1)"],
    "half of a count": ["UPDATE calls SET count = 1.5"],
}
STRANGE = {
    "a trigger": ["CREATE TRIGGER t AFTER INSERT ON completions BEGIN DELETE FROM log_probs; END"],
    "a view": ["CREATE VIEW v AS SELECT * FROM completions"],
    "another table": ["CREATE TABLE notes (a)"],
    "an index": ["CREATE INDEX i ON completions (text)"],
    "a table that is a view": ["ALTER TABLE calls RENAME TO c", "CREATE VIEW calls AS SELECT * FROM c"],
    "a missing table": ["DROP TABLE failures"],
    "another column": ["ALTER TABLE calls ADD COLUMN more"],
}


@pytest.mark.parametrize("statements", [*FOREIGN.values(), *STRANGE.values()], ids=[*FOREIGN, *STRANGE])
@pytest.mark.parametrize("read_only", [False, True])
def test_it_is_neither_merged_nor_exported_and_named(tmp_path: Path, statements: list[str], read_only: bool) -> None:
    path = filled(tmp_path / "elsewhere.sqlite")
    change(path, *statements)
    opened = Store.open_to_read if read_only else Store.open
    into = filled(tmp_path / "mine.sqlite", range(3, 8), "train")
    before = into.read_bytes()
    for use in (lambda store: merge(Store.open(into), store), lambda store: export(store, tmp_path / "out.parquet")):
        with pytest.raises(StoreError, match=r"elsewhere\.sqlite"), opened(path) as store:
            use(store)
    assert not (tmp_path / "out.parquet").exists()
    with Store.open(into) as store:
        assert store.completions() == 5
    assert into.read_bytes()[:16] == before[:16]


def test_a_source_that_is_only_read_stays_as_it_is_and_counts_once(tmp_path: Path) -> None:
    path = filled(tmp_path / "source.sqlite")
    before, files = path.read_bytes(), set(tmp_path.iterdir())
    with Store.open(tmp_path / "into.sqlite") as into:
        for _ in range(2):
            with Store.open_to_read(path) as source:
                merge(into, source)
        assert (into.completions(), into.count()) == (5, 5)
    assert path.read_bytes() == before
    assert {file for file in tmp_path.iterdir() if "into" not in file.name} == files


def test_a_sound_store_passes_and_rows_that_are_gone_are_told(tmp_path: Path) -> None:
    path = filled(tmp_path / "store.sqlite")
    with Store.open(path) as store:
        store.put_many([(key(1), Completion("1", {"green": -2.0})), (key(9), Completion("9"))], "train")
        store.verify()
        assert overview(store).missing == {}
    change(path, "DELETE FROM log_probs", "DELETE FROM completions WHERE text IN ('2', '3', '9')")
    with Store.open(path) as store:
        assert overview(store).missing == {"beam": 2, "train": 1}


def test_a_store_of_an_older_version_is_counted_once_and_merged_rows_count_too(tmp_path: Path) -> None:
    path = filled(tmp_path / "old.sqlite")
    change(path, "DROP TABLE stored")
    with Store.open(tmp_path / "into.sqlite") as into, Store.open_to_read(path) as source:
        assert source.missing() == {}
        merge(into, source)
        assert into.missing() == {}
    change(tmp_path / "into.sqlite", "DELETE FROM log_probs", "DELETE FROM completions WHERE text = '2'")
    with Store.open(tmp_path / "into.sqlite") as into:
        assert into.missing() == {"beam": 1}
