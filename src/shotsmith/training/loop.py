"""The loop of every phase: resume, epochs, validation, a checkpoint and a row of metrics per epoch.

The state file is the commit point of an epoch. Rows and TensorBoard files are written after it, and restored from it
after a kill; work that a kill interrupts before the commit is repeated with the same random numbers.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import save

from shotsmith.checkpoints.native import Manifest, load_weights, save_policy
from shotsmith.errors import CheckpointError
from shotsmith.files import digest
from shotsmith.policies.protocol import Policy
from shotsmith.progress import Progress, Silent
from shotsmith.recipe import OptimizerSettings
from shotsmith.recipe.retired import former_json
from shotsmith.runs import Phase
from shotsmith.training.learner import Learner
from shotsmith.training.metrics_log import MetricsLog, MetricsRow
from shotsmith.training.seeding import QueryOrder
from shotsmith.training.state import load_state, save_state, state_values
from shotsmith.training.validation import Validation, should_stop

STATE = "state.safetensors"
"""The name of the file, in the folder of a phase's state."""


@dataclass(frozen=True, slots=True)
class PhaseRun:
    """The folder, manifest, log and progress of one phase of one seed."""

    folder: Path
    """The phase's folder: checkpoints `epoch-NNN`, and `state/` for resuming."""
    manifest: Manifest
    """The manifest of every checkpoint; epoch and metrics are filled in."""
    log: MetricsLog
    progress: Progress = Silent()  # noqa: RUF009 - it has no state
    sync: Callable[[], None] = lambda: None
    """Called before an epoch is committed: has the disk keep what the epoch rests on."""

    @property
    def seed(self) -> int:
        """The training seed."""
        return self.manifest.seed

    @property
    def phase(self) -> Phase:
        """'supervised', 'rce' or 'grpo'."""
        return self.manifest.phase

    @property
    def state_file(self) -> Path:
        """The file from which the phase resumes."""
        return self.folder / "state" / STATE

    def epoch_folder(self, epoch: int) -> Path:
        """The folder of an epoch's checkpoint."""
        return self.folder / f"epoch-{epoch:03d}"

    def origin(self, epoch: int) -> str:
        """The origin under which the completions of an epoch are requested."""
        return f"seed-{self.seed}/{self.phase}/epoch-{epoch:03d}"


_AVERAGE = "average."
"""Prefix of the averaged weights in the state file."""

TrainEpoch = Callable[[int, Learner], dict[str, float]]
"""Trains one epoch (from 1) with the learner and returns its metrics."""


class ExtraState(Protocol):
    """State of a phase beside policy and optimizer that resuming needs."""

    def state(self) -> tuple[Mapping[str, torch.Tensor], Mapping[str, float]]:
        """The tensors and numbers to save."""
        ...

    def restore(self, tensors: Mapping[str, torch.Tensor], numbers: Mapping[str, float]) -> None:
        """Restore what `state` returned."""
        ...


def run_epochs(
    policy: Policy,
    settings: OptimizerSettings,
    order: QueryOrder,
    validation: Validation,
    run: PhaseRun,
    train_epoch: TrainEpoch,
    *,
    updates: int,
    frozen: Collection[str] = (),
    extra: ExtraState | None = None,
) -> list[MetricsRow]:
    """Train the epochs that are not done yet; the policy ends with the weights of the last epoch, in eval mode.

    The moving average of the weights (OptimizerSettings.average_decay) is validated and saved as a checkpoint.

    `updates` is the number of updates in all epochs, for the learning-rate schedule. `frozen` names the modules and
    parameters that are not trained, `extra` is further state to resume. Returns the rows of all epochs, fewer if
    training stopped early. A policy that starts as similarity has an epoch 0 with a row and a checkpoint: its start
    takes part in the choice of the best epoch. Called again after a kill, training resumes with the same bits; once
    all epochs are done, the weights are only loaded. Raises CheckpointError if the state on disk was made with other
    settings or from other weights, TrainingError if training cannot continue.
    """
    fingerprint = digest(run.phase, str(run.seed), former_json(settings), save(policy.state_dict()))
    average = copy.deepcopy(policy).eval().requires_grad_(False) if settings.average_decay else None
    learner = Learner(policy, settings, updates, frozen, average)
    phase = _PhaseTraining(policy, average, learner, order, run, fingerprint, extra)
    rows = phase.resume()
    first = 0 if policy.settings.start == "similarity" else 1
    with run.progress.task(f"{run.phase}, seed {run.seed}", settings.epochs, "epoch") as advance:
        advance(max(0, len(rows) + first - 1))
        while len(rows) + first <= settings.epochs and not should_stop(rows, settings.patience):
            epoch = len(rows) + first
            started, skipped = time.perf_counter(), learner.skipped
            metrics = train_epoch(epoch, learner) if epoch else {}
            metrics["skipped_updates"] = learner.skipped - skipped
            metrics |= validation.metrics(phase.judged)
            metrics["time/seconds"] = time.perf_counter() - started
            rows.append(_row(run, epoch, metrics))
            phase.commit(rows)
            run.log.append(rows[-1])
            run.progress.epoch(rows[-1])
            advance(min(1, epoch))
    policy.eval()
    return rows


@dataclass(frozen=True, slots=True)
class _PhaseTraining:
    """A phase in training: everything that its state file covers."""

    policy: Policy
    average: Policy | None
    learner: Learner
    order: QueryOrder
    run: PhaseRun
    fingerprint: str
    extra: ExtraState | None

    @property
    def judged(self) -> Policy:
        """The policy that is validated and saved: the averaged one if there is an average."""
        return self.policy if self.average is None else self.average

    def commit(self, rows: list[MetricsRow]) -> None:
        """Write the checkpoint of the last row's epoch, then the state."""
        row = rows[-1]
        figures = {name: value for name, value in row.items() if not name.startswith("time/")}
        manifest = self.run.manifest.model_copy(update={"epoch": row["epoch"], "metrics": figures})
        save_policy(self.run.epoch_folder(int(row["epoch"] or 0)), self.judged, manifest)
        tensors, numbers = self.extra.state() if self.extra else ({}, {})
        if self.average is not None:
            tensors = {**tensors, **{_AVERAGE + name: value for name, value in self.average.state_dict().items()}}
        values = {
            "fingerprint": self.fingerprint,
            "rows": rows,
            "cursor": self.order.cursor,
            "steps": self.learner.steps,
            "skipped": self.learner.skipped,
            "skipped_in_a_row": self.learner.skipped_in_a_row,
            "further": dict(numbers),
        }
        self.run.sync()
        save_state(self.run.state_file, self.policy, self.learner.optimizer, values, tensors)

    def resume(self) -> list[MetricsRow]:
        """Restore everything from the last commit; returns the rows of the finished epochs."""
        if not self.run.state_file.exists():
            return []
        values = state_values(self.run.state_file)
        if values["fingerprint"] != self.fingerprint:
            raise CheckpointError(
                "belongs to other settings or to another starting policy; delete its folder to train anew",
                file=self.run.state_file,
            )
        tensors = load_state(self.run.state_file, self.policy, self.learner.optimizer)
        self.order.cursor = values["cursor"]
        self.learner.steps = values["steps"]
        self.learner.skipped = values["skipped"]
        self.learner.skipped_in_a_row = values["skipped_in_a_row"]
        averaged = {name: tensors.pop(name) for name in list(tensors) if name.startswith(_AVERAGE)}
        if self.average is not None:
            weights = {name.removeprefix(_AVERAGE): value for name, value in averaged.items()}
            load_weights(self.average, weights, self.run.state_file)
        if self.extra:
            self.extra.restore(tensors, values["further"])
        rows: list[MetricsRow] = values["rows"]
        for row in rows:
            self.run.log.append(row)
        return rows


def _row(run: PhaseRun, epoch: int, metrics: Mapping[str, float]) -> MetricsRow:
    """The row of an epoch: seed, phase, epoch and every finite metric. A metric that does not apply is absent."""
    identity: MetricsRow = {"seed": run.seed, "phase": run.phase, "epoch": epoch}
    return identity | {name: value for name, value in metrics.items() if math.isfinite(value)}
