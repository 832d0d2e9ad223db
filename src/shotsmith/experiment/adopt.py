"""Take over the output of another run's first stages, where both recipes have the same settings for them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from shotsmith.runs import Run
from shotsmith.runs.stages import STAGES, Stage


def adopt(run: Run, other: Run) -> list[str]:
    """Link the results of `other`'s first stages into `run`, as far as both recipes agree; the stages taken over.

    Files are never changed in place, only replaced: the runs stay independent of each other. Stages that `run` has
    done, and what comes after the first difference, are left to it.
    """
    adopted: list[str] = []
    if run.image_ids != other.image_ids:  # what it prepared belongs to other splits
        return adopted
    for stage in STAGES:
        if not (_same_settings(stage, run, other) and other.is_done(stage.name)):
            break
        if run.is_done(stage.name):
            continue
        for name in stage.writes:
            if (other.folder / name).exists():
                _link(other.folder / name, run.folder / name)
        run.record(stage.name, 0.0, 0, 0)
        adopted.append(stage.name)
    return adopted


def _same_settings(stage: Stage, run: Run, other: Run) -> bool:
    """Whether the output of a stage can be taken over, the stages before it being equal."""
    return stage.settings is not None and stage.settings(run.recipe) == stage.settings(other.recipe)


def _link(source: Path, target: Path) -> None:
    """A copy of a file or a folder that shares its bytes where the file system can."""
    if source.is_file():
        target.unlink(missing_ok=True)
        _link_file(str(source), str(target))
        return
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=_link_file)


def _link_file(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
