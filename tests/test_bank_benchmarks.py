"""Benchmarks that finish runs of recipes: what they read from a run, and that one failure does not stop the rest."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from shotsmith.completions.store import Store
from shotsmith.evaluation.results import Result, write_results
from shotsmith.files import write_json
from shotsmith.recipe import parse_recipe
from shotsmith.records import Completion
from shotsmith.runs import Run

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
QUERIES = 40
RIGHT = {"mixed": 10, "diverse": 12, "grpo": 30, "grpo_reversed": 28, "oracle": 40}
"""Of 40 queries; `diverse` is better than `mixed` on the test queries, but not chosen on validation queries."""


@pytest.fixture
def bank_runs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    return importlib.import_module("bank_runs")


@pytest.fixture
def quality(bank_runs: ModuleType) -> ModuleType:
    return importlib.import_module("quality")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The first ten queries are of an easy kind, which every selector answers."""
    settings = {"name": "small", "seeds": [0, 1], "data": {"world": {}}, "evaluation": {"resamples": 200}}
    run = Run.create(tmp_path / "run", parse_recipe(settings))
    results = [
        Result(query, selector, seed, shots, 0, (), "x", float(query < right), None, "easy" if query < 10 else "hard")
        for selector, right in RIGHT.items()
        for seed in ((0, 1) if selector.startswith("grpo") else (None,))
        for shots in (1, 2, 3, 4)
        for query in range(QUERIES)
    ]
    write_results(run.results, results)
    write_json(run.summary, {"best_free": {"selector": "mixed"}})
    for seed in (0, 1):
        for epoch, accuracy in enumerate((40.0, 60.0 + seed, 55.0)):
            row = {"seed": seed, "phase": "grpo", "epoch": epoch, "time/seconds": 2.0}
            run.record_epoch(row | {"val/vqa_accuracy": accuracy, "val_reward": accuracy, "val/reward": accuracy})
    with Store.open(run.completions) as store:
        store.put_many([("00" * 16, Completion("x"))], "seed-0/grpo/epoch-001")
    return run


def test_the_gain_is_over_the_free_selector_that_was_chosen_on_validation_queries(quality: ModuleType, run: Run):
    figures = quality.measure(run)
    assert figures["best_free@mean"] == 25 and figures["trained@mean"] == 75
    for name in (
        "grpo_minus_best_training_free",
        *(f"grpo_minus_best_training_free@{shots}" for shots in (1, 2, 3, 4)),
    ):
        assert figures[name] == 50
        assert figures[f"{name}_low"] < 50 < figures[f"{name}_high"]
    assert figures["gap_closed"] == pytest.approx(50 / 75)
    assert figures["grpo_minus_reversed"] == 5


def test_a_kind_of_question_that_is_solved_already_has_no_gain(quality: ModuleType, run: Run):
    figures = quality.measure(run)
    assert figures["easy/best_free@4"] == 100 and "easy/gain@4" not in figures
    assert figures["hard/gain@4"] == pytest.approx(100 * 20 / 30)
    assert (figures["unsolved_kinds"], figures["unsolved_kinds_gained"]) == (1, 1)


def test_training_is_told_by_seed(quality: ModuleType, run: Run):
    figures = quality.measure(run)
    assert [figures[f"seed_{seed}/validation_start"] for seed in (0, 1)] == [40, 40]
    assert [figures[f"seed_{seed}/validation_best"] for seed in (0, 1)] == [60, 61]
    assert [figures[f"seed_{seed}/training_vlm_calls"] for seed in (0, 1)] == [1, 0]
    assert figures["seed_0/training_seconds"] == 6


def test_an_epoch_below_its_start_is_noticed(bank_runs: ModuleType, run: Run):
    assert bank_runs.none_below_start(run)
    recipe = run.recipe.model_copy(update={"grpo": run.recipe.grpo.model_copy(update={"best_by": "last"})})
    row = {"seed": 1, "phase": "grpo", "epoch": 3, "time/seconds": 1.0}
    run.record_epoch(row | {"val/vqa_accuracy": 30.0, "val_reward": 30.0, "val/reward": 30.0})
    assert bank_runs.none_below_start(run)
    assert not bank_runs.none_below_start(Run(run.folder, recipe))


FAKE = """
import sys
from pathlib import Path
from shotsmith.recipe import load_recipe
from shotsmith.runs import Run
if "name=bad" in sys.argv:
    sys.exit(3)
changes = [sys.argv[at + 1] for at, word in enumerate(sys.argv) if word == "--set"]
Run.create(Path(sys.argv[sys.argv.index("--out") + 1]), load_recipe(Path(sys.argv[1]), changes))
"""


def test_runs_that_finish_are_kept_when_another_fails(bank_runs: ModuleType, tmp_path: Path):
    recipe = BENCHMARKS.parent / "recipes" / "grpo.yaml"
    jobs = [
        bank_runs.Job(
            name, recipe, [f"name={name}"], defaults=["data.val_queries=7", "data.test_queries=7"], script=("-c", FAKE)
        )
        for name in ("bad", "good")
    ]
    options = argparse.Namespace(out=tmp_path, parallel=2, threads=1, set=["name=other", "data.test_queries=9"])
    names = []
    with pytest.raises(SystemExit, match="failed: bad"):
        for job, run in bank_runs.finished(jobs, options):
            names.append(job.name)
            assert (run.recipe.name, run.recipe.data.val_queries, run.recipe.data.test_queries) == ("good", 7, 9)
    assert names == ["good"]


def test_a_row_replaces_the_one_of_the_same_name(bank_runs: ModuleType, tmp_path: Path):
    for name, figure in (("a", 1), ("b", 2), ("a", 3)):
        bank_runs.keep(tmp_path, name, {"figure": figure})
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert rows == [{"name": "a", "figure": 3}, {"name": "b", "figure": 2}]


def test_scores_become_a_target_that_sums_to_one_and_prefers_the_likelier_answer(bank_runs: ModuleType):
    target = importlib.import_module("listwise").target([-1.0, -2.0, -8.0])
    assert sum(target) == pytest.approx(1) and target == sorted(target, reverse=True)


def test_listwise_and_beam_searched_queries_cost_as_many_calls(bank_runs: ModuleType):
    ways = importlib.import_module("phases").ways(60)
    beam, scores = 60 * (1 + 64 + 5 * 63), ways[4].before[-1]
    queries = int(scores.split("queries: ")[1].split(",")[0])
    assert abs(queries * 65 / beam - 1) < 0.01


def test_the_first_phases_of_a_way_share_their_completions_with_the_whole_run(bank_runs: ModuleType, tmp_path: Path):
    phases = importlib.import_module("phases")
    options = argparse.Namespace(out=tmp_path, recipe=Path("demo.yaml"), set=[])
    way = phases.ways(60)[4]
    start = phases._job(options, "listwise-1-start", way, 0, 1, like="prepared", until="train").command(tmp_path, ())
    whole = phases._job(options, "listwise-1", way, 9, 1, like="listwise-1-start").command(tmp_path, ())
    for command in (start, whole):
        assert Path(command[1]).name == "listwise.py" and command[2] == "demo.yaml"
        assert {"name=listwise-1", "seeds=[1]", f"store={tmp_path / 'listwise-1.sqlite'}"} <= {*command}
    assert start[-2:] == ["--until", "train"] and "grpo.epochs=0" in start
    assert whole[-2:] == ["--from", str(tmp_path / "listwise-1-start")] and "grpo.epochs=9" in whole
