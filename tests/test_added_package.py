"""A package outside the tree adds data, a metric, a gain, a VLM and a verb by entry points; they are used by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shotsmith.evaluation.results import read_results

ADDED = Path(__file__).parent / "added_package"
SOURCE = Path(__file__).parent.parent / "src"
RECIPE = """
name: sums
data:
  reader: {name: sums, options: {first: 10}, metric: last_digit}
  train_queries: 4
  val_queries: 2
  test_queries: 4
policy: {hidden_size: 16, gains: [recent, mmr], gain_options: {recent: {strength: 0.5}}}
vlm: {backend: {name: constant, options: {answer: "7"}}}
reward: {vqa_accuracy: 0, answer_probability: 0, answer_rouge_l: 0, last_digit: 1}
grpo: {epochs: 1, steps_per_epoch: 1, num_generations: 2, queries_per_step: 2, num_iterations: 1, shots: [2]}
evaluation: {shots: [2], random_draws: 1, oracle_tries: 2, fixed_tries: 1, resamples: 100}
"""


def run(folder: Path, *arguments: str, added: bool = True) -> subprocess.CompletedProcess[str]:
    paths = [SOURCE, *([ADDED] if added else [])]
    return subprocess.run(
        [sys.executable, "-m", "shotsmith", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "COLUMNS": "120", "TERM": "dumb"},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "sums.yaml"
    file.write_text(RECIPE, encoding="utf-8")
    return file


@pytest.mark.slow
def test_its_data_metric_gain_and_vlm_go_from_a_recipe_to_results_and_a_report(recipe: Path):
    done = run(recipe.parent, "run", str(recipe), "--out", "run", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    test = json.loads(done.stdout)["test"]
    assert test and {row["metric"] for row in test} == {"last_digit"}
    assert json.loads(done.stdout)["sole_answer"] is None  # of fewer queries than tell
    results = read_results(recipe.parent / "run" / "evaluation" / "results.parquet")
    assert {row.text for row in results if not row.selector.startswith("majority_vote")} == {"7"}
    saved = json.loads(next((recipe.parent / "run").glob("seed-0/grpo/*/*.json")).read_text(encoding="utf-8"))
    assert saved["policy"]["gains"] == ["recent", "mmr"] and saved["vlm"] == "constant:7"
    report = (recipe.parent / "run" / "report.md").read_text(encoding="utf-8")
    assert "Last digit" in report


def test_its_verb_is_one_of_the_command(tmp_path: Path):
    assert json.loads(run(tmp_path, "sum", "3", "4", "--json").stdout) == {"sum": 7}
    assert "Add two numbers." in run(tmp_path, "--help").stdout
    assert run(tmp_path, "sum", "3", "4", added=False).returncode == 2


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("data.reader.name=sum", "no reader is called 'sum'; installed packages have sums, products, nothing"),
        ("data.reader.options.first=x", "data.reader.options.first: is no whole number"),
        ("data.reader.name=nothing", "the reader 'nothing' gives a NoneType, not Splits"),
        ("policy.gains=[rare]", "no gain is called 'rare'; there are mmr, coverage, dpp, dpp_max_similarity, recent"),
        ("policy.gains=[mmr]", "gain_options has options of 'recent', which gains does not name"),
        ("vlm.backend.name=none", "no backend is called 'none'; installed packages have constant, likely, no_vlm"),
        ("vlm.backend.options.answer=7", "vlm.backend.options.answer: is no text"),
        ("vlm.backend.name=no_vlm", "the backend 'no_vlm' gives a NoneType, not a VLM"),
        ("evaluation.beam_width=1", "vlm.backend.name 'constant' has no log-probabilities of given answers"),
        ("vlm.prompt.max_tokens=99", "prompt.max_tokens needs backend.processor, which counts the tokens"),
        ("vlm.server={url: http://127.0.0.1:1/v1}", "backend takes the place of server and ray"),
    ],
)
def test_what_is_wrong_with_what_it_adds_is_an_error_that_says_so(recipe: Path, setting: str, problem: str):
    done = run(recipe.parent, "run", str(recipe), "--out", "run", "--set", setting, "--quiet")
    assert done.returncode
    assert problem in " ".join(done.stderr.split())


def test_without_it_the_recipe_is_refused(recipe: Path):
    done = run(recipe.parent, "run", str(recipe), "--out", "run", "--quiet", added=False)
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert "no reader is called 'sums'; installed packages have none" in said
    assert "last_digit" in said
    assert "no gain is called 'recent'" in said


def test_its_kind_of_server_and_what_it_lacks_are_known(recipe: Path):
    served = ["--set", "vlm={server: {url: http://127.0.0.1:1/v1, kind: echo}}", "--set", "evaluation.beam_width=1"]
    done = run(recipe.parent, "run", str(recipe), "--out", "run", *served, "--quiet")
    assert "vlm.server.kind 'echo' has no log-probabilities of given answers" in " ".join(done.stderr.split())
