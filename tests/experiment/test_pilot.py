"""A pilot measures, on validation queries alone, what a plan can only bound."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_experiment import small_bank_recipe
from typer.testing import CliRunner

from shotsmith.cli import app
from shotsmith.completions.collect import Collector
from shotsmith.errors import InputError, VLMError
from shotsmith.experiment import parts as parts_module
from shotsmith.experiment.parts import Parts
from shotsmith.planning.bounds import FIXED, FREE, GROUPS, ORACLE, SELECTORS
from shotsmith.planning.measured import Measured
from shotsmith.planning.pilot import run_pilot
from shotsmith.planning.plan import make_plan
from shotsmith.planning.sizes import Sizes, read_sizes
from shotsmith.progress import Silent
from shotsmith.recipe import Recipe
from shotsmith.records import Completion, Failure, Request
from shotsmith.runs import Run


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return small_bank_recipe()


@pytest.fixture(scope="module")
def sizes(recipe: Recipe) -> Sizes:
    return read_sizes(recipe)


@pytest.fixture(scope="module")
def asked() -> list[Request]:
    """What the pilot has asked for."""
    return []


@pytest.fixture(scope="module")
def seen(recipe: Recipe, sizes: Sizes, asked: list[Request]) -> Measured:
    ask = Collector.ask

    def remembered(self: Collector, requests: Sequence[Request], origin: str) -> list[Completion | Failure]:
        asked.extend(requests)
        return ask(self, requests, origin)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Collector, "ask", remembered)
        return run_pilot(recipe, 1000, sizes, Silent())


def test_only_validation_queries_are_asked_about(
    recipe: Recipe, seen: Measured, asked: list[Request], tmp_path: Path
) -> None:
    with Parts(recipe, Run.create(tmp_path / "run", recipe), Silent()) as parts:
        val, bank = ({one.id for one in some} for some in (parts.tasks("val").queries, parts.splits.bank))
    assert {request.query.id for request in asked} == val
    assert seen.source == f"a pilot on {recipe.data.val_queries} validation queries"
    assert {example.id for request in asked for example in request.demonstrations} <= bank


def test_it_measures_shares_of_the_bounds_and_the_time_of_a_call(
    recipe: Recipe, sizes: Sizes, seen: Measured, asked: list[Request]
) -> None:
    assert seen.shares.keys() == {GROUPS, FIXED, FREE, SELECTORS, ORACLE}
    assert all(0 < share <= 1 for share in seen.shares.values())
    assert all(seconds > 0 for seconds in seen.seconds.values())
    plan = make_plan(recipe, sizes, seen)
    parts = {part.part: part for part in plan.parts}
    for part, share in seen.shares.items():
        planned = parts[part[1]]
        assert planned.expected is not None and planned.expected.calls == pytest.approx(share * planned.most.calls)
    fixed = [one for one in parts.values() if one.part == "fixed on validation"]
    assert len(asked) > fixed[0].most.calls


def test_a_larger_pilot_than_there_are_queries_takes_all(recipe: Recipe, sizes: Sizes, seen: Measured) -> None:
    few = run_pilot(recipe, 2, sizes, Silent())
    assert few.source == "a pilot on 2 validation queries" != seen.source


class Sometimes:
    """A VLM that fails for the prompts that `fails` tells."""

    identity, batch_tokens, counts_tokens, gives_log_probs = "sometimes", 100, False, True

    def __init__(self, fails: Any) -> None:
        self.fails = fails

    def length(self, request: Request) -> int:
        return 1

    def complete(self, requests: Sequence[Request]) -> list[Completion | Failure]:
        return [
            Failure("HTTP 429 too many requests")
            if self.fails(request)
            else Completion("red", dict.fromkeys(request.answers, -1.0))
            for request in requests
        ]


def test_it_says_how_many_prompts_failed_why_and_what_to_do(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vlm = Sometimes(lambda request: len(request.demonstrations) == 2)
    monkeypatch.setattr(parts_module, "load_vlm", lambda settings: vlm)
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    told = CliRunner().invoke(app, ["plan", str(file), "--pilot", "3"], catch_exceptions=False, env={"COLUMNS": "200"})
    assert "HTTP 429 too many requests (lower vlm.server.concurrency" in told.stdout and "prompts failed" in told.stdout
    printed = CliRunner().invoke(app, ["plan", str(file), "--pilot", "3", "--json"], catch_exceptions=False)
    failed = json.loads(printed.stdout)["failed_prompts"]
    assert 0 < failed["failed"] < failed["asked"] and failed["times"] == failed["failed"] and failed["advice"]


def test_a_vlm_that_answers_nothing_is_an_error_with_advice(
    recipe: Recipe, sizes: Sizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_module, "load_vlm", lambda settings: Sometimes(lambda request: True))
    with pytest.raises(VLMError, match=r"(\d+) of \1 prompts failed: HTTP 429.* \(lower vlm.server.concurrency"):
        run_pilot(recipe, 3, sizes, Silent())


def test_without_validation_queries_or_a_vlm_there_is_none(recipe: Recipe, sizes: Sizes) -> None:
    with pytest.raises(InputError, match="no validation queries"):
        run_pilot(recipe, 0, sizes, Silent())


def test_the_command_estimates_from_one(recipe: Recipe, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    command = ["plan", str(file), "--json", "--pilot", "2"]
    told = json.loads(CliRunner().invoke(app, command, catch_exceptions=False).stdout)
    assert told["estimated_from"] == "a pilot on 2 validation queries" and told["failed_prompts"] is None
    assert 0 < told["total"]["calls"]["expected"] < told["total"]["calls"]["most"]
    assert told["total"]["device_hours"]["expected"] > 0
    for refused in (["--assume", "train=9009", "--assume", "test=99"], ["--like", "runs/other"]):
        assert CliRunner().invoke(app, [*command, *refused]).exit_code == 2
