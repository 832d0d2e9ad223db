"""`shotsmith convert`: forms by name, what is said, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from published_checkpoints import network, v2_value, v3_value, write
from typer.testing import CliRunner, Result

from shotsmith.cli import app


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["convert", *map(str, arguments)])


@pytest.fixture
def v3(tmp_path: Path) -> Path:
    return write(tmp_path / "grpo_epoch2.pt", v3_value(network(layers=2).state_dict()))


def test_without_a_target_the_native_folder_stands_beside(v3: Path):
    assert run(v3).exit_code == 0
    assert (v3.parent / "grpo_epoch2" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--to", "v2format"], "grpo_epoch2_v2format.ckpt"),
        (["--like-predecessor"], "grpo_epoch2_v2format.ckpt"),
        (["--to", "v4"], "grpo_epoch2_v4.pt"),
    ],
)
def test_files_are_named_as_the_predecessor_names_them(v3: Path, options: list[str], name: str):
    assert run(v3, *options).exit_code == 0
    assert (v3.parent / name).is_file()


def test_the_targets_name_says_its_form(tmp_path: Path, v3: Path):
    for name, form in (("a.pt", "v3"), ("b.ckpt", "v2format"), ("c", "native")):
        done = run(v3, tmp_path / name, "--json")
        assert json.loads(done.stdout)["form"] == form
    assert run(tmp_path / "c", "--json").exit_code == 0
    assert (tmp_path / "c_native" / "manifest.json").exists()


def test_the_outcome_is_plain_json(v3: Path):
    outcome = json.loads(run(v3, "--json").stdout)
    assert outcome["policy"]["layers"] == 2
    assert outcome["unknown"] == ["encoder", "vlm", "shots", "recipe", "seed"]
    assert outcome["lost"] == []


def test_what_is_lost_and_left_is_said(tmp_path: Path, v3: Path):
    assert "cross_attn_layers.1.in_proj_weight" in run(v3, "--like-predecessor").stdout
    v2 = write(tmp_path / "best.ckpt", v2_value(network().state_dict()))
    assert "hyper_parameters" in run(v2).stdout


@pytest.mark.parametrize("arguments", [["--to", "v5"], ["--to", "v3", "--like-predecessor"]])
def test_a_form_that_does_not_exist_is_bad_usage(v3: Path, arguments: list[str]):
    assert run(v3, *arguments).exit_code == 2


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path):
    done = run(tmp_path / "none.pt")
    assert done.exit_code == 2
    assert "no such file" in done.stderr
