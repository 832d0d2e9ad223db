"""Write a world to disk in the official layout of OK-VQA, so that the reader of real data reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path

import numpy as np

from shotsmith.data.world.archive import DIRECT_ANSWERS, SINGLE_FACTS, records
from shotsmith.data.world.drawing import draw
from shotsmith.data.world.facts import build_world
from shotsmith.data.world.questions import VISITORS, Question, annotate, ask, without_history
from shotsmith.errors import DataError, InputError
from shotsmith.files import file_digest, read_json, replacing_folder, write_json
from shotsmith.progress import Advance, Progress, Silent
from shotsmith.recipe.data import FIRST_WORLD, WorldSettings

_FIRST_IMAGE = {"train": 100_000, "val": 200_000, "test": 300_000, "bank": 400_000}
"""First image id of each split. A bank may have any size, the others up to 100,000 examples."""
_MANIFEST = "world.json"
_CONTENTS = "contents.json"
"""The digest of every other file: they are too many to wait for the disk at each, and a power loss may spoil some."""
_FORMAT = 1
"""Raised whenever the same settings would give another world."""


def make_world(folder: Path, settings: WorldSettings, progress: Progress | None = None) -> None:
    """Write questions, annotations and images of all splits into `folder`.

    A folder that already holds this very world is left as it is. Raises InputError where it holds something else.
    The folder appears whole or not at all.
    """
    wanted = {"format": _FORMAT, **settings.model_dump()}
    if (folder / _MANIFEST).exists():
        if {**FIRST_WORLD, **read_json(folder / _MANIFEST)} != wanted:  # the first version wrote sizes and seed only
            raise InputError("holds another world; choose another folder", file=folder)
        return
    if folder.exists() and any(folder.iterdir()):
        raise InputError("is not empty and holds no world; choose another folder", file=folder)
    sizes = {split: size for split in _FIRST_IMAGE if (size := getattr(settings, split)) is not None}
    with (
        replacing_folder(folder) as draft,
        (progress or Silent()).task("drawing the world", sum(sizes.values()), "images") as advance,
    ):
        for number, (split, size) in enumerate(sizes.items()):
            rng = np.random.default_rng([settings.seed, 2, number])
            _write_split(draft, split, islice(questions_of(split, settings, rng), size), rng, advance)
        files = sorted(file for file in draft.rglob("*") if file.is_file())
        write_json(draft / _CONTENTS, {file.relative_to(draft).as_posix(): file_digest(file) for file in files})
        write_json(draft / _MANIFEST, wanted)


def check_world(folder: Path) -> None:
    """Raise DataError naming the first file of a world that is not what was drawn.

    Worlds of older versions say nothing of their files, and are taken as they are.
    """
    contents = read_json(folder / _CONTENTS) if (folder / _CONTENTS).exists() else {}
    if not isinstance(contents, dict):
        raise DataError("is no table of files", file=folder / _CONTENTS)
    for name, content in contents.items():
        file = folder / name
        if not file.exists() or file_digest(file) != content:
            problem = f"is not the file that was drawn; delete {folder}, and run again to have it drawn again"
            raise DataError(problem, file=file)


def questions_of(split: str, settings: WorldSettings, rng: np.random.Generator) -> Iterator[Question]:
    """Draw the questions of a split, without end. The archive is the bank, or the train split where there is none."""
    world = build_world(settings.seed, artefacts=settings.artefacts, changing_keepers=settings.changing_keepers)
    is_archive = split == ("train" if settings.bank is None else "bank")
    shares = VISITORS if not is_archive else DIRECT_ANSWERS if settings.direct_answers else SINGLE_FACTS
    if not settings.changing_keepers:
        shares = without_history(shares)
    return records(world, shares, settings, rng) if is_archive else (ask(world, shares, rng) for _ in count())


_OFFICIAL = {
    "info": {"description": "Shotsmith world"},
    "license": {"name": "Apache License 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
}
"""Blocks of the official layout that the API of VQA copies into every result it loads."""


def _write_split(
    draft: Path, split: str, drawn: Iterable[Question], rng: np.random.Generator, advance: Advance
) -> None:
    subtype = f"{split}2014"
    images = draft / subtype
    images.mkdir(parents=True)
    questions, annotations = [], []
    for image_id, question in enumerate(drawn, _FIRST_IMAGE[split]):
        question_id = image_id * 10 + 5
        answers = annotate(question, rng)
        draw(question.scene, rng).save(images / f"COCO_{subtype}_{image_id:012d}.png")
        questions.append({"image_id": image_id, "question": question.text, "question_id": question_id})
        annotations.append(_annotation(question.kind, answers, image_id, question_id))
        advance(1)
    header = {**_OFFICIAL, "data_type": "mscoco", "data_subtype": subtype}
    write_json(
        draft / f"OpenEnded_mscoco_{subtype}_questions.json",
        {**header, "task_type": "Open-Ended", "questions": questions},
        indent=None,
    )
    write_json(draft / f"mscoco_{subtype}_annotations.json", {**header, "annotations": annotations}, indent=None)


def _annotation(kind: str, answers: Sequence[str], image_id: int, question_id: int) -> dict[str, object]:
    return {
        "question_id": question_id,
        "image_id": image_id,
        "question_type": kind,
        "answer_type": "other",
        "answers": [
            {"answer": text, "raw_answer": text, "answer_confidence": "yes", "answer_id": number + 1}
            for number, text in enumerate(answers)
        ],
    }
