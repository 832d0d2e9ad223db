"""Sizes that a plan is computed from: how many examples there are, and how many tokens a prompt has.

They are read from the data and the VLM's processor, without weights, or given with --assume.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from shotsmith.data.load import load_splits
from shotsmith.data.splits import Splits, choose_queries
from shotsmith.data.world import make_world
from shotsmith.errors import InputError
from shotsmith.recipe import Recipe, VLMSettings
from shotsmith.records import Request
from shotsmith.runs import SPLITS
from shotsmith.vlms.pretrained.lengths import load_budget
from shotsmith.vlms.pretrained.loading import load_processor_and_prompt, model_folder
from shotsmith.vlms.prompting.image_tokens import ImageTokens
from shotsmith.vlms.prompting.prompt_tokens import PromptTokens

_SAMPLED = 100
"""Training queries whose prompts are measured."""
_WORLD = {"bank": 300, "train": 300, "val": 100, "test": 100}
"""The most examples of a built-in world that are drawn in order to measure prompts."""
_ASSUMED = {"train": 0, "test": 0, "bank": 0, "image_tokens": 391.0, "text_tokens": 18.0, "query_tokens": 35.5}
"""What --assume takes. The defaults are those of COCO questions with Qwen2.5-VL: an image of 640 x 480 pixels has 17 x
23 squares of 28 pixels; `text_tokens` are those of a demonstration, `query_tokens` the text of a prompt without any."""

Tokens = tuple[tuple[float, float], ...]
"""Mean (text tokens, image tokens) of a prompt, by its number of demonstrations from 0."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the bounds and the tokens of a plan depend on beside the recipe."""

    train: int
    """Examples of the training split."""
    val: int
    test: int
    bank: int
    """Entries of the bank."""
    has_images: bool
    """Whether examples have images."""
    tokens: Tokens | None
    """None where the recipe names no processor that counts them."""


def read_sizes(recipe: Recipe) -> Sizes:
    """Read the data and the processor of a recipe; of a built-in world, a small one of the same seed is drawn.

    Raises DataError for files that are missing or damaged, InputError for a processor that cannot be read.
    """
    with _readable_splits(recipe) as splits:
        world = recipe.data.world
        counts = {name: len(part) if world is None else getattr(world, name) for name, part in splits.named().items()}
        bank = len(splits.bank)
        if world is not None and recipe.data.bank is None:
            bank = world.bank or world.train
        has_images = any(example.images for example in splits.bank)
        return Sizes(**counts, bank=bank, has_images=has_images, tokens=_tokens(recipe, splits))


def assumed_sizes(recipe: Recipe, settings: Sequence[str]) -> Sizes:
    """Sizes from 'train=9009', 'test=5046' and others, in place of the data; a prompt's budget is not applied.

    Raises InputError for an unknown name, a bad number, or more queries than examples.
    """
    given: dict[str, float] = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in _ASSUMED:
            raise InputError(f"nothing is called '{name}'; there are {', '.join(_ASSUMED)}", field="--assume")
        try:
            given[name] = float(text)
        except ValueError as error:
            raise InputError(f"'{text}' is no number", field=f"--assume {name}") from error
        if not 0 <= given[name] < float("inf") or (name in ("train", "test", "bank") and given[name] % 1):
            raise InputError(f"'{text}' is no size", field=f"--assume {name}")
    if missing := [name for name in ("train", "test") if name not in given]:
        raise InputError(f"give the size of both splits; {missing[0]} is missing", field="--assume")
    whole = int(given["train"])
    val = round(whole * getattr(recipe.data.source, "val_share", 0.1))
    counts = {"train": whole - val, "val": val, "test": int(given["test"])}
    for split in SPLITS:
        wanted = getattr(recipe.data, f"{split}_queries")
        if wanted > counts[split] and recipe.data.is_set(f"{split}_queries"):
            problem = f"{wanted} queries are wanted, but {counts[split]} examples are assumed"
            raise InputError(problem, field=f"data.{split}_queries")
    added, image, query = ((_ASSUMED | given)[name] for name in ("text_tokens", "image_tokens", "query_tokens"))
    tokens = tuple((query + shots * added, (1 + shots) * image) for shots in range(recipe.longest + 1))
    return Sizes(**counts, bank=int(given.get("bank", 0)) or counts["train"], has_images=image > 0, tokens=tokens)


@contextmanager
def _readable_splits(recipe: Recipe) -> Iterator[Splits]:
    """The data, or a small world of the same seed, in a temporary folder."""
    world = recipe.data.world
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder) / "world"
        data = recipe.data.model_copy(update={"skip_bad": False})
        if world is not None:
            most = {name: getattr(world, name) and min(size, getattr(world, name)) for name, size in _WORLD.items()}
            world = world.model_copy(update=most)
            make_world(where, world)
            data = data.model_copy(update={"world": world})
        yield load_splits(data, where, check=False)


def _counter(settings: VLMSettings, model: str) -> Callable[[Request], tuple[int, int]]:
    """Count the text tokens and the image tokens of a prompt."""
    processor, prompt = load_processor_and_prompt(model_folder(model, weights=False), settings)
    texts, images = PromptTokens(processor, prompt), ImageTokens(processor)

    def count(request: Request) -> tuple[int, int]:
        alone = len(request.images) == 1
        return sum(map(len, texts.prompt(request))), sum(images(image, alone=alone) for image in request.images)

    return count


def _tokens(recipe: Recipe, splits: Splits) -> Tokens | None:
    """Means over some training queries with demonstrations drawn at random, as the prompt's budget has them shown."""
    if recipe.vlm.token_counter is None:
        return None
    count, budget, rng = (
        _counter(recipe.vlm, recipe.vlm.token_counter),
        load_budget(recipe.vlm),
        np.random.default_rng(0),
    )
    rows = choose_queries(splits.train, min(_SAMPLED, len(splits.train)), recipe.data.seed)
    found = []
    for shots in range(min(recipe.longest, len(splits.bank)) + 1):
        lengths = []
        for row in rows:
            shown = rng.choice(len(splits.bank), shots, replace=False).tolist()
            request = Request(splits.train[row], tuple(splits.bank[each] for each in shown))
            lengths.append(count(request if budget is None else budget.fit(request).request))
        found.append((fmean(text for text, _ in lengths), fmean(image for _, image in lengths)))
    return tuple(found)
