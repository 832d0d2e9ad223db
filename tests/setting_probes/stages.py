"""The stages of an experiment on a small world, with a made-up VLM."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import datasets
import pytest
from PIL import Image
from small_matching import without_times
from small_tasks import random_embeddings

from shotsmith import experiment
from shotsmith.cli.run import go
from shotsmith.completions.store import Store
from shotsmith.data.world import make_world
from shotsmith.errors import DataError
from shotsmith.evaluation.results import read_results
from shotsmith.experiment.evaluating import evaluate
from shotsmith.experiment.parts import Parts
from shotsmith.experiment.rollouts import record_rollouts
from shotsmith.files import digest, file_digest, read_json
from shotsmith.policies.pointer import build_policy
from shotsmith.progress import Progress, Silent
from shotsmith.recipe import Recipe, dump_recipe
from shotsmith.records import Completion, Failure, Request
from shotsmith.runs import SPLITS, Phase, Run


class MadeUpVlm:
    """Right about one prompt in three; log-probabilities follow from the prompt alone."""

    identity = "made up"
    batch_tokens = 1000
    counts_tokens = True
    gives_log_probs = True

    def length(self, request: Request) -> int:
        return 1 + len(request.demonstrations)

    def complete(self, requests: list[Request]) -> list[Completion | Failure]:
        found: list[Completion | Failure] = []
        for request in requests:
            number = int(digest(str(request.query.id), *(str(one.id) for one in request.demonstrations))[:6], 16)
            text = request.query.answer if number % 3 == 0 else "wrong"
            found.append(Completion(text, {answer: -1 - number % 97 / 20 for answer in request.answers}))
        return found


class MadeUpParts(Parts):
    """Embeddings are made up too."""

    @property
    def embeddings(self):
        named = self.splits.named() | {"bank": self.splits.bank}
        return {split: random_embeddings(len(part), seed=row) for row, (split, part) in enumerate(named.items())}


class Heard(Silent):
    """Remembers how far work advanced each time."""

    def __init__(self) -> None:
        self.amounts: list[int] = []

    @contextlib.contextmanager
    def task(self, _label: str, _total: int, _unit: str = "it") -> Iterator[Callable[[int], None]]:
        yield self.amounts.append


@contextlib.contextmanager
def parts_of(
    recipe: Recipe, folder: Path, kind: type[Parts] = MadeUpParts, progress: Progress | None = None
) -> Iterator[Parts]:
    with made_up(), kind(recipe, run_of(recipe, folder), progress or Silent()) as parts:
        yield parts


@contextlib.contextmanager
def made_up() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shotsmith.experiment.parts.load_vlm", lambda _settings: MadeUpVlm())
        patch.setattr("shotsmith.experiment.Parts", MadeUpParts)
        yield


def run_of(recipe: Recipe, folder: Path) -> Run:
    """A run whose world, if it has one, is drawn once for all."""
    folder.mkdir(exist_ok=True)
    if recipe.data.world is not None:
        drawn = folder.parent / f"world-{digest(recipe.data.world.model_dump_json())}"
        make_world(drawn, recipe.data.world)
        (folder / "world").symlink_to(drawn)
    return Run(folder, recipe)


def data(recipe: Recipe, folder: Path) -> object:
    """All examples with their pictures, the queries, their pools, and what is barred from them."""
    with parts_of(recipe, folder) as parts:
        examples = [
            (split, one.id, one.question, one.answers, [*map(file_digest, one.images)])
            for split, part in {**parts.splits.named(), "bank": parts.splits.bank}.items()
            for one in part
        ]
        tasks = [parts.tasks(split) for split in SPLITS]
        barred = [[rows.tolist() for rows in task.barred] for task in tasks]
        return examples, barred, [([query.id for query in task.queries], task.pools.tolist()) for task in tasks]


def drawn_world(recipe: Recipe, folder: Path) -> object:
    """Every file of the built-in data set but the one that lists its settings."""
    world = run_of(recipe, folder).world
    return {str(f.relative_to(world)): file_digest(f) for f in sorted(world.rglob("*.*")) if f.name != "world.json"}


def measured(recipe: Recipe, folder: Path) -> object:
    """What the answers to test queries are measured by."""
    with parts_of(recipe, folder) as parts:
        return parts.tasks("test").measure.name


def hub_data(recipe: Recipe, folder: Path) -> object:
    """What is asked of the hub, and the same as `data` of what it gives."""
    with hub() as asked:
        return data(recipe, folder), asked


def hub_outside(recipe: Recipe, folder: Path) -> object:
    """The same of a hub that gives paths of images elsewhere, or the first fault in it."""
    outside = folder.parent / "outside"
    outside.mkdir(exist_ok=True)
    for number in range(48):
        (outside / f"{number}.png").write_bytes(_picture(number))
    with hub(outside):
        return faulty_data(recipe, folder)


def hub_measured(recipe: Recipe, folder: Path) -> object:
    """The same as `measured`."""
    with hub():
        return measured(recipe, folder)


@contextlib.contextmanager
def hub(outside: Path = Path("outside")) -> Iterator[list[object]]:
    """A hub that has one data set under every name, with paths to `outside`; yields what it is asked for."""
    asked: list[object] = []

    def load_dataset(*names: object, **options: object) -> object:
        asked.append((names, options))
        return {
            split: datasets.Dataset.from_list(
                [
                    {"number": n + 1000, "image": {"bytes": _picture(n), "path": None}}
                    | {"question": f"what is {n}?", "answers": [f"it is {n}"]}
                    | {"options": [f"it is {n}", "it is not"]}
                    | {"other_question": f"who is {n}?", "other_answers": "it"}
                    | {"other_image": {"bytes": _picture(n, blue=200), "path": None}}
                    | {"outside": str(outside / f"{n}.png")}
                    for n in numbers
                ]
            )
            for split, numbers in (("train", range(20)), ("test", range(20, 28)), ("more", range(28, 48)))
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load_dataset", load_dataset)
        yield asked


def _picture(number: int, blue: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (number, 0, blue)).save(buffer, "PNG")
    return buffer.getvalue()


def faulty_data(recipe: Recipe, folder: Path) -> object:
    """The same, or the first fault in it."""
    try:
        return data(recipe, folder)
    except DataError as error:
        return str(error)


def beams(recipe: Recipe, folder: Path) -> object:
    """The beam file."""
    run = run_of(recipe, folder)
    with made_up():
        experiment.run(recipe, run, Silent(), until="beam")
    return read_json(run.beam)


def recorded(recipe: Recipe, folder: Path) -> object:
    """The recorded rollouts."""
    with parts_of(recipe, folder) as parts:
        network = build_policy(recipe.policy, parts.inputs("train").embedding_width, seed=0)
        groups, asked = record_rollouts(parts, "train", "here", 0, policy=network)
        return asked, groups.sequences.tolist(), groups.values.tolist(), str(groups.behaviour.tolist())


def evaluated(recipe: Recipe, folder: Path) -> object:
    """Results and summary of the selectors without training, and what they cost."""
    untrained = recipe.model_copy(
        update={phase: getattr(recipe, phase).model_copy(update={"epochs": 0}) for phase in get_args(Phase)}
    )
    with parts_of(untrained, folder) as parts:
        return evaluate(parts), str(read_results(parts.run.results)), read_json(parts.run.summary)


def trained_seeds(recipe: Recipe, folder: Path) -> object:
    """The rows of a run that only imitates."""
    run = run_of(recipe, folder)
    with made_up():
        experiment.run(recipe, run, Silent(), until="train")
    return without_times(run.epochs())


def stores(recipe: Recipe, folder: Path) -> object:
    """Where completions go."""
    with parts_of(recipe, folder) as parts:
        parts.ask([Request(parts.tasks("train").queries[0])], "here")
    return sorted(file.name for file in folder.rglob("*.sqlite"))


def named(recipe: Recipe, folder: Path) -> object:
    """The folder that `shotsmith run` makes, and how much of a shared store is put down to the run called 'run'."""
    file = folder / "recipe.yaml"
    file.write_text(dump_recipe(recipe))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        go(file, None, None, until="data", quiet=True)
    with parts_of(recipe, folder) as parts:
        parts.ask([Request(parts.tasks("train").queries[0])], "here")
    with Store.open(recipe.store) as store:
        return [path.name for path in (folder / "runs").iterdir()], store.count("run:")
