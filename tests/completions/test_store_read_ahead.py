"""Reading ahead changes how long a look-up takes, and nothing else."""

import sqlite3
import threading

import pytest

from shotsmith.completions import store as module
from shotsmith.completions.store import Store
from shotsmith.errors import StoreError
from shotsmith.files import digest
from shotsmith.records import Completion

STORED = {digest(str(number)): Completion(f"text {number}", {"a": -number / 7}) for number in range(3000)}
ABSENT = [digest(f"absent {number}") for number in range(300)]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a store, named 100 % oddly?.sqlite"
    with Store.open(path) as store:
        store.put_many(list(STORED.items()), "a")
    return path


@pytest.fixture
def reading(monkeypatch):
    """Numbers of keys that were read ahead."""
    read, read_ahead = [], module._read_ahead
    monkeypatch.setattr(module, "_read_ahead", lambda path, keys: read.append(len(keys)) or read_ahead(path, keys))
    return read


@pytest.mark.parametrize(("slow", "expected"), [(0.0, True), (10.0, False)], ids=["on a disk", "in memory"])
def test_look_ups_find_the_same_whether_the_disk_is_slow_or_not(path, reading, monkeypatch, slow, expected):
    monkeypatch.setattr(module, "_SLOW", slow)
    with Store.open(path) as store:
        assert store.get_many([*ABSENT, *STORED]) == STORED
    assert reading == ([len(STORED) + len(ABSENT) - module._FIRST_KEYS] if expected else [])


def test_few_keys_are_not_worth_it(path, reading, monkeypatch):
    monkeypatch.setattr(module, "_SLOW", 0.0)
    some = dict(list(STORED.items())[: module._MANY_KEYS])
    with Store.open(path) as store:
        assert store.get_many(some) == some
    assert not reading


def test_what_another_connection_has_just_committed_is_found(path, reading, monkeypatch):
    """Those that read ahead see the file as it was; the look-up itself sees it as it is."""
    monkeypatch.setattr(module, "_SLOW", 0.0)
    new = {digest(f"new {number}"): Completion("new") for number in range(1500)}
    with Store.open(path) as store, Store.open(path) as writer:
        writer.put_many(list(new.items()), "b")
        assert store.get_many(new) == new
    assert reading


def test_no_thread_and_no_lock_is_left(path):
    before = threading.active_count()
    module._read_ahead(path, [bytes.fromhex(one) for one in STORED])
    assert threading.active_count() == before
    with sqlite3.connect(path, timeout=0) as connection:
        connection.execute("BEGIN EXCLUSIVE")


@pytest.mark.parametrize("count", [1, 63, 64, 65, 100_000])
def test_every_key_is_read_once_in_statements_that_sqlite_takes(monkeypatch, count):
    parts = []
    monkeypatch.setattr(module, "_read_pages", lambda path, keys: parts.append(keys))
    keys = [number.to_bytes(32, "big") for number in range(count)]
    module._read_ahead(None, keys)
    assert sorted(key for part in parts for key in part) == keys
    assert max(map(len, parts)) <= 500


def test_damage_met_ahead_is_an_error_that_names_the_file(path, monkeypatch):
    monkeypatch.setattr(module, "_SLOW", 0.0)

    def damaged(path, keys):
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(module, "_read_ahead", damaged)
    with Store.open(path) as store, pytest.raises(StoreError, match=r"oddly.*malformed"):
        store.get_many(STORED)
