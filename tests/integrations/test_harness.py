"""Tasks of lm-eval and lmms-eval, run by these packages with the built-in VLM: they print what we print."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import yaml
from real_server import serving
from small_experiment import small_bank_recipe

from shotsmith import experiment
from shotsmith.builtin import VLM_PATH
from shotsmith.errors import InputError, ShotsmithError
from shotsmith.evaluation.selections import evaluate_selections, read_selections
from shotsmith.experiment.parts import Parts
from shotsmith.experiment.selections import write_selections
from shotsmith.integrations.harness import Harness, Shown, write_tasks
from shotsmith.progress import Silent
from shotsmith.recipe import Recipe
from shotsmith.runs import Run

METRIC = "vqa_accuracy"
RUN = "import shotsmith.builtin.processor, runpy, sys; runpy.run_module(sys.argv.pop(1), run_name='__main__')"
"""Runs a module as a command, with the processor of the built-in VLM, which needs no torchvision."""


def recipe(**vlm: Any) -> Recipe:
    settings = small_bank_recipe().model_dump(mode="json")
    for phase in ("supervised", "rce", "grpo"):
        settings[phase]["epochs"] = 0
    settings["data"]["test_queries"] = 24
    settings["vlm"] |= vlm
    return Recipe.model_validate(settings)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Data and embeddings; selectors that need no training choose from them."""
    run = Run.create(tmp_path_factory.mktemp("runs") / "run", recipe())
    experiment.run(run.recipe, run, Silent(), until="pools")
    return run


@pytest.fixture
def selections(run: Run, tmp_path: Path) -> Path:
    write_selections(run, tmp_path / "mixed.jsonl", Silent(), selector="mixed")
    return tmp_path / "mixed.jsonl"


def accuracy(run: Run, selections: Path, shots: int, **vlm: Any) -> float:
    """What `evaluate --selections` finds, 0 to 1."""
    with Parts(recipe(**vlm), run, Silent()) as parts:
        tasks = replace(parts.tasks("test"), pools=None)
        selected = read_selections(selections, tasks, run.recipe.evaluation.shots)
        results = evaluate_selections(tasks, "theirs", selected, parts.ask)
    return fmean(result.vqa_accuracy for result in results if result.shots == shots and result.vqa_accuracy is not None)


def printed(module: str, *arguments: str, folder: Path) -> float:
    """The accuracy in the table that a harness prints."""
    environment = {**os.environ, "HF_HOME": str(folder / "home"), "HF_DATASETS_OFFLINE": "1"}
    command = [sys.executable, "-c", RUN, module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    found = re.search(rf"\|\s*{METRIC}\s*\|[^|]*\|\s*([0-9.]+)\s*\|", done.stdout)
    assert found is not None, done.stdout[-3000:] + done.stderr[-3000:]
    return float(found[1])


def installed(package: str) -> Any:
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed (make test-harnesses installs it)")


@installed("lm_eval")
@pytest.mark.slow
def test_lm_eval_prints_our_accuracy(run: Run, selections: Path, tmp_path: Path) -> None:
    names = write_tasks(run, selections, tmp_path / "tasks", "lm_eval", Silent())
    assert names == ["small-bank_1_shot", "small-bank_2_shot"]
    model = f"pretrained={VLM_PATH},dtype=float32"
    told = ["--model", "hf-multimodal", "--model_args", model, "--device", "cpu", "--batch_size", "4"]
    told += ["--tasks", names[1], "--include_path", str(tmp_path / "tasks"), "--apply_chat_template"]
    expected = accuracy(run, selections, 2)
    assert 0.05 < expected < 0.95
    assert printed("lm_eval", *told, folder=tmp_path) == pytest.approx(expected, abs=5e-5)


@installed("lmms_eval")
@pytest.mark.slow
def test_lmms_eval_prints_our_accuracy(run: Run, selections: Path, tmp_path: Path) -> None:
    names = write_tasks(run, selections, tmp_path / "tasks", "lmms_eval", Silent())
    expected = accuracy(run, selections, 2)
    assert 0.05 < expected < 0.95
    # Its own loader of models passes an argument that transformers 5 refuses: it asks a server.
    with serving(tmp_path) as url:
        model = f"model=vlm,base_url={url},api_key=none,num_concurrent=2,timeout=120"
        told = ["--model", "openai", "--model_args", model, "--batch_size", "1", "--tasks", names[1]]
        found = printed("lmms_eval", *told, "--include_path", str(tmp_path / "tasks"), folder=tmp_path)
    assert found == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("harness", ["lm_eval", "lmms_eval"])
def test_a_task_shows_the_prompt_of_the_evaluation(
    run: Run, selections: Path, tmp_path: Path, harness: Harness
) -> None:
    names = write_tasks(run, selections, tmp_path / "tasks", harness, Silent())
    shown = Shown(tmp_path / "tasks")
    docs = [json.loads(line) for line in (tmp_path / "tasks" / f"{names[1]}.jsonl").read_text().splitlines()]
    rows = [row for row in map(json.loads, selections.read_text().splitlines()) if row["shots"] == 2]
    assert [doc["id"] for doc in docs] == [row["query"] for row in rows]
    with Parts(run.recipe, run, Silent()) as parts:
        bank = {example.id: example for example in parts.splits.bank}
    for doc, row in zip(docs, rows, strict=True):
        text = shown.doc_to_text(doc)
        questions = [bank[one].question for one in row["demonstrations"]]
        assert text.count("<image>") == 3 == len(shown.doc_to_image(doc))
        assert [text.find(one) for one in questions] == sorted(text.find(one) for one in questions)
        (turn,) = shown.doc_to_messages(doc)
        assert "".join(part.get("text", "<image>") for part in turn["content"]) == text
        assert shown.process_results(doc, [f" {doc['answer']}\nmore"])[METRIC] > 0
        assert shown.process_results(doc, ["nothing of the kind"])[METRIC] == 0
    with pytest.raises(ShotsmithError, match=r"has no answer: .*connection refused"):
        shown.process_results(docs[0], ["[LMMS_EVAL_REQUEST_FAILED after 5 retries] connection refused"])


def test_what_a_harness_cannot_show_is_refused(run: Run, selections: Path, tmp_path: Path) -> None:
    turns = replace(run, recipe=recipe(prompt={"layout": "multi_turn"}))
    with pytest.raises(InputError, match=r"field vlm\.prompt: lm-eval shows demonstrations in one user turn"):
        write_tasks(turns, selections, tmp_path / "tasks", "lm_eval", Silent())
    names = write_tasks(turns, selections, tmp_path / "tasks", "lmms_eval", Silent())
    doc = json.loads((tmp_path / "tasks" / f"{names[0]}.jsonl").read_text().splitlines()[0])
    assert [turn["role"] for turn in Shown(tmp_path / "tasks").doc_to_messages(doc)] == ["user", "assistant", "user"]
    with pytest.raises(InputError, match="has no selections of seed 3"):
        rows = [{**json.loads(line), "seed": 1} for line in selections.read_text().splitlines()]
        (tmp_path / "seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        write_tasks(run, tmp_path / "seeds.jsonl", tmp_path / "tasks", "lmms_eval", Silent(), seed=3)
    told = yaml.load((tmp_path / "tasks" / f"{names[0]}.yaml").read_text().split("doc_to_text")[0], yaml.SafeLoader)
    assert told["generation_kwargs"]["max_new_tokens"] == run.recipe.vlm.max_new_tokens
