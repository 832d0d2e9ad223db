"""How many prompts failed, most often why, and what to do; what a store cannot keep fails alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.completions.summary import advice, failed_prompts
from shotsmith.completions.transfer import merge
from shotsmith.records import Completion, Example, Failure, Request

LIMIT = "the server says 400: At most 1 image(s) may be provided in one request."


def key(number: int) -> str:
    return f"{number:064x}"


def request(number: int, *answers: str) -> Request:
    return Request(Example(number, (), number, f"what is {number}?", ("red",)), answers=answers)


class Told:
    """A VLM that answers each prompt with what its test says, and notes what it is asked."""

    identity, batch_tokens = "told", 100

    def __init__(self, told: dict[int, Completion | Failure]) -> None:
        self.told, self.asked = told, [0] * 10

    def length(self, _request: Request) -> int:
        return 1

    def complete(self, requests: Sequence[Request]) -> list[Completion | Failure]:
        for one in requests:
            self.asked[one.query.id] += 1
        return [self.told.get(one.query.id, Completion("red", {"red": -1.0})) for one in requests]


@pytest.mark.parametrize(
    "bad",
    [
        Completion("\ud800", {"red": -1.0}),
        Completion("red", {"red": float("nan")}),
        Completion("red", {"red": -float("inf")}),
        Failure("it says \ud800"),
    ],
    ids=str,
)
def test_what_no_store_can_keep_fails_alone(bad: Completion | Failure, tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        results = Collector(store, Told({1: bad})).ask([request(n, "red") for n in range(3)], "here")
        assert isinstance(results.pop(1), Failure)
        assert results == [Completion("red", {"red": -1.0})] * 2
        assert store.count() == 2 and sum(store.failures().values()) == 2


def test_what_asking_again_cannot_mend_is_asked_once(tmp_path: Path) -> None:
    vlm = Told({1: Failure("busy"), 2: Failure("refused", permanent=True)})
    with Store.open(tmp_path / "store") as store:
        Collector(store, vlm).ask([request(n) for n in range(3)], "here")
    assert vlm.asked[:3] == [1, 2, 1]


def test_failed_prompts_are_counted_once_each_however_often_they_were_asked(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        assert failed_prompts(store) is None
        for _ in range(3):
            store.put_many([(key(n), Failure(LIMIT)) for n in range(5)], "run:a")
        store.put_many([(key(5), Failure("busy")), (key(6), Completion("red")), (key(7), Completion("red"))], "run:b")
        store.put_many([(key(8), Failure("busy"))], "other:a")
        found = failed_prompts(store, "run:")
        assert found is not None and (found.failed, found.asked, found.times) == (6, 8, 5)
        assert str(found).startswith(f"6 of 8 prompts failed, 5 of them: {LIMIT} (") and "--limit-mm-per-prompt" in str(
            found
        )
        store.put_many([(key(n), Completion("red")) for n in range(5)], "run:a")
        found = failed_prompts(store, "run:")
        assert str(found) == "1 of 8 prompts failed: busy"


def test_a_store_of_an_older_version_is_read_and_gets_what_it_lacks(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        store.put_many([(key(1), Completion("red")), (key(2), Failure("busy"))], "here")
        store.connection.execute("DROP TABLE truncated")
        store.connection.execute("DROP TABLE failing")
    with Store.open(tmp_path / "store") as store:
        assert store.get_many([key(1)]) == {key(1): Completion("red")}
        assert failed_prompts(store) is None and store.failures() == {"busy": 1}
        store.put_many([(key(3), Completion("a red", {}, True))], "here")
        assert store.get_many([key(3)])[key(3)].truncated


def test_merging_takes_what_was_cut_off_and_what_failed(tmp_path: Path) -> None:
    with Store.open(tmp_path / "a") as into, Store.open(tmp_path / "b") as source:
        into.put_many([(key(1), Completion("red")), (key(2), Failure("busy")), (key(4), Completion(None))], "here")
        source.put_many([(key(n), Completion("a red", {}, True)) for n in (1, 2, 3, 4)], "there")
        source.put_many([(key(5), Failure("busy"))], "there")
        for _ in range(2):
            merge(into, source)
        kept = into.get_many(map(key, range(1, 5)))
        assert [kept[key(n)].truncated for n in range(1, 5)] == [False, True, True, True]
        found = failed_prompts(into)
        assert found is not None and (found.failed, found.reason) == (1, "busy")


@pytest.mark.parametrize(
    ("reason", "what"),
    [
        (LIMIT, "limit-mm-per-prompt"),
        ("the server says 400: This model's maximum context length is 64 tokens. However, you requested 90", "context"),
        (
            "the server says 400: The decoder prompt (length 700) is longer than the maximum model length of 512",
            "context",
        ),
        ("http://h/v1 refuses the key: no such key", "api_key_env"),
        ("the server says 403: forbidden", "api_key_env"),
        ("the server says 429: You exceeded your current quota", "quota"),
        ("the server says 429: too many requests", "concurrency"),
        ("the server says 413: Request Entity Too Large", "smaller"),
        ("the answer was withheld (finish_reason content_filter)", "filters"),
        ("no answer within 120 s (vlm.server.timeout_seconds)", "timeout_seconds"),
        ("connection broken", None),
    ],
)
def test_a_reason_has_its_advice(reason: str, what: str | None) -> None:
    told = advice(reason)
    assert told is None if what is None else told is not None and what in told
