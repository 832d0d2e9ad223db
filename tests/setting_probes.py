"""Probes that show whether a setting has an effect: each maps a recipe to something that can be compared.

Everything is small, but it is the real thing that a recipe is turned into; only the VLM and the embeddings are made up
where they are not what is asked about.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
import torch
from PIL import Image
from small_clip import write_tiny_clip
from small_matching import Matching, small_policy, small_run, without_times
from small_policy import inputs_of, policy_of, some_sequences
from small_tasks import random_embeddings
from small_vlm import save_plain

from shotsmith import experiment
from shotsmith.checkpoints.native import save_policy
from shotsmith.cli.run import go
from shotsmith.completions.store import Store
from shotsmith.data.world import make_world
from shotsmith.errors import DataError, InputError
from shotsmith.evaluation.results import read_results
from shotsmith.experiment.evaluating import evaluate
from shotsmith.experiment.parts import Parts
from shotsmith.experiment.rollouts import record_rollouts
from shotsmith.experiment.training import best_policy
from shotsmith.files import digest, file_digest, read_json
from shotsmith.metrics.cider import CiderScorer
from shotsmith.policies.pointer import PointerPolicy, build_policy
from shotsmith.progress import Progress, Silent
from shotsmith.recipe import Recipe, WorldSettings, dump_recipe
from shotsmith.records import Completion, Example, Failure, Request
from shotsmith.rewards import Answered, highest_reward, reward
from shotsmith.runs import SPLITS, Phase, Run
from shotsmith.training.grpo import train_grpo
from shotsmith.training.rce import train_rce
from shotsmith.training.supervised import SupervisedData, train_supervised
from shotsmith.training.validation import Validation
from shotsmith.vlms.load import load_vlm

Probe = Callable[[Recipe, Path], object]
"""(recipe, an empty folder) -> what came of it."""


def prepare_files(here: Path) -> None:
    """What recipes name by path: two worlds in the official layout, another VLM, another CLIP."""
    for seed, name in enumerate(("one", "other")):
        make_world(here / name, WorldSettings(seed=seed, train=20, val=1, test=6))
    _write_tables(here / "tables")
    save_plain(here / "vlm")
    write_tiny_clip(here / "clip")


def _write_tables(folder: Path) -> None:
    """Tables of which no two share an image, and every column a second time with other values."""
    for images, blue in (("images", 0), ("other", 200)):
        (folder / images).mkdir(parents=True)
        for number in range(100):
            Image.new("RGB", (4, 4), (number, 0, blue)).save(folder / images / f"{number}.png")
    for name, numbers in (("train", range(20)), ("test", range(20, 28)), ("more", range(28, 48))):
        rows = [
            {"number": number + 1000}
            | {"image": f"{number}.png", "question": f"what is {number}?", "answers": [f"it is {number}"]}
            | {"other_image": f"{number + 50}.png", "other_question": "what?", "other_answers": "it"}
            for number in numbers
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "faulty.jsonl").write_text((folder / "test.jsonl").read_text() + "\nno JSON")


# The policy, and its training on a task without a VLM


def policy(recipe: Recipe, _folder: Path) -> object:
    """What it says of some sequences, with dropout."""
    network, inputs = policy_of(recipe.policy).train(), inputs_of()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        return network.step_distributions(inputs, some_sequences(inputs)).tolist()


def supervised(recipe: Recipe, folder: Path) -> object:
    """Weights and rows after supervised training."""
    task = Matching.draw(12, seed=0)
    data = SupervisedData(task.inputs, task.beams())
    return _trained(
        folder, "supervised", lambda network, run: train_supervised(network, data, _unmoved(), recipe.supervised, run)
    )


def rce(recipe: Recipe, folder: Path) -> object:
    """Weights and rows after RCE."""
    task = Matching.draw(12, seed=0)
    return _trained(
        folder,
        "rce",
        lambda network, run: train_rce(network, task.inputs, task.recorded(), _unmoved(), recipe.rce, run),
    )


def grpo(recipe: Recipe, folder: Path) -> object:
    """Weights and rows after GRPO."""
    task = Matching.draw(12, seed=0)
    others = {"rollouts": task.recorded(), "supervised": small_policy(seed=1)}
    return _trained(
        folder,
        "grpo",
        lambda network, run: train_grpo(network, task.inputs, task.score, _unmoved(), recipe.grpo, run, **others),
    )


def chosen_epoch(phase: Phase) -> Probe:
    """Which of three epochs a phase goes on with: best by reward, best by loss, last."""

    def probe(recipe: Recipe, folder: Path) -> object:
        run = Run(folder, recipe)
        rows = []
        for epoch, (by_reward, by_loss) in enumerate([(0.9, 3.0), (0.5, 1.0), (0.1, 2.0)], start=1):
            network = small_policy(seed=epoch)
            manifest = small_run(folder, phase).manifest.model_copy(update={"epoch": epoch})
            save_policy(run.epoch(0, phase, epoch), network, manifest)
            rows.append({"seed": 0, "phase": phase, "epoch": epoch, "val_reward": by_reward, "val_loss": by_loss})
        parts = SimpleNamespace(recipe=recipe, run=SimpleNamespace(epochs=lambda: rows, epoch=run.epoch))
        return _weights(best_policy(parts, 0, phase))

    return probe


def _trained(folder: Path, phase: Phase, train: Callable[[PointerPolicy, object], list[dict[str, object]]]) -> object:
    network = small_policy()
    rows = train(network, small_run(folder, phase))
    return without_times(rows), _weights(network)


def _unmoved() -> Validation:
    """A validation in which no epoch is better than the first."""
    return Validation(answered=lambda _policy: {"val/reward": 0.5})


def _weights(network: PointerPolicy) -> list[object]:
    return [value.tolist() for value in network.state_dict().values()]


# The reward


def rewards(recipe: Recipe, _folder: Path) -> object:
    """Of a right, a nearly right and a wrong answer, each after another number of demonstrations."""
    truths = ("jar",) * 5 + ("glass bowl",) * 3 + ("vase",) * 2
    query = Example(7, Path("x.png"), 1, "what is it?", truths)
    captions = CiderScorer([truths, ("a red bus",), ("a cat",)])
    log_probs = {"jar": -1.4, "glass bowl": -0.7, "vase": -3.5}
    found = [
        reward(Answered(query, Completion(text, log_probs), shown, -3.0, captions), recipe.reward)
        for shown, text in enumerate(("vase", "glass jug", "cat", "jar"))
    ]
    return found, highest_reward(recipe.reward)


# The experiment: stages on a small world, with a made-up VLM


class _Vlm:
    """Right about one prompt in three; log-probabilities follow from the prompt alone."""

    identity = "made up"
    batch_tokens = 1000

    def length(self, request: Request) -> int:
        return 1 + len(request.demonstrations)

    def complete(self, requests: list[Request]) -> list[Completion | Failure]:
        found: list[Completion | Failure] = []
        for request in requests:
            number = int(digest(str(request.query.id), *(str(one.id) for one in request.demonstrations))[:6], 16)
            text = request.query.answer if number % 3 == 0 else "wrong"
            found.append(Completion(text, {answer: -1 - number % 97 / 20 for answer in request.answers}))
        return found


class _Parts(Parts):
    """Embeddings are made up too."""

    @property
    def embeddings(self):
        named = self.splits.named()
        return {split: random_embeddings(len(named[split]), seed=row) for row, split in enumerate(SPLITS)}


class _Heard(Silent):
    """Remembers how far work advanced each time."""

    def __init__(self) -> None:
        self.amounts: list[int] = []

    @contextlib.contextmanager
    def task(self, _label: str, _total: int, _unit: str = "it") -> Iterator[Callable[[int], None]]:
        yield self.amounts.append


@contextlib.contextmanager
def _parts_of(
    recipe: Recipe, folder: Path, kind: type[Parts] = _Parts, progress: Progress | None = None
) -> Iterator[Parts]:
    with _made_up(), kind(recipe, _run_of(recipe, folder), progress or Silent()) as parts:
        yield parts


@contextlib.contextmanager
def _made_up() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shotsmith.experiment.parts.load_vlm", lambda _settings: _Vlm())
        patch.setattr("shotsmith.experiment.Parts", _Parts)
        yield


def _run_of(recipe: Recipe, folder: Path) -> Run:
    """A run whose world, if it has one, is drawn once for all."""
    folder.mkdir(exist_ok=True)
    if recipe.data.world is not None:
        drawn = folder.parent / f"world-{digest(recipe.data.world.model_dump_json())}"
        make_world(drawn, recipe.data.world)
        (folder / "world").symlink_to(drawn)
    return Run(folder, recipe)


def data(recipe: Recipe, folder: Path) -> object:
    """All examples with their pictures, the queries, and their pools."""
    with _parts_of(recipe, folder) as parts:
        examples = [
            (split, one.id, one.question, one.answers, file_digest(one.image))
            for split, part in parts.splits.named().items()
            for one in part
        ]
        tasks = [parts.tasks(split) for split in SPLITS]
        return examples, [([query.id for query in task.queries], task.pools.tolist()) for task in tasks]


def faulty_data(recipe: Recipe, folder: Path) -> object:
    """The same, or the first fault in it."""
    try:
        return data(recipe, folder)
    except DataError as error:
        return str(error)


def beams(recipe: Recipe, folder: Path) -> object:
    """The beam file."""
    run = _run_of(recipe, folder)
    with _made_up():
        experiment.run(recipe, run, Silent(), until="beam")
    return read_json(run.beam)


def recorded(recipe: Recipe, folder: Path) -> object:
    """The recorded rollouts."""
    with _parts_of(recipe, folder) as parts:
        network = build_policy(recipe.policy, parts.inputs("train").embedding_width, seed=0)
        groups, asked = record_rollouts(parts, "train", "here", 0, policy=network)
        return asked, groups.sequences.tolist(), groups.values.tolist(), str(groups.behaviour.tolist())


def evaluated(recipe: Recipe, folder: Path) -> object:
    """Results and summary of the selectors without training, and what they cost."""
    untrained = recipe.model_copy(
        update={phase: getattr(recipe, phase).model_copy(update={"epochs": 0}) for phase in get_args(Phase)}
    )
    with _parts_of(untrained, folder) as parts:
        return evaluate(parts), str(read_results(parts.run.results)), read_json(parts.run.summary)


def trained_seeds(recipe: Recipe, folder: Path) -> object:
    """The rows of a run that only imitates."""
    run = _run_of(recipe, folder)
    with _made_up():
        experiment.run(recipe, run, Silent(), until="train")
    return without_times(run.epochs())


def stores(recipe: Recipe, folder: Path) -> object:
    """Where completions go."""
    with _parts_of(recipe, folder) as parts:
        parts.ask([Request(parts.tasks("train").queries[0])], "here")
    return sorted(file.name for file in folder.rglob("*.sqlite"))


def named(recipe: Recipe, folder: Path) -> object:
    """The folder that `shotsmith run` makes, and how much of a shared store is put down to the run called 'run'."""
    file = folder / "recipe.yaml"
    file.write_text(dump_recipe(recipe))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        go(file, None, None, until="data", quiet=True)
    with _parts_of(recipe, folder) as parts:
        parts.ask([Request(parts.tasks("train").queries[0])], "here")
    with Store.open(recipe.store) as store:
        return [path.name for path in (folder / "runs").iterdir()], store.count("run:")


# The frozen models


def vlm(recipe: Recipe, folder: Path) -> object:
    """Which VLM is loaded, what it answers, and how many prompts it is given at a time."""
    heard = _Heard()
    with Parts(recipe, _run_of(recipe, folder), heard) as parts:
        examples = parts.splits.train
        try:
            identity = parts.collector.vlm.identity
        except InputError as error:
            return str(error)
        requests = [Request(examples[n], (examples[n + 1],), (examples[n].answer,)) for n in range(3)]
        return identity, str(parts.ask(requests, "here")), heard.amounts


def served(recipe: Recipe, folder: Path) -> object:
    """What a server is sent, by a client that is always refused, with what key and patience, and how much at a time."""
    sent: list[object] = []

    class Refused:
        """In place of the official client."""

        def __init__(self, **options: object) -> None:
            sent.append(options)
            self.models = SimpleNamespace(list=self.listed)
            self.chat = SimpleNamespace(completions=SimpleNamespace(create=self.create))

        async def __aenter__(self) -> Refused:
            return self

        async def __aexit__(self, *_: object) -> None:
            return None

        async def listed(self) -> object:
            return SimpleNamespace(data=[SimpleNamespace(id="one"), SimpleNamespace(id="two")])

        async def create(self, **options: object) -> object:
            sent.append(options)
            return SimpleNamespace(choices=[])

    with pytest.MonkeyPatch.context() as patch, _parts_of(recipe, folder) as parts:
        patch.setenv("STUB_KEY", "key")
        patch.setattr("openai.AsyncOpenAI", Refused)
        patch.setattr("shotsmith.vlms.retry.FIRST_PAUSE", 0.0)
        vlm = load_vlm(recipe.vlm)
        return vlm.batch_tokens, str(vlm.complete([Request(parts.splits.train[0])])), sent


def encoder(recipe: Recipe, folder: Path) -> object:
    """The embeddings, and how many images and questions are embedded at a time."""
    heard = _Heard()
    with Parts(recipe, _run_of(recipe, folder), heard) as parts:
        return parts.embeddings["test"].joined.tolist(), heard.amounts
