"""A training's epochs as the predecessor's files: all of them, only them, and never another training's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_matching import small_run

from shotsmith.checkpoints.native import save_policy
from shotsmith.compat.checkpoints.convert import read_policy
from shotsmith.compat.checkpoints.exporting import Exporter, Exporting
from shotsmith.errors import InputError
from shotsmith.policies.pointer import build_policy
from shotsmith.progress import Silent
from shotsmith.recipe import PolicySettings, parse_recipe
from shotsmith.runs import Phase, Run

POLICY = PolicySettings.model_validate({"preset": "v3", "hidden_size": 8})
EPOCHS: list[tuple[Phase, int]] = [("supervised", 1), ("rce", 1), ("rce", 2), ("grpo", 1)]
FILES = {"rce_epoch1.pt", "rce_epoch2.pt", "grpo_epoch1.pt"}


def trained(folder: Path, policy: PolicySettings = POLICY, seed: int = 0) -> Run:
    """A run with epochs of every phase, two of them of another seed."""
    recipe = parse_recipe({"seeds": [0, 1], "data": {"world": {}}, "policy": policy.model_dump()})
    run = Run.create(folder, recipe)
    for training_seed in (0, 1):
        for phase, epoch in EPOCHS:
            finish(run, training_seed, phase, epoch, weights=100 * seed + 10 * training_seed + epoch)
    return run


def finish(run: Run, seed: int, phase: Phase, epoch: int, weights: int) -> dict[str, object]:
    policy = run.recipe.policy
    manifest = small_run(run.folder, phase).manifest
    manifest = manifest.model_copy(update={"policy": policy, "embedding_width": 6, "epoch": epoch})
    save_policy(run.epoch(seed, phase, epoch), build_policy(policy, 6, seed=weights), manifest)
    row: dict[str, object] = {"seed": seed, "phase": phase, "epoch": epoch, "val_loss": 1.0}
    run.record_epoch(row)
    return row


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.fixture
def exporter(tmp_path: Path) -> Exporter:
    return Exporter(trained(tmp_path / "run"), tmp_path / "model_cpk")


def test_every_epoch_of_rce_and_grpo_of_the_first_seed_is_a_file(exporter: Exporter):
    exporter.begin()
    assert names(exporter.folder) == FILES
    policy, manifest = read_policy(exporter.folder / "rce_epoch2.pt")
    assert (manifest.phase, manifest.epoch) == ("rce", 2)
    assert torch.equal(policy.encoder.query_proj.weight, build_policy(POLICY, 6, seed=2).encoder.query_proj.weight)


def test_an_epoch_is_written_as_soon_as_it_is_done(exporter: Exporter):
    exporter.begin()
    row = finish(exporter.run, 0, "grpo", 2, weights=7)
    Exporting(Silent(), exporter).epoch(row)
    assert names(exporter.folder) == FILES | {"grpo_epoch2.pt"}


def test_what_a_kill_kept_from_being_written_is_written_at_the_next_start(exporter: Exporter):
    exporter.begin()
    (exporter.folder / "grpo_epoch1.pt").unlink()
    exporter.begin()
    assert names(exporter.folder) == FILES


@pytest.mark.parametrize("name", ["grpo_epoch1.pt", "grpo_epoch50.pt"])
def test_the_files_of_another_training_are_neither_replaced_nor_mixed_in(tmp_path: Path, exporter: Exporter, name: str):
    other = Exporter(trained(tmp_path / "other", seed=1), tmp_path / "others")
    other.begin()
    exporter.folder.mkdir()
    before = (other.folder / "grpo_epoch1.pt").read_bytes()
    (exporter.folder / name).write_bytes(before)
    with pytest.raises(InputError, match=rf"another training \({name}\)"):
        exporter.begin()
    assert names(exporter.folder) == {name}
    assert (exporter.folder / name).read_bytes() == before


def test_a_damaged_file_is_not_taken_for_ones_own(exporter: Exporter):
    exporter.begin()
    (exporter.folder / "rce_epoch1.pt").write_bytes(b"half a file")
    with pytest.raises(InputError, match="another training"):
        exporter.begin()


def test_other_files_are_left_alone(exporter: Exporter):
    exporter.folder.mkdir()
    (exporter.folder / "grpo_epoch2_v2format.ckpt").write_bytes(b"mine")
    (exporter.folder / "best.pt").write_bytes(b"mine")
    exporter.begin()
    exporter.withdraw()
    assert names(exporter.folder) == {"grpo_epoch2_v2format.ckpt", "best.pt"}


def test_withdrawing_takes_only_this_runs_files(tmp_path: Path, exporter: Exporter):
    exporter.begin()
    other = Exporter(trained(tmp_path / "other", seed=1), tmp_path / "others")
    other.begin()
    (other.folder / "rce_epoch1.pt").replace(exporter.folder / "rce_epoch1.pt")
    exporter.withdraw()
    assert names(exporter.folder) == {"rce_epoch1.pt"}


def test_a_policy_the_files_cannot_hold_is_said_and_not_written(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    exporter = Exporter(trained(tmp_path / "run", POLICY.model_copy(update={"memory": "gpt2"})), tmp_path / "files")
    with caplog.at_level("WARNING", logger="shotsmith"):
        exporter.begin()
    assert "policy.memory: gpt2" in caplog.text
    assert not exporter.folder.exists()
