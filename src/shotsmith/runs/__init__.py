"""Run folders: the files of an experiment, the stages it has finished, and what `shotsmith show` prints of it."""

from __future__ import annotations

from shotsmith.runs.folder import EPOCH_KEYS, PHASES, SPLITS, Phase, Run, Split
from shotsmith.runs.showing import show

__all__ = ["EPOCH_KEYS", "PHASES", "SPLITS", "Phase", "Run", "Split", "show"]
