"""`shotsmith predecessor`: the GPU, the checkpoint to test, starting anew; what stops a command before any work."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from published_checkpoints import network, v3_value, write
from published_network import PublishedNetwork
from setting_probes.files import write_captions
from small_clip import write_tiny_clip
from small_vlm import save_plain
from typer.testing import CliRunner, Result

from shotsmith.cli import app

COMMON = ("vqa", "okvqa_local", "{device}", "query_img_text_icd_img_text", "rand_sampler", "qwen2.5_vl_3B")
FOLDER = Path("okvqa/model_cpk/v3_RandSampler_Qwen2_5-VL-3B-Instruct")
CLIP_WIDTH = 12
RECIPE = Path(__file__).parents[2] / "recipes" / "predecessor" / "scheme5.yaml"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("RESULT_DIR", str(tmp_path))
    monkeypatch.setenv("SHOTSMITH_BUILTIN", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return monkeypatch


def run(verb: str, *more: str, device: str = "0") -> Result:
    arguments = [each.format(device=device) for each in COMMON]
    return CliRunner().invoke(app, ["predecessor", verb, "--recipe", str(RECIPE), *arguments, *more])


@pytest.mark.parametrize(
    ("visible", "device", "shown"),
    [
        (None, "3", "3"),
        ("2,5", "1", "5"),
        ("GPU-a,GPU-b", "0", "GPU-a"),
        ("", "4", ""),
        ("0,1", "cuda:1", "1"),
        ("0,1", "cpu", ""),
    ],
)
def test_only_the_gpu_asked_for_is_seen(
    environment: pytest.MonkeyPatch, tmp_path: Path, visible: str | None, device: str, shown: str
):
    if visible is None:
        environment.delenv("CUDA_VISIBLE_DEVICES")
    else:
        environment.setenv("CUDA_VISIBLE_DEVICES", visible)
    environment.setenv("LEVER_LM_CHECKPOINT_PATH", str(tmp_path / "none.pt"))
    done = run("inference", "v3", "800", device=device)
    assert done.exit_code == 2
    assert "none.pt: no such file" in done.stderr
    assert os.environ["CUDA_VISIBLE_DEVICES"] == shown


def test_a_gpu_that_is_not_there_is_said(environment: pytest.MonkeyPatch, tmp_path: Path):
    environment.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    environment.setenv("LEVER_LM_CHECKPOINT_PATH", str(tmp_path))
    done = run("inference", "v3", "800", device="2")
    assert done.exit_code == 2
    assert "there is no GPU 2" in done.stderr


def test_without_a_variable_the_newest_checkpoint_is_tested(environment: pytest.MonkeyPatch, tmp_path: Path):
    """The files hold no policy, so that each is refused by its name."""
    (tmp_path / FOLDER).mkdir(parents=True)
    for age, name in enumerate(("grpo_epoch2.pt", "grpo_epoch10.pt", "rce_epoch5.pt", "grpo_epoch1_v2format.ckpt")):
        (tmp_path / FOLDER / name).write_text("x")
        os.utime(tmp_path / FOLDER / name, (1000 - age, 1000 - age))
    for empty in (None, ""):
        if empty is not None:
            environment.setenv("LEVER_LM_CHECKPOINT_PATH", empty)
        done = run("inference", "v3", "800")
        assert done.exit_code == 2
        assert "grpo_epoch2.pt: is damaged" in done.stderr
    os.utime(tmp_path / FOLDER / "grpo_epoch10.pt", (1000, 1000))
    assert "grpo_epoch10.pt: is damaged" in run("inference", "v3", "800").stderr
    variant = tmp_path / "okvqa" / "model_cpk" / FOLDER.name.replace("v3_", "v4-5_")
    variant.mkdir()
    (variant / "grpo_epoch3.pt").write_text("x")
    assert "grpo_epoch3.pt: is damaged" in run("inference", "v4", "-1").stderr
    done = run("inference", "v2", "800")
    assert done.exit_code == 2
    assert "holds no checkpoint" in done.stderr and "v2_RandSampler" in done.stderr


def test_an_option_that_is_not_known_is_refused():
    done = run("inference", "v3", "800", "--sett", "grpo.beta=1")
    assert done.exit_code == 2 and "--sett" in done.stderr


def test_captions_are_tested_with_a_model_by_path_on_all_images(environment: pytest.MonkeyPatch, tmp_path: Path):
    environment.delenv("SHOTSMITH_BUILTIN")
    write_captions(tmp_path / "coco")
    (tmp_path / "coco" / "train2014").mkdir()
    save_plain(tmp_path / "vlm")
    write_tiny_clip(tmp_path / "clip")
    weights = PublishedNetwork.drawn(0, CLIP_WIDTH, hidden=16).state_dict()
    environment.setenv("LEVER_LM_CHECKPOINT_PATH", str(write(tmp_path / "c.pt", v3_value(weights))))
    environment.setenv("COCO_PATH", str(tmp_path / "coco"))
    small = ("data.train_queries=4", "data.val_queries=2", "beam.queries=2", "pools.size=4", "evaluation.shots=[1,2]")
    options = [part for setting in (f"encoder.path={tmp_path / 'clip'}", *small) for part in ("--set", setting)]
    arguments = ("caption", "coco2014", "cpu", *COMMON[3:5], str(tmp_path / "vlm"), "v3", "-1")
    done = CliRunner().invoke(
        app, ["predecessor", "inference", "--recipe", str(RECIPE), *arguments, *options, "--json", "--quiet"]
    )
    assert done.exit_code == 0, done.output
    file = tmp_path / "coco" / "icl_inference" / "v3_RandSampler_vlm" / "metrics.json"
    ((name, figures),) = json.loads(file.read_text()).items()
    assert name.endswith("-test_data_num=-1-LeverLMRetriever") and set(figures) == {"shot_num=1", "shot_num=2"}
    (run,) = (tmp_path / "coco" / "runs").iterdir()
    assert run.name.endswith("_all") and "test_queries: 5" in (run / "recipe.yaml").read_text()
    assert {"cider"} < set(json.loads(done.stdout))


def test_another_trainings_files_stop_the_training_before_it_begins(tmp_path: Path):
    (tmp_path / FOLDER).mkdir(parents=True)
    precious = write(tmp_path / FOLDER / "grpo_epoch2.pt", v3_value(network().state_dict()))
    before = precious.read_bytes()
    done = run("train")
    assert done.exit_code == 2
    assert "another training" in done.stderr
    assert precious.read_bytes() == before
    assert not (tmp_path / "okvqa" / "runs" / FOLDER.name / "world").exists()


@pytest.mark.parametrize(("verb", "more"), [("train", ()), ("inference", ("v3", "800"))])
def test_without_data_and_without_the_built_in_ones_it_is_said_what_is_missing(
    environment: pytest.MonkeyPatch, tmp_path: Path, verb: str, more: tuple[str, ...]
):
    environment.delenv("SHOTSMITH_BUILTIN")
    environment.setenv("LEVER_LM_CHECKPOINT_PATH", str(tmp_path / "none.pt"))
    environment.chdir(tmp_path)
    done = run(verb, *more)
    assert done.exit_code == 2
    assert "OKVQA_PATH is not set" in done.stderr
