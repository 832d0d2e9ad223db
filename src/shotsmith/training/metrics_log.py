"""The rows of metrics on disk: JSON lines, and the same figures for TensorBoard."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from shotsmith.files import append_row, read_rows
from shotsmith.runs import EPOCH_KEYS

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Row = dict[str, int | float | str | None]
"""One epoch: 'seed', 'phase', 'epoch' (from 1), then its metrics. Finite numbers only."""


class MetricsLog:
    """Appends rows; a row for a seed, phase and epoch that is already there is not written again.

    Safe to kill: an unfinished last line is dropped. TensorBoard files are a view of the rows, one folder
    `<phase>` per phase of a seed; they are written afresh from the rows when a phase is taken up again.
    """

    def __init__(self, file: Path, tensorboard: Path | None = None) -> None:
        """`tensorboard` is the folder of one seed's event files; None for no TensorBoard."""
        self.file = file
        self.tensorboard = tensorboard
        self._written = {_key(row) for row in read_rows(file, EPOCH_KEYS)}
        self._writers: dict[str, SummaryWriter] = {}

    def append(self, row: Row) -> None:
        """Write a row durably. ValueError where it holds a NaN or an infinity."""
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

    def _show(self, row: Row, folder: Path) -> None:
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
