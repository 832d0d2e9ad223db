import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from shotsmith.completions.store import Store, request_key
from shotsmith.errors import StoreError
from shotsmith.files import digest
from shotsmith.records import Completion, Example, Failure, Request


def key(number: int) -> str:
    return f"{number:064x}"


def picture(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def example(image: Path, question: str = "what is it?", answers: tuple[str, ...] = ("a",), number: int = 0) -> Example:
    return Example(number, (image,), number, question, answers)


@pytest.fixture
def images(tmp_path):
    return [picture(tmp_path, f"{number}.png", bytes([number])) for number in range(3)]


class TestRequestKey:
    def test_everything_that_decides_a_completion_changes_the_key(self, images):
        one, two, three = (example(image, number=number) for number, image in enumerate(images))
        keys = [
            request_key(Request(three, (one, two)), "vlm"),
            request_key(Request(three, (two, one)), "vlm"),
            request_key(Request(three, (one,)), "vlm"),
            request_key(Request(two, (one, two)), "vlm"),
            request_key(Request(three, (one, two)), "other vlm"),
            request_key(Request(three, (example(images[0], "why?"), two)), "vlm"),
            request_key(Request(three, (example(images[0], answers=("b",)), two)), "vlm"),
            request_key(Request(example(images[2], "why?"), (one, two)), "vlm"),
        ]
        assert len(set(keys)) == len(keys)

    def test_what_is_wanted_and_names_of_files_and_examples_do_not_change_it(self, images, tmp_path):
        plain = Request(example(images[0]), (example(images[1]),))
        copy = picture(tmp_path, "copy.png", images[0].read_bytes())
        other = Request(example(copy, answers=("x",), number=9), (example(images[1], number=7),), ("z",), text=False)
        assert request_key(plain, "vlm") == request_key(other, "vlm")

    def test_the_key_of_a_prompt_with_images_is_what_it_always_was(self, images):
        one, two = (example(image) for image in images[:2])
        shown, asked = (hashlib.sha256(image.read_bytes()).hexdigest() for image in images[:2])
        expected = digest("vlm", shown, "what is it?", "a", asked, "what is it?")
        assert request_key(Request(two, (one,)), "vlm") == expected

    def test_an_example_without_an_image_has_a_key_of_its_own(self, images):
        bare, seen = replace(example(images[0]), images=()), example(images[0])
        requests = [Request(query, (shown,)) for query in (bare, seen) for shown in (bare, seen)]
        assert len({request_key(request, "vlm") for request in requests}) == 4

    def test_a_picture_changed_on_disk_changes_it(self, images):
        request = Request(example(images[0]))
        before = request_key(request, "vlm")
        images[0].write_bytes(b"something longer")
        assert request_key(request, "vlm") != before


class TestKeeping:
    def test_what_is_put_is_got_after_reopening(self, tmp_path):
        path = tmp_path / "deep" / "completions.sqlite"
        with Store.open(path) as store:
            store.put_many([(key(1), Completion("red", {"red": -0.25})), (key(2), Completion(None, {}))], "beam")
        with Store.open(path) as store:
            assert store.get_many([key(1), key(2), key(3)]) == {
                key(1): Completion("red", {"red": -0.25}),
                key(2): Completion(None, {}),
            }

    def test_more_keys_than_one_query_takes_are_all_found(self, tmp_path):
        with Store.open(tmp_path / "store") as store:
            store.put_many([(key(number), Completion(str(number))) for number in range(1203)], "a")
            found = store.get_many(key(number) for number in range(1203))
        assert [found[key(number)].text for number in range(1203)] == [str(number) for number in range(1203)]

    def test_what_is_stored_first_stays(self, tmp_path):
        with Store.open(tmp_path / "store") as store:
            store.put_many([(key(1), Completion("first", {"x": -1.0}))], "a")
            store.put_many([(key(1), Completion("second", {"x": -2.0}))], "b")
            assert store.get_many([key(1)]) == {key(1): Completion("first", {"x": -1.0})}

    def test_parts_of_a_completion_come_together(self, tmp_path):
        with Store.open(tmp_path / "store") as store:
            store.put_many([(key(1), Completion(None, {"x": -1.0}))], "a")
            store.put_many([(key(1), Completion("text"))], "a")
            store.put_many([(key(1), Completion(None, {"y": -2.0}))], "a")
            assert store.get_many([key(1)]) == {key(1): Completion("text", {"x": -1.0, "y": -2.0})}

    def test_a_batch_that_cannot_be_stored_whole_leaves_nothing(self, tmp_path):
        with Store.open(tmp_path / "store") as store:
            with pytest.raises(StoreError):
                store.put_many([(key(1), Completion("a")), (key(2), Completion("b", {"x": float("nan")}))], "a")
            assert store.get_many([key(1), key(2)]) == {}
            assert store.count() == 0
            store.put_many([(key(1), Completion("a"))], "a")
            assert store.count() == 1


class TestCounting:
    def test_a_call_is_a_completion_that_brought_something_new(self, tmp_path):
        with Store.open(tmp_path / "store") as store:
            store.put_many([(key(1), Completion("a", {"x": -1.0, "y": -2.0})), (key(2), Completion("b"))], "beam")
            store.put_many([(key(1), Completion("a")), (key(2), Completion(None, {"x": -1.0}))], "evaluation")
            store.put_many([(key(1), Completion("a", {"x": -1.0}))], "evaluation")
            assert (store.count("beam"), store.count("evaluation"), store.count()) == (2, 1, 3)

    def test_origins_are_counted_by_literal_prefix(self, tmp_path):
        with Store.open(tmp_path / "store") as store:
            for number, origin in enumerate(
                ["seed-0/grpo/epoch-001", "seed-0/grpo/epoch-002", "seed-1/grpo", "seed_0"]
            ):
                store.put_many([(key(number), Completion("a"))], origin)
            assert store.count("seed-0/grpo") == 2
            assert store.count("seed_") == 1
            assert store.count("%") == 0

    def test_failures_are_counted_and_never_found_as_completions(self, tmp_path):
        with Store.open(tmp_path / "store") as store:
            store.put_many([(key(1), Failure("broken")), (key(2), Failure("broken"))], "a")
            store.put_many([(key(1), Failure("broken")), (key(2), Completion("fine"))], "a")
            assert store.failures() == {"broken": 2}
            assert store.get_many([key(1), key(2)]) == {key(2): Completion("fine")}
            assert store.count("a") == 1


class TestDamage:
    @pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0" + bytes(5000), b"x"])
    def test_a_file_that_is_no_database_is_named(self, tmp_path, content):
        path = picture(tmp_path, "bad.sqlite", content)
        with pytest.raises(StoreError, match=r"bad\.sqlite"):
            Store.open(path)
        assert path.read_bytes() == content

    @pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
    def test_a_torn_file_is_named(self, tmp_path, share):
        path = tmp_path / "torn.sqlite"
        with Store.open(path) as store:
            store.put_many([(key(number), Completion("text" * 50)) for number in range(500)], "a")
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(StoreError, match=r"torn\.sqlite"):
            Store.open(path)

    def test_overwritten_pages_are_found(self, tmp_path):
        path = tmp_path / "store.sqlite"
        with Store.open(path) as store:
            store.put_many([(key(number), Completion("text" * 50)) for number in range(500)], "a")
        with path.open("r+b") as file:
            file.seek(3 * 4096)
            file.write(b"\xff" * 4096 * 4)
        with pytest.raises(StoreError, match=r"store\.sqlite"):
            Store.open(path)

    def test_another_program_s_database_is_left_alone(self, tmp_path):
        path = tmp_path / "other.sqlite"
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE completions (x)")
        other.close()
        with pytest.raises(StoreError, match="not a completions store"):
            Store.open(path)

    def test_another_schema_version_is_refused(self, tmp_path):
        path = tmp_path / "store.sqlite"
        Store.open(path).close()
        with sqlite3.connect(path) as other:
            other.execute("PRAGMA user_version = 99")
        other.close()
        with pytest.raises(StoreError, match="schema version 99"):
            Store.open(path)

    def test_an_empty_file_left_by_a_kill_at_birth_is_a_new_store(self, tmp_path):
        with Store.open(picture(tmp_path, "new.sqlite", b"")) as store:
            assert store.count() == 0

    def test_a_folder_in_its_place_is_an_error_that_names_it(self, tmp_path):
        with pytest.raises(StoreError, match=tmp_path.name):
            Store.open(tmp_path)


WRITER = """
import sys
from pathlib import Path
from shotsmith.completions.store import Store
from shotsmith.records import Completion
store = Store.open(Path(sys.argv[1]))
for batch in range(100_000):
    store.put_many([(f"{batch * 20 + row:064x}", Completion(str(batch), {"a": -1.0})) for row in range(20)], "w")
    sys.stdout.write(f"{batch}\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("batches", [1, 7, 23])
def test_a_killed_writer_loses_at_most_the_batch_in_flight(tmp_path, batches):
    path = tmp_path / "store.sqlite"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    last = -1
    while last < batches:
        last = int(writer.stdout.readline())
    os.kill(writer.pid, signal.SIGKILL)
    last = max([last, *(int(line) for line in writer.stdout.read().split())])
    writer.wait()
    with Store.open(path) as store:
        rows = store.count("w")
        assert rows in {(last + 1) * 20, (last + 2) * 20}
        assert len(store.get_many(key(number) for number in range(rows + 40))) == rows


TWO_WRITERS = """
import sys, time
from pathlib import Path
from shotsmith.completions.store import Store
from shotsmith.records import Completion
name = sys.argv[2]
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
with Store.open(Path(sys.argv[1])) as store:
    for batch in range(30):
        store.put_many([(f"{batch * 10 + row:064x}", Completion(name, {name: -1.0})) for row in range(10)], name)
"""


def test_two_writers_at_once_lose_nothing_and_never_overwrite(tmp_path):
    path = tmp_path / "store.sqlite"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", TWO_WRITERS, str(path), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for name in ("one", "two")
    ]
    for writer in writers:
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    with Store.open(path) as store:
        found = store.get_many(key(number) for number in range(300))
        assert len(found) == 300
        assert all(dict(completion.log_probs) == {"one": -1.0, "two": -1.0} for completion in found.values())
        assert store.count("one") == store.count("two") == 300


KNOWN_KEYS = {
    "zero-shot": "f5c4526ac86624b275e4f9e2be3262636760e843bc8d05634bd53c56156d0241",
    "one shot": "0e26d1058fa5530e3de60cea08665a719de8dfd55c292c17c9f18b78ea60251e",
    "two shots": "7eb7046bbae7a2c5a536a71239ad079c2cc80fae749b90b4b2548ebdb848bd9e",
    "no image": "464f56b130d7a17da933da90200337a276426d7a9e88fd4ac83f59f1496988c1",
    "one shot, query without image": "28b7330c8339c1241bea5d346e1a2cf346b18991aabe79946a916dcb9bdc702a",
}
"""Keys of the versions in which an example had at most one image; stores are full of them."""


def test_prompts_with_at_most_one_image_an_example_keep_their_keys(tmp_path: Path) -> None:
    seen = example(picture(tmp_path, "one.png", b"first image"), answers=("cup",))
    other = example(picture(tmp_path, "two.png", b"second image"), "what color?", ("red", "red", "blue"))
    bare = Example(3, (), 3, "good film?", ("positive",))
    requests = [Request(seen), Request(seen, (other,)), Request(seen, (other, seen)), Request(bare)]
    requests.append(Request(bare, (other,)))
    assert [request_key(request, "vlm greedy") for request in requests] == [*KNOWN_KEYS.values()]


def test_which_images_an_example_has_and_their_order_decide_a_key(images: list[Path]) -> None:
    one, two, three = images[:3]
    lists = [(), (one,), (two,), (one, two), (two, one), (one, one), (one, two, three)]
    shown = [replace(example(one), images=some) for some in lists]
    keys = {request_key(Request(query, (demonstration,)), "v") for query in shown for demonstration in shown}
    assert len(keys) == len(lists) ** 2


def test_what_is_synced_has_reached_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(Path(f"/proc/self/fd/{file}").readlink().name))
    with Store.open(tmp_path / "store.sqlite") as store:
        store.put_many([("ab" * 32, Completion("yes"))], "beam")
        store.sync()
    assert synced == ["store.sqlite-wal", "store.sqlite", tmp_path.name]
