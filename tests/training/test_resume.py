"""Training that is killed and taken up again ends, bit for bit, as if it had never stopped."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_matching import Matching, small_policy, small_run, without_times

from shotsmith.errors import CheckpointError
from shotsmith.recipe import GrpoSettings, RceSettings, SupervisedSettings
from shotsmith.records import Rollout
from shotsmith.runs import read_rows
from shotsmith.training.groups import from_beams, from_rollouts
from shotsmith.training.grpo import train_grpo
from shotsmith.training.rce import train_rce
from shotsmith.training.supervised import SupervisedData, train_supervised
from shotsmith.training.validation import Validation

EPOCHS = 4


class Killed(Exception):
    """Stands for kill -9: nothing after it runs."""


def grpo(folder, fail_at=None, **changes):
    """GRPO with sampling on; raises in the scorer's call number `fail_at`."""
    task, calls = Matching.draw(30, seed=0), []

    def scorer(pairs, origin):
        calls.append(origin)
        if len(calls) == fail_at:
            raise Killed
        return task.score(pairs, origin)

    settings = GrpoSettings(
        **(
            {"epochs": EPOCHS, "steps_per_epoch": 3, "queries_per_step": 6, "num_generations": 4, "warmup_steps": 15}
            | {"shots": (1, 2), "max_resamples": 1, "learning_rate": 3e-3}
            | changes
        )
    )
    policy, run = small_policy(), small_run(folder, "grpo")
    return policy, train_grpo(policy, task.inputs, scorer, Validation(), settings, run), calls


def recorded_phase(folder, phase, fail_in_epoch=None, **changes):
    """Supervised or RCE training with dropout; raises while epoch `fail_in_epoch` is judged."""
    task, policy, judged = Matching.draw(30, seed=0), small_policy(), []

    def answered(_policy):
        judged.append(0)
        if len(judged) == fail_in_epoch:
            raise Killed
        return task.validation().answered(_policy)

    validation, run = Validation(answered=answered), small_run(folder, phase)
    if phase == "supervised":
        beams = from_beams({q: [(q % 5, 6), (7, q % 3)] for q in range(30)})
        settings = SupervisedSettings(**({"epochs": EPOCHS, "queries_per_step": 8} | changes))
        return policy, train_supervised(policy, SupervisedData(task.inputs, beams), validation, settings, run)
    rollouts = from_rollouts(Rollout(q, (p,), task.reward(q, (p,))) for q in range(30) for p in range(4))
    rce = RceSettings(**({"epochs": EPOCHS, "queries_per_step": 8} | changes))
    return policy, train_rce(policy, task.inputs, rollouts, validation, rce, run)


def assert_same(folder, other, phase):
    """Weights, optimizer, manifests and metrics of every epoch are equal to the bit."""
    for epoch in range(1, EPOCHS + 1):
        name = f"seed-0/{phase}/epoch-{epoch:03d}"
        for file in ("policy.safetensors", "manifest.json"):
            assert (folder / name / file).read_bytes() == (other / name / file).read_bytes(), (name, file)
    one, two = (load_file(place / "seed-0" / phase / "state" / "state.safetensors") for place in (folder, other))
    assert one.keys() == two.keys()
    assert any(name.startswith("optimizer.") for name in one)
    assert all(np.array_equal(one[name].numpy(), two[name].numpy()) for name in one)
    rows = [without_times(read_rows(place / "metrics.jsonl")) for place in (folder, other)]
    assert len(rows[0]) == EPOCHS
    assert json.dumps(rows[0]) == json.dumps(rows[1])


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.99])
def test_grpo_killed_amid_an_epoch_ends_as_if_it_had_not_been(tmp_path, share):
    policy, _, calls = grpo(tmp_path / "whole")
    with pytest.raises(Killed):
        grpo(tmp_path / "killed", fail_at=max(1, int(share * len(calls))))
    resumed, rows, _ = grpo(tmp_path / "killed")
    assert len(rows) == EPOCHS
    assert_same(tmp_path / "whole", tmp_path / "killed", "grpo")
    assert all(torch.equal(a, b) for a, b in zip(policy.parameters(), resumed.parameters(), strict=True))


@pytest.mark.parametrize("phase", ["supervised", "rce"])
@pytest.mark.parametrize("epoch", [1, 3])
def test_training_with_dropout_killed_amid_an_epoch_ends_as_if_it_had_not_been(tmp_path, phase, epoch):
    recorded_phase(tmp_path / "whole", phase)
    with pytest.raises(Killed):
        recorded_phase(tmp_path / "killed", phase, fail_in_epoch=epoch)
    recorded_phase(tmp_path / "killed", phase)
    assert_same(tmp_path / "whole", tmp_path / "killed", phase)


def test_a_kill_between_state_and_metrics_loses_no_row(tmp_path, monkeypatch):
    grpo(tmp_path / "whole")

    def killed(_log, row):
        if row["epoch"] == 2:
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("shotsmith.training.metrics_log.MetricsLog.append", killed)
        grpo(tmp_path / "killed")
    grpo(tmp_path / "killed")
    assert_same(tmp_path / "whole", tmp_path / "killed", "grpo")


def test_a_kill_between_checkpoint_and_state_replays_the_epoch(tmp_path, monkeypatch):
    grpo(tmp_path / "whole")

    def killed(*_arguments):
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("shotsmith.training.loop.save_state", killed)
        grpo(tmp_path / "killed")
    grpo(tmp_path / "killed")
    assert_same(tmp_path / "whole", tmp_path / "killed", "grpo")


def test_a_finished_phase_only_loads_its_result(tmp_path):
    policy, rows, _ = grpo(tmp_path)
    again, same, calls = grpo(tmp_path)
    assert calls == []
    assert same == rows
    assert all(torch.equal(a, b) for a, b in zip(policy.parameters(), again.parameters(), strict=True))


def test_lost_metrics_are_written_again_from_the_state(tmp_path):
    _, rows, _ = grpo(tmp_path)
    (tmp_path / "metrics.jsonl").unlink()
    grpo(tmp_path)
    assert read_rows(tmp_path / "metrics.jsonl") == rows


@pytest.mark.parametrize("change", [{"learning_rate": 1e-4}, {"shots": (2,)}])
def test_a_state_of_other_settings_is_refused(tmp_path, change):
    grpo(tmp_path)
    with pytest.raises(CheckpointError, match=r"state\.safetensors: belongs to other settings"):
        grpo(tmp_path, **change)


def test_a_truncated_state_is_refused(tmp_path):
    grpo(tmp_path)
    state = tmp_path / "seed-0" / "grpo" / "state" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"state\.safetensors: cannot be read"):
        grpo(tmp_path)
