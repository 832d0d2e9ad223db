"""Rows of metrics that a power loss has taken come back before epochs are compared."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shotsmith import experiment
from shotsmith.progress import Silent
from shotsmith.runs import Run


@pytest.mark.parametrize("kept", [0, 1, -1])
def test_lost_rows_are_back_before_the_epochs_are_ranked(finished: Run, tmp_path: Path, kept: int) -> None:
    damaged = Run.open(Path(shutil.copytree(finished.folder, tmp_path / "damaged")))
    lines = damaged.metrics_file.read_bytes().splitlines(keepends=True)
    torn = b"".join(lines[:kept]) + bytes(len(b"".join(lines[kept:])))
    damaged.metrics_file.write_bytes(torn)
    assert len(damaged.epochs()) < len(finished.epochs())
    experiment.stage(damaged, "rank", Silent())
    assert damaged.epochs() == finished.epochs()
    assert damaged.ranking.read_bytes() == finished.ranking.read_bytes()


def test_rows_that_are_there_are_not_written_again(finished: Run, tmp_path: Path) -> None:
    whole = Run.open(Path(shutil.copytree(finished.folder, tmp_path / "whole")))
    experiment.stage(whole, "rank", Silent())
    assert whole.metrics_file.read_bytes() == finished.metrics_file.read_bytes()
