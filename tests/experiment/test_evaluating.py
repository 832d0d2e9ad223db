"""The evaluation of a whole run: its bounds, its looks at the test queries, and leaks planted in its files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from shotsmith import experiment
from shotsmith.diagnosis.evidence import evidence_of_run
from shotsmith.errors import DataError
from shotsmith.evaluation.free import is_free
from shotsmith.evaluation.results import read_results
from shotsmith.progress import Silent
from shotsmith.recipe import dump_recipe, parse_recipe
from shotsmith.runs import Run, show


@pytest.fixture
def copied(finished: Run, tmp_path: Path) -> Run:
    shutil.copytree(finished.folder, tmp_path / "copied")
    return Run.open(tmp_path / "copied")


def test_evaluating_again_is_no_second_look_and_evaluating_other_epochs_is(copied: Run) -> None:
    (look,) = show(copied)["evaluations"]
    assert {entered["phase"] for entered in look["checkpoints"]} == {"supervised", "rce", "grpo"}
    experiment.stage(copied, "evaluate", Silent())
    assert copied.evaluations() == [look]
    chosen = {entered["phase"]: entered["epoch"] for entered in look["checkpoints"]}
    other = next(row for row in copied.epochs() if row["phase"] == "grpo" and row["epoch"] != chosen["grpo"])
    copied.record_epoch({**other, "val_reward": 99.0})
    experiment.stage(copied, "evaluate", Silent())
    assert len(copied.evaluations()) == 2 and copied.evaluations()[0] == look


def test_the_vote_enters_and_the_oracle_has_not_learned_from_it(finished: Run) -> None:
    results = read_results(finished.results)
    votes = [result for result in results if result.selector.startswith("majority_vote")]
    assert len(votes) == 2 * 2 * 12 and all(result.text for result in votes)
    others = [result for result in results if result.selector != "oracle" and result not in votes]
    answered = {(r.query_id, r.sequence, r.text) for r in others}
    mixed = {(r.selector, r.query_id, r.shots): r.sequence for r in results if r.selector.startswith("mixed")}
    for vote in votes:
        assert vote.sequence == mixed[vote.selector.replace("majority_vote", "mixed"), vote.query_id, vote.shots]
    invented = {(vote.query_id, vote.sequence, vote.text) for vote in votes} - answered
    assert not invented & {(r.query_id, r.sequence, r.text) for r in results if r.selector == "oracle"}


def test_the_best_free_selector_is_chosen_on_validation_queries_alone(finished: Run) -> None:
    shown = show(finished)
    best = shown["best_free"]
    means = {row["selector"]: row["accuracy"] for row in shown["validation"] if row["shots"] == "mean"}
    assert best["chosen_on"] == "val" and best["n"] == 6
    assert best["accuracy_on_val"] == pytest.approx(max(means.values())) == pytest.approx(means[best["selector"]])
    first = shown["contrasts"][0]
    assert (first["a"], first["b"]) == ("grpo", best["selector"])
    assert {*means} == {name for name in {row["selector"] for row in shown["test"]} if is_free(name)}


def test_everything_chooses_from_the_whole_bank_beside_its_pools(finished: Run) -> None:
    results = read_results(finished.results)
    selectors = {result.selector for result in results}
    assert {"mixed@bank", "fixed@bank", "supervised@bank", "rce@bank", "grpo@bank"} <= selectors
    pools = {query: set(pool) for query, pool in evidence_of_run(finished).pools.items()}
    assert all(set(r.sequence) <= pools[r.query_id] for r in results if "@bank" not in r.selector)
    assert any(not set(r.sequence) <= pools[r.query_id] for r in results if r.selector == "grpo@bank")


def test_recall_adds_up(finished: Run) -> None:
    rows = show(finished)["recall"]
    assert {row["selector"] for row in rows} == {"mixed", "supervised", "rce", "grpo"}
    for row in rows:
        assert row["accuracy"] + row["choice"] + row["retrieval"] == pytest.approx(row["oracle"])
        assert min(row["choice"], row["retrieval"]) >= -1e-9 and row["n"] == 12


def test_the_beam_enters_where_a_width_is_given(copied: Run) -> None:
    assert not any(result.selector == "beam" for result in read_results(copied.results))
    settings = copied.recipe.model_dump(mode="json")
    settings["evaluation"] |= {"beam_width": 1, "shots": [1]}
    last = copied.recipe_file.read_text().splitlines()[-1]
    copied.recipe_file.write_text(f"{dump_recipe(parse_recipe(settings))}{last}\n")
    run = Run.open(copied.folder)
    experiment.stage(run, "evaluate", Silent())
    beams = [result for result in read_results(run.results) if result.selector == "beam"]
    assert len(beams) == 12 and {row["selector"] for row in show(run)["test"]} >= {"beam", "oracle"}


def test_a_test_query_planted_in_the_beam_data_is_refused(copied: Run) -> None:
    planted = json.loads(copied.beam.read_text())
    planted["queries"][3]["query"] = read_results(copied.results)[0].query_id
    copied.beam.write_text(json.dumps(planted))
    for stage in ("train", "evaluate"):
        with pytest.raises(DataError, match=r"beam\.json, row 4: is not beam data of this run"):
            experiment.stage(copied, stage, Silent())
