"""How many wrong records of the built-in world's careless source are found, and how many right ones are accused.

    python benchmarks/careless_source.py [RUN ...] [--seeds 1 2] [--json]

RUN is a finished run on the built-in world. For each seed a world is drawn and embedded, and nothing is asked: labels
are then judged without a single answer of the VLM. Which records are wrong follows from the world's facts, by drawing
the world again; the ways compared see neither these facts nor the backgrounds that mark the careless source.

Ways: `labels` is what `shotsmith bank` lists; `bank_alone` the same without answers of the VLM and without queries;
`neighbours` the share of the 10 most similar records (image and question) with another answer; `copies` the share of
answers copied from a record that were wrong; `value` the lowest upper bounds of the values. `chance` is the share of
wrong records.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shotsmith import experiment
from shotsmith.data.world.drawing import draw
from shotsmith.data.world.facts import build_world
from shotsmith.data.world.make import questions_of
from shotsmith.data.world.questions import annotate
from shotsmith.metrics.vqa import normalise
from shotsmith.progress import Silent
from shotsmith.recipe import WorldSettings, load_recipe
from shotsmith.runs import Run
from shotsmith.worth.bank import BankWorth, bank_worth, labels_of
from shotsmith.worth.labels import LIKELY

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LISTED = (20, 100)
NEIGHBOURS = 10
RECIPE = Path(__file__).parent.parent / "recipes" / "demo.yaml"
_SPLIT = 3
"""The number of the split `bank` among those that a world draws."""


def wrong_records(settings: WorldSettings) -> Flags:
    """Which records of a world's bank are wrong."""
    assert settings.bank is not None
    world = build_world(settings.seed, artefacts=settings.artefacts, changing_keepers=settings.changing_keepers)
    rng = np.random.default_rng([settings.seed, 2, _SPLIT])
    found = []
    for question in islice(questions_of("bank", settings, rng), settings.bank):
        annotate(question, rng)
        draw(question.scene, rng)
        scene = question.scene
        found.append(question.truth != world.answer(question.kind, scene.shape, scene.colour, old=scene.old))
    return np.array(found)


def scores(worth: BankWorth) -> Iterator[tuple[str, Floats, Flags | None]]:
    """Each way with a score of every record, higher for a wrong one, and what it accuses."""
    assert worth.labels is not None
    yield "labels", worth.labels.wrong, worth.labels.wrong >= LIKELY
    alone = labels_of(worth.asked, worth.duplicates, np.zeros_like(worth.copies), ())
    assert alone is not None
    yield "bank_alone", alone.wrong, alone.wrong >= LIKELY
    differing = neighbours(worth)
    yield "neighbours", differing, differing > 0.5
    if worth.copies.any():
        copied_right, copied_wrong = worth.copies.T
        yield "copies", (copied_wrong + 0.5) / (copied_right + copied_wrong + 1), copied_wrong > copied_right
    if worth.values:
        highs = np.full(len(worth.shown), np.inf)
        for row, value in worth.values.items():
            highs[row] = value.high if value.high is not None else np.inf
        harmful = np.zeros(len(highs), dtype=bool)
        harmful[worth.harmful] = True
        yield "value", -highs, harmful


def neighbours(worth: BankWorth) -> Floats:
    """The share of the most similar records that give another answer."""
    embedded = worth.asked.embedded["bank"]
    similar = embedded.images @ embedded.images.T + embedded.questions @ embedded.questions.T
    np.fill_diagonal(similar, -np.inf)
    nearest = np.argpartition(-similar, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    answers = np.unique([normalise(example.answer) for example in worth.asked.bank], return_inverse=True)[1]
    return np.asarray((answers[nearest] != answers[:, None]).mean(axis=1))


def figures(name: str, worth: BankWorth, wrong: Flags) -> Mapping[str, float]:
    """Precision of the lists, of all that is accused, and of as many as are wrong, and recall; in percent."""
    found = {f"{name}/chance": 100 * float(wrong.mean())}
    for way, score, accused in scores(worth):
        order = np.argsort(-score, kind="stable")
        if way == "labels":
            order = np.array([*worth.mend, *np.setdiff1d(order, worth.mend)], dtype=np.int64)
        for size in LISTED:
            found[f"{name}/{way}/precision_{size}"] = 100 * float(wrong[order[:size]].mean())
        found[f"{name}/{way}/precision_as_many"] = 100 * float(wrong[order[: int(wrong.sum())]].mean())
        if accused is not None and accused.any():
            found[f"{name}/{way}/flagged"] = float(accused.sum())
            found[f"{name}/{way}/precision"] = 100 * float(wrong[accused].mean())
            found[f"{name}/{way}/recall"] = 100 * float(accused[wrong].mean())
    worst = next(iter(worth.groups), None)
    if worst is not None and worst.attribute == "look":
        found[f"{name}/look/entries"] = float(worst.entries)
        found[f"{name}/look/wrong_claimed"] = 100 * (worst.wrong or 0.0)
    return found


def drawn_run(folder: Path, seed: int, bank: int) -> Run:
    """A run on a world of this seed up to the embeddings."""
    changed = (f"data.world.seed={seed}", f"data.world.bank={bank}", f"name=careless-{seed}")
    recipe = load_recipe(RECIPE, changed)
    run = Run.create(folder / f"seed-{seed}", recipe)
    experiment.run(recipe, run, Silent(), until="embed")
    return run


def main() -> None:
    """Print the figures of all runs and seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", metavar="RUN")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--bank", type=int, default=5000, help="records of the worlds that are drawn")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        judged = {path.name: Run.open(path) for path in options.runs}
        judged |= {f"seed-{seed}": drawn_run(Path(folder), seed, options.bank) for seed in options.seeds}
        for name, run in judged.items():
            assert run.recipe.data.world is not None, f"{run.folder} is no run on the built-in world"
            found |= figures(name, bank_worth(run), wrong_records(run.recipe.data.world))
    rounded = {name: round(value, 1) for name, value in found.items()}
    if options.json:
        print(json.dumps({"figures": rounded, "equal": True}))
        return
    for name, value in rounded.items():
        print(f"{name:40} {value:8.1f}")


if __name__ == "__main__":
    main()
