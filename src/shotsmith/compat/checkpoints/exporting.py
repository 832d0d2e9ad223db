"""Epochs of a run as Lever-Plus's files, written while it trains: rce_epochN.pt and grpo_epochN.pt."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

from shotsmith.checkpoints.native import load_policy
from shotsmith.compat.checkpoints.convert import stored_from, unfit
from shotsmith.compat.checkpoints.files import Stored, read_stored, write_stored
from shotsmith.errors import CheckpointError, InputError
from shotsmith.files import Row
from shotsmith.progress import Advance, Progress
from shotsmith.runs import Run

_NAME = re.compile(r"(rce|grpo)_epoch([0-9]+)\.pt")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exporter:
    """The files of the first seed of a run."""

    run: Run
    folder: Path

    @property
    def possible(self) -> bool:
        """Whether the recipe's policy is one that Lever-Plus's files can hold."""
        return not unfit(self.run.recipe.policy, "v4")

    def begin(self) -> None:
        """Make sure that no other training's files are in the folder, and write what a kill kept from being written.

        Raises InputError naming the files of another training: mixed with these nobody could tell them apart.
        """
        if not self.possible:
            reasons = "; ".join(unfit(self.run.recipe.policy, "v4"))
            _log.warning("no v3 files are written: Lever-Plus's network cannot have %s", reasons)
            return
        rows = self._rows()
        epochs = {self._file(row): row for row in rows}
        strange = [
            file.name
            for file in sorted(self.folder.glob("*.pt"))
            if _NAME.fullmatch(file.name) and not (file in epochs and _holds(file, self._stored(epochs[file])))
        ]
        if strange:
            raise InputError(
                f"holds checkpoints of another training ({', '.join(strange)}): move them away, or give this training "
                "another name (--set name=...)",
                file=self.folder,
            )
        for row in rows:
            self.write(row)

    def write(self, row: Row) -> None:
        """Write the file of an epoch, if it is one of those that Lever-Plus writes."""
        if self.possible and self._is_written(row):
            write_stored(self._file(row), self._stored(row), "v3")

    def withdraw(self) -> None:
        """Remove the files of this run, and no others: it is to be trained anew."""
        for row in self._rows() if self.possible else ():
            file = self._file(row)
            if file.exists() and _holds(file, self._stored(row)):
                file.unlink()

    def _rows(self) -> list[Row]:
        return [row for row in self.run.epochs() if self._is_written(row)]

    def _is_written(self, row: Row) -> bool:
        return row["seed"] == self.run.recipe.seeds[0] and row["phase"] in ("rce", "grpo")

    def _file(self, row: Row) -> Path:
        return self.folder / f"{row['phase']}_epoch{row['epoch']}.pt"

    def _stored(self, row: Row) -> Stored:
        policy, manifest = load_policy(self.run.epoch(row["seed"], row["phase"], row["epoch"]))
        return stored_from(policy, manifest, "v4")


@dataclass(frozen=True, slots=True)
class Exporting:
    """Progress that also exports every epoch it hears of."""

    progress: Progress
    exporter: Exporter

    def task(self, label: str, total: int, unit: str = "it") -> AbstractContextManager[Advance]:
        """A task of the progress."""
        return self.progress.task(label, total, unit)

    def epoch(self, metrics: Mapping[str, object]) -> None:
        """The epoch's checkpoint is on disk when this is called."""
        self.exporter.write(dict(metrics))
        self.progress.epoch(metrics)


def _holds(file: Path, stored: Stored) -> bool:
    try:
        there = read_stored(file).weights
    except CheckpointError:
        return False
    return there.keys() == stored.weights.keys() and all(
        torch.equal(there[name], value) for name, value in stored.weights.items()
    )
