"""Metrics of an epoch: figures of groups, means over updates, and the log of rows as JSON lines and for TensorBoard."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import torch

from shotsmith.files import append_row, read_rows
from shotsmith.runs import EPOCH_KEYS
from shotsmith.training.advantages import SAME, Advantages, group_std
from shotsmith.training.groups import Groups

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

MetricsRow = dict[str, int | float | str | None]
"""The metrics of one epoch, after its 'seed', 'phase' and 'epoch'. All numbers are finite."""


class MetricsLog:
    """A file of metrics rows that is only appended to; a second row of the same seed, phase and epoch is ignored.

    Safe to kill: an unfinished last line is dropped. TensorBoard files are a view of the rows, one folder `<phase>`
    per phase of a seed; they are rewritten from the rows when a phase is resumed.
    """

    def __init__(self, file: Path, tensorboard: Path | None = None) -> None:
        """Open `file`; `tensorboard` is the folder of one seed's event files, None for no TensorBoard."""
        self.file = file
        self.tensorboard = tensorboard
        self._written = {_key(row) for row in read_rows(file, EPOCH_KEYS)}
        self._writers: dict[str, SummaryWriter] = {}

    def append(self, row: MetricsRow) -> None:
        """Write a row durably. Raises ValueError if it holds a NaN or an infinity."""
        if _key(row) in self._written:
            return
        append_row(self.file, row)
        self._written.add(_key(row))
        if self.tensorboard is not None:
            self._show(row, self.tensorboard)

    def close(self) -> None:
        """Finish the TensorBoard files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _show(self, row: MetricsRow, folder: Path) -> None:
        phase = str(row["phase"])
        if phase in self._writers:
            _add(self._writers[phase], row)
        else:
            self._writers[phase] = _fresh_writer(folder / phase)
            for earlier in read_rows(self.file, EPOCH_KEYS):
                if (earlier["seed"], earlier["phase"]) == (row["seed"], row["phase"]):
                    _add(self._writers[phase], earlier)
        self._writers[phase].flush()


def _fresh_writer(folder: Path) -> SummaryWriter:
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(folder, ignore_errors=True)
    return SummaryWriter(log_dir=str(folder))


def _add(writer: SummaryWriter, row: Mapping[str, object]) -> None:
    epoch = row["epoch"]
    for name, value in row.items():
        if name not in EPOCH_KEYS and isinstance(value, int | float):
            writer.add_scalar(name, value, epoch)


def _key(row: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(row[name] for name in EPOCH_KEYS)


class Means:
    """Means of metrics over the updates of an epoch; a name may be absent from some updates."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def add(self, metrics: Mapping[str, float]) -> None:
        """Add the metrics of one update."""
        for name, value in metrics.items():
            self._values.setdefault(name, []).append(value)

    def means(self) -> dict[str, float]:
        """The mean of each metric over the updates that have it."""
        return {name: math.fsum(values) / len(values) for name, values in self._values.items()}


def advantage_metrics(advantages: Advantages, valid: torch.Tensor) -> dict[str, float]:
    """Metrics of the advantages of the groups that enter an update, over their `valid` rollouts [B, G].

    `adv_std` is the standard deviation of the advantages within a group, and `adv_max` their largest absolute value,
    both as mean over the groups. `advantage_*` are statistics over all rollouts of all groups. `group/frac_signal` is
    the share of the groups that carry signal.
    """
    values = advantages.values[valid]
    spread, _ = group_std(advantages.values, valid)
    metrics = {
        "adv_std": float(spread.mean()),
        "adv_max": float(advantages.values.abs().amax(1).mean()),
        "advantage_mean": float(values.mean()),
        "advantage_max": float(values.max()),
        "advantage_min": float(values.min()),
        "group/frac_signal": float(advantages.signal.float().mean()),
        "group/entered": float(len(valid)),
    }
    return metrics | ({"advantage_std": float(values.std())} if len(values) > 1 else {})


class SampledMetrics:
    """Metrics of all groups sampled in an epoch, including those that do not enter an update."""

    def __init__(self, highest_reward: float) -> None:
        """Start an epoch. A rollout counts as good if its reward is at least half of `highest_reward`."""
        self._good_from = highest_reward / 2
        self._groups = 0
        self._failures = 0
        self._of_group: dict[str, list[float]] = {}
        self._of_rollout: dict[str, list[float]] = {}
        self._answered_groups = 0
        self._answered = 0

    def add(self, groups: Groups) -> None:
        """Add the groups of a step. A failed rollout is counted in `failures` and excluded from every other figure."""
        present = (groups.sequences != -1).any(-1)
        self._groups += len(groups)
        self._failures += int((~groups.valid & present).sum())
        answered = groups[groups.valid.any(1)]
        valid = answered.valid
        self._answered_groups += len(answered)
        self._answered += int(valid.sum())
        spread, _ = group_std(answered.values, valid)
        good = (answered.values >= self._good_from) & valid
        all_good, all_bad = (good | ~valid).all(1), ~good.any(1)
        shown = (answered.sequences >= 0).sum(-1)
        _note(self._of_rollout, reward=answered.values[valid], demonstrations=shown[valid])
        _note(
            self._of_group,
            **{
                "reward_std": spread,
                "frac_reward_zero_std": spread <= SAME,
                "group/frac_all_good": all_good,
                "group/frac_all_bad": all_bad,
                "group/frac_mixed": ~all_good & ~all_bad,
            },
        )

    def metrics(self) -> dict[str, float]:
        """Counts, and means over the answered rollouts and groups; the means are absent if nothing was answered."""
        metrics = {"failures": float(self._failures), "group/sampled": float(self._groups)}
        if self._answered:
            metrics |= {name: math.fsum(sums) / self._answered for name, sums in self._of_rollout.items()}
            metrics |= {name: math.fsum(sums) / self._answered_groups for name, sums in self._of_group.items()}
        return metrics


def _note(sums: dict[str, list[float]], **values: torch.Tensor) -> None:
    for name, tensor in values.items():
        sums.setdefault(name, []).append(float(tensor.double().sum()))
