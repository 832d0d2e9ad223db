"""Taking over from another run what it has prepared with the same settings: data, embeddings, pools, beam data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from shotsmith.recipe import DataSettings, Recipe
from shotsmith.runs import Run

_MADE: tuple[tuple[str, Callable[[Recipe], object], tuple[str, ...]], ...] = (
    ("data", lambda recipe: _source(recipe.data), ("world",)),
    ("embed", lambda recipe: recipe.encoder, ("embeddings",)),
    ("pools", lambda recipe: (recipe.data, recipe.pools), ("pools", "barred.json")),
    ("beam", lambda recipe: (recipe.vlm, recipe.beam), ("beam.json",)),
)
"""Stage, the settings it depends on beside those before it, and what it leaves in the run folder."""


def adopt(run: Run, other: Run) -> list[str]:
    """Link the results of `other`'s first stages into `run`, as far as both recipes agree; the stages taken over.

    Files are never changed in place, only replaced: the runs stay independent of each other. Stages that `run` has
    done, and what comes after the first difference, are left to it.
    """
    adopted: list[str] = []
    if run.image_ids != other.image_ids:  # what it prepared belongs to other splits
        return adopted
    for stage, settings, made in _MADE:
        if settings(run.recipe) != settings(other.recipe) or not other.is_done(stage):
            break
        if run.is_done(stage):
            continue
        for name in made:
            if (other.folder / name).exists():
                _link(other.folder / name, run.folder / name)
        run.record(stage, 0.0, 0, 0)
        adopted.append(stage)
    return adopted


def _source(data: DataSettings) -> object:
    return data.source, data.bank, data.skip_bad


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
