"""The main job, end to end, with the real VLM: complete, honest, and done only once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from shotsmith import experiment
from shotsmith.checkpoints.native import load_policy
from shotsmith.completions.store import Store
from shotsmith.data.load import load_splits
from shotsmith.errors import InputError
from shotsmith.evaluation.results import read_results
from shotsmith.experiment.parts import Parts
from shotsmith.metrics.vqa import vqa_accuracy
from shotsmith.progress import Silent
from shotsmith.recipe import Recipe
from shotsmith.records import Completion, Failure, Request
from shotsmith.runs import Run, show
from shotsmith.runs.stages import STAGE_NAMES
from shotsmith.vlms.qwen.local import LocalVLM, load_vlm


def test_a_run_leaves_everything_a_reader_needs(finished: Run) -> None:
    shown = show(finished)
    assert shown["status"] == "done"
    assert [stage["name"] for stage in shown["stages"]] == list(STAGE_NAMES)
    assert {row["phase"] for row in shown["epochs"]} == {"supervised", "rce", "grpo"}
    selectors = {row["selector"] for row in shown["test"]}
    assert selectors >= {"zero_shot", "random", "image_similar", "text_similar", "mixed"}
    assert selectors >= {"supervised", "rce", "grpo", "oracle"}
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in shown["test"])
    assert finished.report_html.stat().st_size > 20_000
    assert json.loads(finished.ranking.read_text())["val_reward"]


def test_a_finished_run_does_nothing_again(finished: Run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> list[Completion | Failure]:
        raise AssertionError("the VLM was asked again")

    monkeypatch.setattr(LocalVLM, "complete", asked)
    before = finished.stages_file.read_bytes(), finished.summary.read_bytes()
    experiment.run(recipe, finished, Silent())
    assert (finished.stages_file.read_bytes(), finished.summary.read_bytes()) == before


def test_redoing_the_evaluation_asks_the_vlm_for_nothing_and_says_the_same(
    finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> list[Completion | Failure]:
        raise AssertionError("the VLM was asked again")

    monkeypatch.setattr(LocalVLM, "complete", asked)
    before = finished.summary.read_bytes()
    experiment.stage(finished, "evaluate", Silent())
    assert finished.summary.read_bytes() == before


def test_accuracies_in_the_results_are_those_of_the_vlms_own_answers(finished: Run) -> None:
    """Asks the VLM afresh, with no store between, for some results of every selector that asks it."""
    splits = load_splits(finished.recipe.data, finished.world)
    queries = {example.id: example for example in splits.test}
    index = {example.id: example for example in splits.bank}
    vlm = load_vlm(finished.recipe.vlm)
    results = [result for result in read_results(finished.results) if not result.selector.startswith("majority_vote")]
    for result in results[:: max(1, len(results) // 60)]:
        query = queries[result.query_id]
        (completion,) = vlm.complete([Request(query, tuple(index[number] for number in result.sequence))])
        assert isinstance(completion, Completion)
        assert completion.text == result.text
        assert result.vqa_accuracy == vqa_accuracy(result.text or "", query.answers)


def test_the_cost_of_every_stage_adds_up_to_the_store(finished: Run) -> None:
    with Store.open(finished.completions) as store:
        assert sum(int(stage["vlm_calls"]) for stage in show(finished)["stages"]) == store.count()
    assert all(stage["cache_hits"] >= 0 for stage in show(finished)["stages"])


def test_grpo_learns_from_groups_with_signal_and_starts_at_the_reference(finished: Run) -> None:
    rows = [row for row in show(finished)["epochs"] if row["phase"] == "grpo" and row["epoch"] > 0]
    assert abs(rows[0]["kl_before_first_update"]) < 1e-6
    assert rows[-1]["kl"] > 0
    for row in rows:
        assert row["group/frac_signal"] >= 0.5
        assert row["adv_std"] > 0.5


def test_training_and_the_choice_of_epochs_never_ask_about_a_test_query(
    recipe: Recipe, new_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Request]] = []
    real = Parts.ask

    def watched(parts: Parts, requests: Sequence[Request], origin: str) -> list[Completion | Failure]:
        asked.extend((origin, request) for request in requests)
        return real(parts, list(requests), origin)

    monkeypatch.setattr(Parts, "ask", watched)
    run = new_run("watched")
    experiment.run(recipe, run, Silent(), until="rank")
    splits = load_splits(recipe.data, run.world)
    train, val, bank = ({example.id for example in part} for part in (splits.train, splits.val, splits.bank))
    for origin, request in asked:
        allowed = val if "val" in origin else train
        assert request.query.id in allowed, origin
        assert all(example.id in bank for example in request.demonstrations)


def test_every_checkpoint_loads_and_says_what_it_is(finished: Run) -> None:
    for row in show(finished)["epochs"]:
        policy, manifest = load_policy(finished.epoch(row["seed"], row["phase"], row["epoch"]))
        assert (manifest.seed, manifest.phase, manifest.epoch) == (row["seed"], row["phase"], row["epoch"])
        assert policy.settings == finished.recipe.policy


def test_a_late_stage_without_its_forerunners_is_refused(new_run: Callable[[str], Run]) -> None:
    with pytest.raises(InputError, match="needs 'data' first"):
        experiment.stage(new_run("empty"), "evaluate", Silent())
