"""The data section of a recipe, as examples."""

from __future__ import annotations

from pathlib import Path

from shotsmith.data.official import read_official
from shotsmith.data.splits import Splits, check_disjoint, split_by_image
from shotsmith.errors import DataError
from shotsmith.recipe import DataSettings, OkvqaSettings
from shotsmith.records import Example


def load_splits(settings: DataSettings, world_folder: Path | None = None) -> Splits:
    """Read train, validation and test, and make sure that they share nothing.

    `world_folder` is where the built-in data set has been written; it is needed where the recipe asks for a world.
    Raises DataError on any fault in the files.
    """
    if settings.okvqa is not None:
        splits = _okvqa(settings.okvqa, settings.seed)
    elif world_folder is not None:
        splits = Splits(*(_world_split(world_folder, name) for name in ("train", "val", "test")))
    else:
        raise DataError("the built-in data set has not been written yet")
    check_disjoint(splits)
    return splits


def _okvqa(settings: OkvqaSettings, seed: int) -> Splits:
    """OK-VQA has no third split: validation is a share of the train images."""
    examples = read_official(settings.train_questions, settings.train_annotations, settings.train_images)
    train, val = split_by_image(examples, settings.val_share, seed)
    test = read_official(settings.test_questions, settings.test_annotations, settings.test_images)
    return Splits(train, val, tuple(test))


def _world_split(folder: Path, name: str) -> tuple[Example, ...]:
    subtype = f"{name}2014"
    questions = folder / f"OpenEnded_mscoco_{subtype}_questions.json"
    annotations = folder / f"mscoco_{subtype}_annotations.json"
    return tuple(read_official(questions, annotations, folder / subtype))
