"""What `shotsmith store` does with whole stores: open large and old ones, show, verify, export, merge."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from shotsmith.cli import app
from shotsmith.completions import store as store_module
from shotsmith.completions.store import Store
from shotsmith.completions.summary import overview
from shotsmith.completions.transfer import export, merge, read_batches
from shotsmith.errors import InputError, StoreError
from shotsmith.records import Completion, Failure

AS_FIRST_WRITTEN = """
CREATE TABLE completions (key BLOB PRIMARY KEY, text TEXT, origin TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE log_probs (key BLOB, answer TEXT, value REAL NOT NULL, PRIMARY KEY (key, answer)) WITHOUT ROWID;
CREATE TABLE calls (origin TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE failures (key BLOB, reason TEXT, count INTEGER NOT NULL, PRIMARY KEY (key, reason)) WITHOUT ROWID;
PRAGMA application_id = 1399353204;
PRAGMA user_version = 1;
"""


def key(number: int) -> str:
    return f"{number:064x}"


def filled(path: Path, numbers: range, origin: str, suffix: str = "") -> Path:
    with Store.open(path) as store:
        rows = [(key(n), Completion(f"{n}{suffix}", {f"a{n % 3}": -n / 7, "b": -1.0})) for n in numbers]
        store.put_many(rows, origin)
    return path


def everything(path: Path) -> dict:
    with Store.open(path) as store:
        rows = {one.key: (one.text, one.log_probs) for batch in read_batches(store) for one in batch}
        told = overview(store)
    return {"rows": rows, "calls": dict(told.calls), "failures": dict(told.failures)}


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["store", *map(str, arguments)])


def test_a_store_as_first_written_opens_with_all_it_holds(tmp_path):
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as old:
        old.execute("PRAGMA journal_mode = WAL")
        old.executescript(AS_FIRST_WRITTEN)
        old.execute("INSERT INTO completions VALUES (?, 'red', 'beam')", (bytes.fromhex(key(1)),))
        old.execute("INSERT INTO log_probs VALUES (?, 'red', -0.5)", (bytes.fromhex(key(1)),))
        old.execute("INSERT INTO calls VALUES ('beam', 1)")
    old.close()
    with Store.open(path) as store:
        assert store.get_many([key(1)]) == {key(1): Completion("red", {"red": -0.5})}
        assert store.count("beam") == 1


class TestDamageOfALargeStore:
    @pytest.fixture(autouse=True)
    def _every_store_counts_as_large(self, monkeypatch):
        monkeypatch.setattr(store_module, "_CHECKED_WHOLE", 0)

    @pytest.mark.parametrize("filling", [b"\xff", b"\0", b"\x0d"])
    @pytest.mark.parametrize("page", [5, 11, 23])
    def test_an_overwritten_page_is_an_error_or_does_not_matter(self, tmp_path, page, filling):
        path = filled(tmp_path / "store.sqlite", range(1000), "a")
        with path.open("r+b") as file:
            file.seek(page * 4096)
            file.write(filling * 4096)
        wrong, failed = [], False
        try:
            with Store.open(path) as store:
                for number in range(1000):
                    try:
                        found = store.get_many([key(number)])
                    except StoreError:
                        failed = True
                    else:
                        wrong += [found] if found[key(number)].text != str(number) else []
                with pytest.raises(StoreError, match=r"store\.sqlite"):
                    store.verify()
        except StoreError:
            failed = True
        assert failed and not wrong

    @pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
    def test_a_torn_file_is_refused_at_opening(self, tmp_path, share):
        path = filled(tmp_path / "store.sqlite", range(1000), "a")
        os.truncate(path, int(path.stat().st_size * share))
        with pytest.raises(StoreError, match=r"store\.sqlite"):
            Store.open(path)

    def test_opening_does_not_read_the_whole_file(self, tmp_path, monkeypatch):
        path = filled(tmp_path / "store.sqlite", range(100), "a")
        monkeypatch.setattr(Store, "verify", lambda _: pytest.fail("checked every page"))
        Store.open(path).close()


class TestMerging:
    def test_a_merge_gives_what_one_store_would_hold(self, tmp_path):
        one, two = filled(tmp_path / "one", range(60), "a"), filled(tmp_path / "two", range(40, 100), "b")
        whole = filled(tmp_path / "whole", range(100), "a")
        with Store.open(one) as into, Store.open(two) as source:
            merged = merge(into, source)
        assert (merged.read, merged.added, merged.conflicts, merged.first_conflict) == (60, 40, 0, None)
        assert everything(one)["rows"] == everything(whole)["rows"]
        assert everything(one)["calls"] == {"a": 60, "b": 60}

    def test_parts_of_one_completion_come_together(self, tmp_path):
        with Store.open(tmp_path / "one") as into, Store.open(tmp_path / "two") as source:
            into.put_many([(key(1), Completion(None, {"x": -1.0}))], "a")
            source.put_many([(key(1), Completion("text", {"y": -2.0}))], "b")
            merge(into, source)
            assert into.get_many([key(1)]) == {key(1): Completion("text", {"x": -1.0, "y": -2.0})}

    def test_of_two_texts_the_first_stays_and_the_conflict_is_counted(self, tmp_path):
        one, two = filled(tmp_path / "one", range(5), "a"), filled(tmp_path / "two", range(3, 8), "b", "!")
        before = everything(one)["rows"]
        told = json.loads(invoke("merge", one, two, "--json").stdout)["merged"][0]
        assert (told["conflicts"], told["added"], told["first_conflict"]) == (2, 3, key(3))
        assert before.items() <= everything(one)["rows"].items()

    def test_other_log_probabilities_are_counted_and_left_out(self, tmp_path):
        with Store.open(tmp_path / "one") as into, Store.open(tmp_path / "two") as source:
            into.put_many([(key(1), Completion("t", {"x": -1.0}))], "a")
            source.put_many([(key(1), Completion("t", {"x": -3.0}))], "b")
            merged = merge(into, source)
            assert (merged.conflicts, merged.conflicting_log_probs) == (0, 1)
            assert into.get_many([key(1)])[key(1)].log_probs == {"x": -1.0}

    def test_repeating_it_adds_only_what_has_come_since(self, tmp_path):
        one, two = filled(tmp_path / "one", range(5), "a"), filled(tmp_path / "two", range(5, 9), "a")
        with Store.open(one) as into, Store.open(two) as source:
            source.put_many([(key(50), Failure("broken")), (key(51), Failure("broken"))], "a")
            merge(into, source)
            first = everything(one)
            assert first["calls"] == {"a": 9} and first["failures"] == {"broken": 2}
            merge(into, source)
            assert everything(one) == first
            source.put_many([(key(50), Failure("broken")), (key(60), Completion("new"))], "a")
            merge(into, source)
        assert everything(one)["calls"] == {"a": 10}
        assert everything(one)["failures"] == {"broken": 3}

    def test_a_failure_answered_on_either_side_is_forgotten(self, tmp_path):
        with Store.open(tmp_path / "one") as into, Store.open(tmp_path / "two") as source:
            into.put_many([(key(1), Failure("broken")), (key(2), Completion("fine"))], "a")
            source.put_many([(key(1), Completion("fine")), (key(2), Failure("broken"))], "b")
            merge(into, source)
            assert into.failures() == {}

    def test_a_store_is_not_merged_into_itself(self, tmp_path):
        path = filled(tmp_path / "one", range(2), "a")
        with Store.open(path) as one, Store.open(path) as same, pytest.raises(InputError, match="itself"):
            merge(one, same)

    def test_a_merge_killed_midway_and_repeated_is_as_if_never_killed(self, tmp_path):
        one, two = filled(tmp_path / "one", range(50), "a"), filled(tmp_path / "two", range(30, 400), "b")
        whole = filled(tmp_path / "whole", range(50), "a")
        code = (
            "import sys, os, signal; from pathlib import Path\n"
            "from shotsmith.completions import transfer as m\n"
            "from shotsmith.completions.store import Store\n"
            "read_batches, merge_batch, merged = m.read_batches, m._merge_batch, []\n"
            "m.read_batches = lambda store: read_batches(store, 50)\n"
            "def dying(*a):\n"
            "    merged.append(merge_batch(*a))\n"
            "    if len(merged) == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
            "    return merged[-1]\n"
            "m._merge_batch = dying\n"
            "m.merge(Store.open(Path(sys.argv[1])), Store.open(Path(sys.argv[2])))\n"
        )
        killed = subprocess.run([sys.executable, "-c", code, str(one), str(two)])
        assert killed.returncode == -signal.SIGKILL
        assert len(everything(one)["rows"]) == 180 and everything(one)["calls"] == {"a": 50}
        for into in (one, whole):
            assert invoke("merge", into, two).exit_code == 0
        assert everything(one) == everything(whole)

    def test_another_process_that_writes_meanwhile_loses_nothing(self, tmp_path):
        one, two = tmp_path / "one", filled(tmp_path / "two", range(1000, 3000), "b")
        code = (
            "import sys; from pathlib import Path\n"
            "from shotsmith.completions.store import Store\n"
            "from shotsmith.records import Completion\n"
            "with Store.open(Path(sys.argv[1])) as store:\n"
            "    for n in range(300):\n"
            "        store.put_many([(f'{n:064x}', Completion(str(n)))], 'w')\n"
            "        if n == 5: sys.stdout.write('on'); sys.stdout.flush()\n"
        )
        with subprocess.Popen([sys.executable, "-c", code, str(one)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout.read(2) == b"on"
            with Store.open(one) as into, Store.open(two) as source:
                merge(into, source)
        assert writer.returncode == 0
        assert everything(one)["calls"] == {"b": 2000, "w": 300}
        assert len(everything(one)["rows"]) == 2300


class TestExport:
    def test_what_is_exported_is_what_is_stored(self, tmp_path):
        path = filled(tmp_path / "store", range(25), "beam")
        with Store.open(path) as store:
            store.put_many(
                [(key(100), Completion(None, {"x": -0.25})), (key(101), Completion("日本", {}, True))], "evaluation"
            )
            assert export(store, tmp_path / "out.parquet") == 27
            expected = [
                {
                    "key": one.key.hex(),
                    "text": one.text,
                    "log_probs": sorted(one.log_probs.items()),
                    "origin": one.origin,
                    "truncated": one.truncated,
                }
                for batch in read_batches(store, 4)
                for one in batch
            ]
        rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
        assert [row | {"log_probs": sorted(row["log_probs"])} for row in rows] == expected

    def test_a_damaged_store_leaves_no_file_and_the_old_one_stays(self, tmp_path, monkeypatch):
        monkeypatch.setattr(store_module, "_CHECKED_WHOLE", 0)
        path, out = filled(tmp_path / "store", range(2000), "a"), tmp_path / "out.parquet"
        out.write_bytes(b"before")
        with path.open("r+b") as file:
            file.seek(20 * 4096)
            file.write(b"\xff" * 40960)
        assert invoke("export", path, out).exit_code == 1
        assert out.read_bytes() == b"before" and not list(tmp_path.glob(".out*"))


class TestCommand:
    def test_it_shows_counts_sizes_calls_and_failures(self, tmp_path):
        path = filled(tmp_path / "store.sqlite", range(7), "beam")
        with Store.open(path) as store:
            store.put_many([(key(50), Failure("timeout")), (key(51), Completion(None))], "evaluation")
        told = json.loads(invoke(path, "--json").stdout)
        assert told.pop("bytes") >= path.stat().st_size
        assert told == {
            "store": str(path),
            "completions": 8,
            "texts": 7,
            "truncated": 0,
            "log_probs": 14,
            "calls": {"beam": 7, "evaluation": 1},
            "failures": {"timeout": 1},
        }
        shown = invoke(path).stdout
        assert "8 completions" in shown and "beam: 7" in shown and "timeout: 1" in shown

    def test_verify_says_sound_or_fails_with_exit_code_1(self, tmp_path):
        path = filled(tmp_path / "store.sqlite", range(500), "beam")
        assert "sound" in invoke("verify", path).stdout
        with path.open("r+b") as file:
            file.seek(5 * 4096)
            file.write(b"\xff" * 8192)
        assert invoke("verify", path).exit_code == 1

    @pytest.mark.parametrize("verb", [(), ("verify",), ("export",), ("merge", "into")])
    def test_no_such_file_is_exit_code_2_and_makes_none(self, tmp_path, verb, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert invoke(*verb, "absent.sqlite", *(["out"] if verb == ("export",) else [])).exit_code == 2
        assert not list(tmp_path.iterdir())
