"""The folder `compat` can be left out: a package without it trains, evaluates, reports, and says what it lacks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_experiment import small_bank_recipe

from shotsmith.recipe import dump_recipe

PACKAGE = Path(__file__).parent.parent / "src" / "shotsmith"


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the package without `compat`."""
    folder = tmp_path_factory.mktemp("core")
    ignored = shutil.ignore_patterns("compat", "__pycache__")
    shutil.copytree(PACKAGE, folder / "shotsmith", ignore=ignored, copy_function=os.link)
    return folder


def run(core: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shotsmith", *arguments],
        cwd=core,
        env=os.environ | {"PYTHONPATH": str(core), "COLUMNS": "120", "TERM": "dumb"},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_recipe_runs_from_data_to_report(core: Path):
    (core / "small.yaml").write_text(dump_recipe(small_bank_recipe()), encoding="utf-8")
    done = run(core, "run", "small.yaml", "--out", "runs/small", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert [stage["name"] for stage in shown["stages"]][-1] == "report"
    assert {epoch["phase"] for epoch in shown["epochs"]} == {"supervised", "rce", "grpo"}


def test_the_help_has_every_verb_of_the_core_and_no_other(core: Path):
    done = run(core, "--help")
    assert done.returncode == 0, done.stderr
    listed = set(re.findall(r"^\W+(\w+) ", done.stdout, flags=re.MULTILINE))
    assert {"run", "select", "diagnose", "store"} <= listed
    assert not {"import", "convert", "predecessor"} & listed


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["reward.mode=legacy"], "no mode is called 'legacy'; there are weighted_sum"),
        (["policy={preset: v2}"], "no preset is called 'v2'"),
        (["vlm={decoding: predecessor}"], "no decoding is called 'predecessor'; there are greedy"),
    ],
)
def test_a_setting_that_it_lacks_is_an_error_that_names_it(core: Path, settings: list[str], problem: str):
    (core / "world.yaml").write_text("data: {world: {}}\n", encoding="utf-8")
    done = run(core, "plan", "world.yaml", *(f"--set={setting}" for setting in settings))
    assert done.returncode == 2
    assert problem in " ".join(done.stderr.split())


def test_files_that_it_cannot_read_are_errors_that_say_so(core: Path):
    (core / "train.log").write_text("Epoch Val Loss KL\n2 5.3 0.1\n", encoding="utf-8")
    done = run(core, "diagnose", "train.log")
    assert done.returncode == 2
    assert "no reader of training logs is installed" in " ".join(done.stderr.split())
