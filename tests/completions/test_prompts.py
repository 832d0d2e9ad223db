"""The log of prompts: each prompt once per origin, in any order of restarts, and damage named."""

from __future__ import annotations

from pathlib import Path

import pytest

from shotsmith.completions.collect import Collector
from shotsmith.completions.prompts import Prompt, PromptLog, read_prompts
from shotsmith.completions.store import Store, request_key
from shotsmith.errors import StoreError
from shotsmith.records import Completion, Example, Failure, Request


def example(number: int) -> Example:
    return Example(number, (), number, f"question {number}", (f"answer {number}",))


REQUESTS = [Request(example(1), (example(2), example(3))), Request(example(1)), Request(example(-4), (example(3),))]


class _VLM:
    identity = "one"
    batch_tokens = 100
    counts_tokens = False
    gives_log_probs = False

    def length(self, _request: Request) -> int:
        return 1

    def complete(self, requests: list[Request]) -> list[Completion | Failure]:
        return [Failure("no", permanent=True) if not one.demonstrations else Completion("x") for one in requests]


def test_every_prompt_that_is_asked_for_is_logged_once_per_origin(tmp_path: Path) -> None:
    file = tmp_path / "prompts.sqlite"
    with Store.open(tmp_path / "store.sqlite") as store:
        for _ in range(2):  # the second time from the store
            log = PromptLog(file)
            Collector(store, _VLM(), log=log).ask(REQUESTS, "train")  # type: ignore[arg-type]
            Collector(store, _VLM(), log=log).ask(REQUESTS[:1], "evaluation")  # type: ignore[arg-type]
            log.close()
    found = read_prompts(file)
    key = request_key(REQUESTS[0], "one")
    assert [one for one in found if one.origin == "evaluation"] == [Prompt(key, "evaluation", 1, (2, 3))]
    assert sorted((one.query, one.shown) for one in found if one.origin == "train") == [
        (-4, (3,)),
        (1, ()),
        (1, (2, 3)),
    ]


def test_a_run_without_a_log_has_no_prompts(tmp_path: Path) -> None:
    assert read_prompts(tmp_path / "none.sqlite") == []


def test_a_log_is_read_while_it_is_written(tmp_path: Path) -> None:
    log = PromptLog(tmp_path / "prompts.sqlite")
    log.add(["ab" * 32], REQUESTS[:1], "train")
    assert [one.shown for one in read_prompts(log.path)] == [(2, 3)]
    log.close()


@pytest.mark.parametrize("content", [b"nonsense that is no database at all", b"SQLite format 3\0" + b"\1" * 4000])
def test_a_damaged_log_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "prompts.sqlite"
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"prompts\.sqlite"):
        read_prompts(file)
    with pytest.raises(StoreError, match=r"prompts\.sqlite"):
        PromptLog(file)
