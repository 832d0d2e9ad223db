"""Training that is stopped and taken up again ends, bit for bit, as if it had never stopped."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_matching import OPTIMIZER, RETRIEVER, Matching, small_policy, small_run, without_times

from shotsmith.errors import CheckpointError
from shotsmith.files import read_rows
from shotsmith.policies.pointer import PointerPolicy
from shotsmith.recipe import GrpoSettings, RceSettings, SupervisedSettings
from shotsmith.training import loop
from shotsmith.training.grpo import train_grpo
from shotsmith.training.imitation import SupervisedData, train_rce, train_supervised
from shotsmith.training.learner import Learner
from shotsmith.training.metrics_log import MetricsRow
from shotsmith.training.state import state_values
from shotsmith.training.validation import Validation

STATE = Path("state") / "state.safetensors"

GRPO = {
    "on_policy": {"sampling": {"temperature": 0.7}},
    "distinct": {"sampling": {"distinct": True}},
    "sequence": {"importance_level": "sequence"},
    "recorded": {
        "sampling": {"source": "recorded", "keep_top": (3, 5)},
        "dropout": True,
        "kl": {"controller": "multiplicative"},
        "reference": {"old_is_reference": True},
    },
    "reference": {
        "kl": {"controller": "multiplicative"},
        "reference": {"policy": "supervised"},
    },
    "curriculum": {"curriculum": {"kind": "continuous", "epochs": 3}, "steps_per_epoch": 0},
    "restarted": {
        "curriculum": {"kind": "staged", "epochs": 2, "restart_from": 1},
        "steps_per_epoch": 0,
        "average_decay": 0.9,
    },
    "patience": {"epochs": 9, "patience": 2},
    "stop": {"shots": (2,), "advantage": {"zero_variance": "skip"}},
    "schedule": {"schedule": "cosine", "warmup_steps": 4, "freeze_projections": True},
    "bank": {"entropy_coef": 0.01},
    "bank_recorded": {"sampling": {"source": "recorded"}},
    "bank_ivf": {"learning_rate": 0.3},
}
OTHERS = {
    "supervised": {"schedule": "linear"},
    "rce": {"warmup_steps": 5, "patience": 2},
}
SCHEMES = (*GRPO, *OTHERS)

Moment = tuple[int, str, int]
"""Epoch, what happens, and how often it has happened in this epoch."""


class Killed(Exception):
    """Nothing after it runs."""


@dataclass
class Moments:
    """All that happens in a training (it is told as Progress), and the end of it at one of them."""

    at: Moment | None = None
    end: type[BaseException] | int = Killed
    """What is raised, or the signal the process sends itself."""
    seen: list[Moment] = field(default_factory=list)
    number: int = 1

    def reached(self, what: str) -> None:
        moment = (self.number, what, sum((self.number, what) == seen[:2] for seen in self.seen))
        self.seen.append(moment)
        if moment == self.at:
            if isinstance(self.end, int):
                os.kill(os.getpid(), self.end)
            else:
                raise self.end

    @contextlib.contextmanager
    def task(self, _label: str, _total: int, _unit: str = "it") -> Iterator[object]:
        def advance(epochs: int) -> None:
            if not self.seen:  # epochs that were done before
                self.number += epochs

        yield advance

    def epoch(self, row: MetricsRow) -> None:
        self.reached("row written")
        self.number = row["epoch"] + 1

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """The moments nobody else tells of."""

        def watched(function, before=None, after=None):
            def call(*arguments):
                if before:
                    self.reached(before)
                result = function(*arguments)
                if after:
                    self.reached(after)
                return result

            return call

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Learner, "update", watched(Learner.update, before="update"))
            patch.setattr(loop, "save_policy", watched(loop.save_policy, after="checkpoint written"))
            patch.setattr(loop, "save_state", watched(loop.save_state, after="state written"))
            yield


def train(folder: Path, scheme: str, moments: Moments, **changes: object) -> tuple[PointerPolicy, list[MetricsRow]]:
    """The scheme from its beginning, or from where `folder` says it stands."""
    over_bank = scheme.startswith("bank")
    task = Matching.draw(14, seed=0, pool=None if over_bank else 12)

    def scorer(pairs, origin):
        moments.reached("completions wanted")
        return task.score(pairs, origin)

    def answered(policy):
        moments.reached("epoch judged")
        return task.validation().answered(policy)

    changed = RETRIEVER if over_bank else {"length": "stop"} if scheme == "stop" else {}
    index = {"index": {"kind": "ivf", "probes": 1, "refresh": 50}} if scheme == "bank_ivf" else {}
    policy = small_policy(**(changed | index))
    phase = scheme if scheme in OTHERS else "grpo"
    run = small_run(folder, phase, policy=policy, progress=moments)
    if over_bank and not run.state_file.exists():
        moments.number = 0  # the start has a row of its own
    arguments = (Validation(task.inputs, task.recorded(3, policy=policy), answered), settings_of(scheme, changes), run)
    with moments.watching():
        if scheme == "supervised":
            rows = train_supervised(policy, SupervisedData(task.inputs, task.beams()), *arguments)
        elif scheme == "rce":
            rows = train_rce(policy, task.inputs, task.recorded(), *arguments)
        else:
            others = {"rollouts": task.recorded(policy=policy), "supervised": small_policy(seed=1)}
            rows = train_grpo(policy, task.inputs, scorer, *arguments, **others)
    return policy, rows


def settings_of(scheme: str, changes: dict[str, object]) -> GrpoSettings | RceSettings | SupervisedSettings:
    shared = OPTIMIZER | {"epochs": 3, "queries_per_step": 5, "learning_rate": 3e-3}
    if scheme in OTHERS:
        kind = RceSettings if scheme == "rce" else SupervisedSettings
        return kind(**(shared | OTHERS[scheme] | changes))
    shared |= {"steps_per_epoch": 2, "num_generations": 4, "shots": (1, 2), "advantage": {"max_resamples": 1}}
    return GrpoSettings(**(shared | GRPO[scheme] | changes))


def assert_same(whole: Path, stopped: Path, scheme: str) -> None:
    """Weights, optimizer, manifests and metrics of every epoch are equal to the bit."""
    one, two = (folder / "seed-0" / (scheme if scheme in OTHERS else "grpo") for folder in (whole, stopped))
    files = [file.relative_to(one) for file in sorted(one.rglob("*")) if file.is_file()]
    assert files == [file.relative_to(two) for file in sorted(two.rglob("*")) if file.is_file()]
    for file in files:
        assert file == STATE or (one / file).read_bytes() == (two / file).read_bytes(), file
    tensors, others = load_file(one / STATE), load_file(two / STATE)
    assert tensors.keys() == others.keys()
    assert any(name.startswith("optimizer.") for name in tensors)
    assert all(np.array_equal(tensors[name].numpy(), others[name].numpy()) for name in tensors)
    values, other_values = state_values(one / STATE), state_values(two / STATE)
    assert without_times(values.pop("rows")) == without_times(other_values.pop("rows"))
    assert values == other_values
    rows = [without_times(read_rows(folder / "metrics.jsonl")) for folder in (whole, stopped)]
    assert json.dumps(rows[0]) == json.dumps(rows[1])
    assert len(rows[0]) >= 2


def moments_of(seen: list[Moment], seed: str) -> list[Moment]:
    """The first two updates, one at random of every kind of moment, and the very last; in order.

    Once its state is written an epoch is over: no later moment of it comes again.
    """
    draws, last = random.Random(seed), seen[-1]
    chosen = {moment for moment in seen if moment[1] == "update" and moment[2] < 2 and moment[0] == 1} | {last}
    for kind in sorted({what for _, what, _ in seen} - {last[1]}):
        epochs = last[0] - (kind == "state written")
        chosen.add(draws.choice([moment for moment in seen if moment[1] == kind and moment[0] <= epochs]))
    return sorted(chosen, key=seen.index)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_training_stopped_again_and_again_ends_as_if_it_had_not_been(tmp_path, scheme):
    whole = Moments()
    policy, rows = train(tmp_path / "whole", scheme, whole)
    for number, moment in enumerate(moments_of(whole.seen, scheme)):
        end = (Killed, KeyboardInterrupt)[number % 2]
        with pytest.raises(end):
            train(tmp_path / "stopped", scheme, Moments(moment, end))
    resumed, rows_again = train(tmp_path / "stopped", scheme, Moments())
    assert without_times(rows) == without_times(rows_again)
    assert all(torch.equal(a, b) for a, b in zip(policy.parameters(), resumed.parameters(), strict=True))
    assert_same(tmp_path / "whole", tmp_path / "stopped", scheme)


@pytest.mark.parametrize(
    ("scheme", "moment"), [("on_policy", (2, "update", 1)), ("stop", (2, "checkpoint written", 0))]
)
def test_a_process_that_is_killed_leaves_what_the_next_one_needs(tmp_path, scheme, moment):
    train(tmp_path / "whole", scheme, Moments())
    command = [sys.executable, __file__, str(tmp_path / "stopped"), scheme, json.dumps(moment)]
    tests = str(Path(__file__).parent.parent)
    assert subprocess.run(command, env=os.environ | {"PYTHONPATH": tests}, check=False).returncode == -signal.SIGKILL
    train(tmp_path / "stopped", scheme, Moments())
    assert_same(tmp_path / "whole", tmp_path / "stopped", scheme)


def test_training_that_stopped_early_does_not_go_on_when_it_is_called_again(tmp_path):
    rows = train(tmp_path, "patience", Moments())[1]
    assert 3 <= len(rows) < 9
    again = Moments()
    assert train(tmp_path, "patience", again)[1] == rows
    assert again.seen == []


@pytest.mark.parametrize("scheme", ["on_policy", "rce"])
def test_a_finished_phase_only_loads_its_result(tmp_path, scheme):
    policy, rows = train(tmp_path, scheme, Moments())
    moments = Moments()
    again, same = train(tmp_path, scheme, moments)
    assert moments.seen == []
    assert same == rows
    assert all(torch.equal(a, b) for a, b in zip(policy.parameters(), again.parameters(), strict=True))


def test_lost_metrics_are_written_again_from_the_state(tmp_path):
    _, rows = train(tmp_path, "on_policy", Moments())
    (tmp_path / "metrics.jsonl").unlink()
    train(tmp_path, "on_policy", Moments())
    assert read_rows(tmp_path / "metrics.jsonl") == rows


@pytest.mark.parametrize("change", [{"learning_rate": 1e-4}, {"shots": (2,)}, {"kl": {"controller": "multiplicative"}}])
def test_a_state_of_other_settings_is_refused(tmp_path, change):
    train(tmp_path, "on_policy", Moments())
    with pytest.raises(CheckpointError, match=r"state\.safetensors: belongs to other settings"):
        train(tmp_path, "on_policy", Moments(), **change)


def test_a_truncated_state_is_refused(tmp_path):
    train(tmp_path, "on_policy", Moments())
    state = tmp_path / "seed-0" / "grpo" / STATE
    state.write_bytes(state.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"state\.safetensors: cannot be read"):
        train(tmp_path, "on_policy", Moments())


if __name__ == "__main__":
    folder, scheme, moment = sys.argv[1:]
    train(Path(folder), scheme, Moments(tuple(json.loads(moment)), signal.SIGKILL))


def test_what_an_epoch_rests_on_is_on_disk_before_the_epoch_is_committed(tmp_path: Path) -> None:
    committed: list[int] = []
    policy, task = small_policy(), Matching.draw(14, seed=0)
    run = small_run(tmp_path, "rce", policy=policy)

    def sync() -> None:
        committed.append(len(state_values(run.state_file)["rows"]) if run.state_file.exists() else 0)

    train_rce(policy, task.inputs, task.recorded(), task.validation(), settings_of("rce", {}), replace(run, sync=sync))
    assert committed == list(range(len(committed))) and len(committed) >= 3
