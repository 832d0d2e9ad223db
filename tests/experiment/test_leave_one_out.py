"""Entries judged by asking again without them."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_bank import HARMFUL, USEFUL, banked_run
from small_explored import IDENTITY

from shotsmith.completions.prompts import read_prompts
from shotsmith.experiment import parts as parts_module
from shotsmith.experiment.leave_one_out import leave_one_out
from shotsmith.experiment.parts import Parts
from shotsmith.progress import Silent
from shotsmith.records import Completion, Failure, Request
from shotsmith.worth.asked import LEAVE_ONE_OUT, read_asked
from shotsmith.worth.bank import bank_worth


class _Knows:
    """Answers right where nothing is shown to it, but fails for one query."""

    identity = IDENTITY
    batch_tokens = 10_000
    counts_tokens = False
    gives_log_probs = False

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def length(self, _request: Request) -> int:
        return 1

    def complete(self, requests: list[Request]) -> list[Completion | Failure]:
        self.asked += requests
        first = min(one.query.id for one in self.asked)
        return [
            Failure("no", permanent=True) if one.query.id == first else Completion(one.query.answer) for one in requests
        ]


def test_a_demonstration_is_worth_what_its_prompts_lose_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = banked_run(tmp_path).run
    worth = bank_worth(run)
    vlm = _Knows()
    monkeypatch.setattr(parts_module, "load_vlm", lambda _settings: vlm)
    rows = [20 + USEFUL, 20 + HARMFUL]
    recorded = {query.id for query in read_asked(run).splits.train}
    every = run.recipe.data.model_copy(update={"train_queries": 256})
    with Parts(run.recipe.model_copy(update={"data": every}), run, Silent()) as parts:
        found = leave_one_out(parts, worth, rows, per_entry=12)
    assert all(one.demonstrations == () and one.query.id in recorded for one in vlm.asked)
    useful, harmful = found[rows[0]], found[rows[1]]
    assert useful.queries == harmful.queries == 11  # the twelfth failed
    assert useful.value == pytest.approx(0.0, abs=1e-9)  # the VLM is right without it, too
    assert harmful.value == pytest.approx(-100.0) and harmful.adjusted < 0.01
    assert read_asked(run).prompts == worth.asked.prompts  # asked again, but no evidence of what a run shows
    assert LEAVE_ONE_OUT in {prompt.origin for prompt in read_prompts(run.prompts)}
