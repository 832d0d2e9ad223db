"""The loop all phases share: resume, epochs, validation, a checkpoint and a row of metrics per epoch.

The state file is the commit point of an epoch. Rows and TensorBoard are written after it and, should a kill come
between, restored from it; what a kill interrupts before it is replayed with the same random numbers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save

from shotsmith.checkpoints.native import Manifest, save_policy
from shotsmith.errors import CheckpointError
from shotsmith.files import digest
from shotsmith.policies.pointer import PointerPolicy
from shotsmith.progress import Progress, Silent
from shotsmith.recipe import OptimizerSettings
from shotsmith.runs import Phase
from shotsmith.training.learner import Learner
from shotsmith.training.metrics_log import MetricsLog, Row
from shotsmith.training.order import QueryOrder
from shotsmith.training.state import load_state, save_state, state_values
from shotsmith.training.validation import Validation


@dataclass(frozen=True, slots=True)
class PhaseRun:
    """Where one phase of one seed keeps its things."""

    folder: Path
    """The phase's folder: checkpoints `epoch-NNN`, and `state/` for resuming."""
    manifest: Manifest
    """What every checkpoint says; epoch and metrics are filled in."""
    log: MetricsLog
    progress: Progress = Silent()  # noqa: RUF009 - it has no state

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
        """What resuming needs."""
        return self.folder / "state" / "state.safetensors"

    def epoch_folder(self, epoch: int) -> Path:
        """The checkpoint of an epoch."""
        return self.folder / f"epoch-{epoch:03d}"

    def origin(self, epoch: int) -> str:
        """What the completions of an epoch are asked for under."""
        return f"seed-{self.seed}/{self.phase}/epoch-{epoch:03d}"


TrainEpoch = Callable[[int, Learner], dict[str, float]]
"""Trains one epoch (from 1) with the learner and returns its metrics."""


def run_epochs(
    policy: PointerPolicy,
    settings: OptimizerSettings,
    order: QueryOrder,
    validation: Validation,
    run: PhaseRun,
    train_epoch: TrainEpoch,
) -> list[Row]:
    """Train the epochs that are not done yet; the policy ends with the weights of the last one, in eval mode.

    Returns the rows of all epochs. Called again after a kill it goes on, bitwise as if nothing had happened; once
    all are done it only loads. `order.cursor` is part of the state. Raises CheckpointError where the state on disk
    was made with other settings or from other weights, TrainingError where training cannot go on.
    """
    fingerprint = digest(run.phase, str(run.seed), settings.model_dump_json(), save(policy.state_dict()))
    learner = Learner(policy, settings)
    rows = _resume(policy, learner, order, run, fingerprint)
    with run.progress.task(f"{run.phase}, seed {run.seed}", settings.epochs, "epoch") as advance:
        advance(len(rows))
        for epoch in range(len(rows) + 1, settings.epochs + 1):
            started, skipped = time.perf_counter(), learner.skipped
            metrics = train_epoch(epoch, learner)
            metrics["skipped_updates"] = learner.skipped - skipped
            metrics |= validation.metrics(policy)
            metrics["time/seconds"] = time.perf_counter() - started
            row = _row(run, epoch, metrics)
            rows.append(row)
            _commit(policy, learner, order, run, fingerprint, rows)
            run.log.append(row)
            run.progress.epoch(row)
            advance(1)
    policy.eval()
    return rows


def _row(run: PhaseRun, epoch: int, metrics: Mapping[str, float]) -> Row:
    """Seed, phase and epoch, then every metric that is a number: what does not apply is absent, never NaN."""
    identity: Row = {"seed": run.seed, "phase": run.phase, "epoch": epoch}
    return identity | {name: value for name, value in metrics.items() if math.isfinite(value)}


def _commit(
    policy: PointerPolicy, learner: Learner, order: QueryOrder, run: PhaseRun, fingerprint: str, rows: list[Row]
) -> None:
    row = rows[-1]
    figures = {name: value for name, value in row.items() if not name.startswith("time/")}
    manifest = run.manifest.model_copy(update={"epoch": row["epoch"], "metrics": figures})
    save_policy(run.epoch_folder(len(rows)), policy, manifest)
    values = {
        "fingerprint": fingerprint,
        "rows": rows,
        "cursor": order.cursor,
        "steps": learner.steps,
        "skipped": learner.skipped,
        "skipped_in_a_row": learner.skipped_in_a_row,
    }
    save_state(run.state_file, policy, learner.optimizer, values)


def _resume(policy: PointerPolicy, learner: Learner, order: QueryOrder, run: PhaseRun, fingerprint: str) -> list[Row]:
    if not run.state_file.exists():
        return []
    values = state_values(run.state_file)
    if values["fingerprint"] != fingerprint:
        raise CheckpointError(
            "belongs to other settings or to another starting policy; delete its folder to train anew",
            file=run.state_file,
        )
    load_state(run.state_file, policy, learner.optimizer)
    order.cursor = values["cursor"]
    learner.steps = values["steps"]
    learner.skipped = values["skipped"]
    learner.skipped_in_a_row = values["skipped_in_a_row"]
    rows: list[Row] = values["rows"]
    for row in rows:
        run.log.append(row)
    return rows
