"""Write a world to disk in the official layout of OK-VQA, so that the reader of real data reads it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from shotsmith.data.world.drawing import draw
from shotsmith.data.world.facts import World, build_world
from shotsmith.data.world.questions import ARCHIVE, VISITORS, Question, ask
from shotsmith.errors import InputError
from shotsmith.files import read_json, write_json
from shotsmith.progress import Advance, Progress, Silent
from shotsmith.recipe import WorldSettings

_SPLITS = {"train": (100_000, ARCHIVE), "val": (200_000, VISITORS), "test": (300_000, VISITORS)}
"""First image id and shares of the kinds of question."""
_MANIFEST = "world.json"
_FORMAT = 1
"""Raised whenever the same settings would give another world."""


def make_world(folder: Path, settings: WorldSettings, progress: Progress | None = None) -> None:
    """Write questions, annotations and images of all splits into `folder`.

    A folder that already holds this very world is left as it is. Raises InputError where it holds something else.
    The folder appears whole or not at all.
    """
    wanted = {"format": _FORMAT, **settings.model_dump()}
    if (folder / _MANIFEST).exists():
        if read_json(folder / _MANIFEST) != wanted:
            raise InputError("holds another world; choose another folder", file=folder)
        return
    if folder.exists() and any(folder.iterdir()):
        raise InputError("is not empty and holds no world; choose another folder", file=folder)
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    world = build_world(settings.seed)
    sizes = {"train": settings.train, "val": settings.val, "test": settings.test}
    with (progress or Silent()).task("drawing the world", sum(sizes.values()), "images") as advance:
        for number, (split, size) in enumerate(sizes.items()):
            _write_split(draft, world, split, size, np.random.default_rng([settings.seed, 2, number]), advance)
    write_json(draft / _MANIFEST, wanted)
    if folder.exists():
        folder.rmdir()
    draft.rename(folder)


def _write_split(draft: Path, world: World, split: str, size: int, rng: np.random.Generator, advance: Advance) -> None:
    first_image, shares = _SPLITS[split]
    subtype = f"{split}2014"
    images = draft / subtype
    images.mkdir(parents=True)
    questions, annotations = [], []
    for number in range(size):
        question = ask(world, shares, rng)
        image_id = first_image + number
        question_id = image_id * 10 + 5
        draw(question.scene, rng).save(images / f"COCO_{subtype}_{image_id:012d}.png")
        questions.append({"image_id": image_id, "question": question.text, "question_id": question_id})
        annotations.append(_annotation(question, image_id, question_id))
        advance(1)
    header = {"info": {"description": "Shotsmith world"}, "data_type": "mscoco", "data_subtype": subtype}
    write_json(
        draft / f"OpenEnded_mscoco_{subtype}_questions.json",
        {**header, "task_type": "Open-Ended", "questions": questions},
        indent=None,
    )
    write_json(draft / f"mscoco_{subtype}_annotations.json", {**header, "annotations": annotations}, indent=None)


def _annotation(question: Question, image_id: int, question_id: int) -> dict[str, object]:
    answers = [
        {"answer": text, "raw_answer": text, "answer_confidence": "yes", "answer_id": number + 1}
        for number, text in enumerate(question.answers)
    ]
    return {
        "question_id": question_id,
        "image_id": image_id,
        "question_type": question.kind,
        "answer_type": "other",
        "answers": answers,
    }
