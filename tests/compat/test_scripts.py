"""The predecessor's commands, word for word from a checkout, end to end on the built-in world and VLM."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from compat.formats import Size, write_formats
from typer.testing import CliRunner

from shotsmith.cli import app
from shotsmith.evaluation.results import read_results

ROOT = Path(__file__).parents[2]
TRAIN = "bash scripts/train_v3.sh vqa okvqa_local 0 query_img_text_icd_img_text rand_sampler qwen2.5_vl_3B"
TEST = "bash scripts/inference.sh vqa okvqa_local 0 query_img_text_icd_img_text rand_sampler qwen2.5_vl_3B v3"
NAME = "RandSampler_Qwen2_5-VL-3B-Instruct"
FOLDER = f"results/okvqa/model_cpk/v3_{NAME}"
SMALL = (
    "--set 'data.world={preset: first, seed: 0, train: 90, val: 10, test: 12}' "
    "--set data.train_queries=6 --set data.val_queries=2 "
    "--set beam.queries=1 --set beam.width=1 --set evaluation.shots=[1,2]"
)
SMALL_TRAINING = (
    f"{SMALL} --set data.test_queries=6 --set supervised.epochs=1 --set rollouts.beam=0 --set rollouts.sampled=2"
)


def test_the_commands_are_those_of_the_page():
    page = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
    assert f"\n{TRAIN}\n" in page
    assert f"\n{TEST} 800\n" in page
    assert f"python scripts/convert_v3_to_v2_format.py \\\n    --v3_ckpt ./{FOLDER}/grpo_epoch2.pt\n" in page


def shell(checkout: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ours = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(checkout), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["/bin/bash", "-c", command], cwd=checkout, env=ours | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the report's commands stand as it has them."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("scripts", "src", "recipes"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def trained(checkout: Path) -> Path:
    done = shell(checkout, f"{TRAIN} {SMALL_TRAINING}", SHOTSMITH_BUILTIN="1", RCE_EPOCHS="1", GRPO_EPOCHS="2")
    assert done.returncode == 0, done.stderr
    return checkout


def test_training_leaves_a_file_for_every_epoch(trained: Path):
    files = {file.name for file in (trained / FOLDER).iterdir()}
    assert files == {"rce_epoch1.pt", "grpo_epoch1.pt", "grpo_epoch2.pt"}
    stored = torch.load(trained / FOLDER / "grpo_epoch2.pt", weights_only=True)
    assert set(stored) == {"epoch", "phase", "model_state_dict", "kl_beta", "metrics"}
    assert (stored["epoch"], stored["phase"]) == (1, "grpo")  # counted from 0, as its own


def test_convert_and_inference_give_the_metrics_file(trained: Path):
    """The three commands of the report, section 6.1; its 800 questions are 8 here, of a smaller world."""
    done = shell(
        trained,
        f"""
        set -e
        python scripts/convert_v3_to_v2_format.py \\
            --v3_ckpt ./{FOLDER}/grpo_epoch2.pt
        export LEVER_LM_CHECKPOINT_PATH=./{FOLDER}/grpo_epoch2_v2format.ckpt
        {TEST} 8 {SMALL}
        """,
        SHOTSMITH_BUILTIN="1",
    )
    assert done.returncode == 0, done.stderr
    (file,) = (trained / "results/okvqa/icl_inference").rglob("metrics.json")
    ((name, figures),) = json.loads(file.read_text()).items()
    assert name.endswith("-test_data_num=8-LeverLMRetriever")
    assert set(figures) == {"shot_num=1", "shot_num=2"}
    assert all(0 <= figure <= 1 for figure in figures.values())
    ((named, official),) = json.loads(file.with_name("vqa_accuracy.json").read_text()).items()
    assert named.endswith("-test_data_num=8-LeverLMRetriever") and set(official) == set(figures)
    run = trained / "results/okvqa/runs/inference_v3_RandSampler_Qwen2_5-VL-3B-Instruct_8"
    assert "size: 64" in (run / "recipe.yaml").read_text()
    assert len((run / "evaluations.jsonl").read_text().splitlines()) == 1
    results = read_results(run / "evaluation" / "results.parquet")
    for metric, told in (("vqa_accuracy_normalised", figures), ("vqa_accuracy", official)):
        for shots in (1, 2):
            scores = [getattr(result, metric) for result in results if result.shots == shots]
            assert told[f"shot_num={shots}"] == pytest.approx(sum(scores) / len(scores), abs=1e-6)


def test_rl_data_where_the_predecessor_keeps_them_are_trained_on_without_a_vlm(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Nor is there a data set: neither SHOTSMITH_BUILTIN nor OKVQA_PATH is set."""
    files = write_formats(tmp_path / "drawn", Size(train=70, queries=10, rows=4))
    places = {"rl_data.json": f"generated_data/rl_data_{NAME}.json", "query_embeddings.pt": "cache/query_embeddings.pt"}
    for name, place in places.items():
        (tmp_path / "okvqa" / place).parent.mkdir(parents=True)
        shutil.copy(files[name], tmp_path / "okvqa" / place)
    variables = {"RESULT_DIR": str(tmp_path), "RCE_EPOCHS": "1", "GRPO_EPOCHS": "1", "REQUIRE_POSITIVE_QUERY": "true"}
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["predecessor", "train", *TRAIN.split()[2:]])
    assert done.exit_code == 0, done.stderr
    folder = tmp_path / "okvqa" / "model_cpk" / f"v3_{NAME}"
    assert {file.name for file in folder.iterdir()} == {"rce_epoch1.pt", "grpo_epoch1.pt"}


def test_a_variable_that_is_not_understood_stops_the_script(checkout: Path):
    done = shell(checkout, TRAIN, SHOTSMITH_BUILTIN="1", GRPO_LERNING_RATE="1e-5")
    assert done.returncode == 2
    assert "GRPO_LERNING_RATE" in done.stderr
    assert "did you mean" in done.stderr


def test_an_argument_that_is_not_understood_stops_the_script(checkout: Path):
    done = shell(checkout, TEST.replace("rand_sampler", "best_sampler") + " 800", SHOTSMITH_BUILTIN="1")
    assert done.returncode == 2
    assert "sampler 'best_sampler'" in done.stderr


def without_shotsmith(folder: Path) -> str:
    """A PATH whose python has nothing installed, but which has bash's tools."""
    python = folder / "bin" / "python"
    python.parent.mkdir(exist_ok=True)
    if not python.exists():
        python.write_text(f'#!/bin/sh\nexec "{os.path.realpath(sys.executable)}" -S "$@"\n')
        python.chmod(0o755)
        (python.parent / "python3").symlink_to(python)
    return f"{python.parent}:/usr/bin:/bin"


@pytest.mark.parametrize("command", [f"{TEST} 800", "python scripts/convert_v3_to_v2_format.py --v3_ckpt none.pt"])
def test_a_python_without_what_is_needed_gives_way_to_the_checkouts_own(tmp_path: Path, command: str):
    (tmp_path / "scripts").mkdir()
    for file in (ROOT / "scripts").iterdir():
        (tmp_path / "scripts" / file.name).write_bytes(file.read_bytes())
    for name in ("src", "recipes"):
        (tmp_path / name).symlink_to(ROOT / name)
    done = shell(tmp_path, command, PATH=without_shotsmith(tmp_path))
    assert done.returncode == 1
    assert "make setup" in done.stderr
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    own = tmp_path / ".venv" / "bin" / "python"
    own.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    own.chmod(0o755)
    done = shell(tmp_path, command, PATH=without_shotsmith(tmp_path))
    assert done.returncode == 2, done.stderr
    assert "error:" in done.stderr
