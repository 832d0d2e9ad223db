"""How large prompts and answers are: sampled from the data and the VLM's tokenizer, or assumed. No weights are read."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean

import numpy as np

from shotsmith.data.load import load_splits
from shotsmith.data.splits import Splits, choose_queries
from shotsmith.data.world import make_world
from shotsmith.errors import InputError
from shotsmith.metrics.measure import options_of
from shotsmith.planning.lengths import Lengths
from shotsmith.recipe import Recipe
from shotsmith.records import Example, Request
from shotsmith.rewards import wanted_answers
from shotsmith.runs import SPLITS, Split

_SAMPLED = 200
"""Examples of each kind that are looked at."""
_WORLD = {"bank": 300, "train": 300, "val": 100, "test": 100}
"""Most examples of a built-in world that are drawn to be looked at."""


@dataclass(frozen=True, slots=True)
class QuerySize:
    """The queries of one split: means."""

    text: float
    """Text tokens of a prompt without demonstrations."""
    image: float
    """Image tokens of the query."""
    generated: float
    """Tokens of a true answer with its end, as far as they may be generated: what is generated is taken to be alike."""
    answer_bytes: float
    """UTF-8 bytes of the most common true answer."""
    answers: float
    """Answers whose log-probability training wants: those of the reward, and the options where they decide."""
    options: float = 0.0
    """Options whose log-probability decides what was answered; 0 where the generated text does."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the tokens and bytes of a plan are computed from."""

    examples: Mapping[str, int]
    """Of each split, and of the bank where it is not the train split."""
    queries: Mapping[Split, QuerySize]
    text: float
    """Text tokens that a demonstration adds to a prompt."""
    image: float
    """Image tokens that it adds."""
    has_images: bool = True

    @property
    def bank(self) -> int:
        """Entries of the bank."""
        return self.examples.get("bank", self.examples["train"])


@dataclass(frozen=True, slots=True)
class Assumed:
    """Sizes that are told instead of read. The defaults are those of COCO questions before Qwen2.5-VL."""

    train: int
    """Examples of the train split, validation included where it is set aside from it."""
    test: int
    """Examples of the test split."""
    bank: int = 0
    """Entries of a bank of its own; 0: the train split is the bank."""
    image_tokens: float = 391.0
    """Of an image of 640 x 480 pixels: 17 x 23 squares of 28 pixels."""
    text_tokens: float = 18.0
    """Of a question and its answer as a demonstration, with what the template puts around them."""
    frame_tokens: float = 19.0
    """Of the rest of a prompt: the template, with its system message."""
    answer_tokens: float = 2.5
    """Of a generated answer with its end."""
    answer_bytes: float = 6.0
    """UTF-8 bytes of an answer."""


def sampled_sizes(recipe: Recipe, splits: Splits, seed: int = 0) -> Sizes:
    """Means over some of the recipe's own queries, each with one demonstration drawn at random.

    `splits` may be smaller than those of the recipe: the same share of them is drawn as queries. Raises InputError
    where the tokenizer cannot be read, DataError for an image or a question that cannot be used.
    """
    lengths, rng = Lengths(recipe.vlm), np.random.default_rng(seed)
    named = splits.named()
    drawn = {split: _queries(recipe, split, named[split]) for split in SPLITS}
    shown = [splits.bank[row] for row in rng.integers(len(splits.bank), size=_SAMPLED)]
    queries = {split: _query_size(recipe, drawn[split], lengths) for split in SPLITS}
    pairs = [(drawn["train"][number % len(drawn["train"])], one) for number, one in enumerate(shown)]
    added = [lengths.text(Request(query, (one,))) - lengths.text(Request(query)) for query, one in pairs]
    return Sizes(
        examples=_examples(recipe, splits),
        queries=queries,
        text=fmean(added),
        image=fmean(lengths.images(one) for one in shown),
        has_images=any(example.images for example in shown),
    )


@contextlib.contextmanager
def readable_splits(recipe: Recipe, *, whole: bool = False) -> Iterator[Splits]:
    """The data, or a small world of the same seed (the `whole` one) where the recipe draws it, gone afterwards.

    Raises DataError where files are missing or at fault.
    """
    if recipe.data.world is None:
        with tempfile.TemporaryDirectory() as folder:  # for pictures that a data set holds inside
            data = recipe.data.model_copy(update={"skip_bad": False})
            yield load_splits(data, Path(folder) / "pictures", check=False)
        return
    there = {name: getattr(recipe.data.world, name) for name in _WORLD}
    smaller = {name: size and min(_WORLD[name], size) for name, size in there.items()}
    world = recipe.data.world if whole else recipe.data.world.model_copy(update=smaller)
    with tempfile.TemporaryDirectory() as folder:
        make_world(Path(folder) / "world", world)
        yield load_splits(recipe.data.model_copy(update={"world": world}), Path(folder) / "world", check=False)


def _examples(recipe: Recipe, splits: Splits) -> dict[str, int]:
    world = recipe.data.world
    found = {split: len(part) if world is None else getattr(world, split) for split, part in splits.named().items()}
    if splits.own_bank is None:
        return found
    drawn = world.bank if world is not None and recipe.data.bank is None else None
    return found | {"bank": drawn or len(splits.own_bank)}


def _queries(recipe: Recipe, split: Split, examples: Sequence[Example]) -> list[Example]:
    """Some of the recipe's queries."""
    wanted: int = getattr(recipe.data, f"{split}_queries")
    if recipe.data.world is not None:
        wanted = max(1, wanted * len(examples) // getattr(recipe.data.world, split))
    balance = recipe.data.balance_train_queries and split == "train"
    rows = choose_queries(examples, wanted, recipe.data.seed, balance)
    return [examples[row] for row in rows[:_SAMPLED]]


def _query_size(recipe: Recipe, queries: Sequence[Example], lengths: Lengths) -> QuerySize:
    longest, options = recipe.vlm.max_new_tokens, options_of(recipe.data.metric)
    return QuerySize(
        text=fmean(lengths.text(Request(query)) for query in queries),
        image=fmean(lengths.images(query) for query in queries),
        generated=fmean(min(lengths.answer(query.answer), longest) for query in queries),
        answer_bytes=fmean(len(query.answer.encode()) for query in queries),
        answers=fmean(len({*options(query), *wanted_answers(query, recipe.reward)}) for query in queries),
        options=fmean(len(options(query)) for query in queries),
    )


def assumed_sizes(recipe: Recipe, assumed: Assumed) -> Sizes:
    """Sizes without any data. Raises InputError where the recipe asks for more queries than there are examples."""
    share = getattr(recipe.data.source, "val_share", 0.1)
    val = round(assumed.train * share)
    examples = {"train": assumed.train - val, "val": val, "test": assumed.test}
    for split in SPLITS:
        wanted = getattr(recipe.data, f"{split}_queries")
        if wanted > examples[split] and recipe.data.is_set(f"{split}_queries"):
            raise InputError(
                f"{wanted} queries are wanted, but {examples[split]} examples are assumed",
                field=f"data.{split}_queries",
            )
    size = QuerySize(
        text=assumed.frame_tokens + assumed.text_tokens - assumed.answer_tokens + 1,
        image=assumed.image_tokens,
        generated=min(assumed.answer_tokens, recipe.vlm.max_new_tokens),
        answer_bytes=assumed.answer_bytes,
        answers=float(recipe.reward.needs_log_probs),
    )
    if assumed.bank:
        examples["bank"] = assumed.bank
    return Sizes(examples, dict.fromkeys(SPLITS, size), assumed.text_tokens, assumed.image_tokens)


_COUNTS = ("train", "test", "bank")


def read_assumed(settings: Sequence[str]) -> Assumed:
    """From 'train=443757', 'test=214354' and others of `Assumed`. Raises InputError naming what is wrong."""
    known = {field.name: field for field in fields(Assumed)}
    given: dict[str, float] = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in known:
            raise InputError(f"nothing is called '{name}'; there are {', '.join(known)}", field="--assume")
        try:
            given[name] = int(text) if name in _COUNTS else float(text)
        except ValueError as error:
            raise InputError(f"'{text}' is no number", field=f"--assume {name}") from error
        if not 0 <= given[name] < float("inf"):
            raise InputError(f"'{text}' is no size", field=f"--assume {name}")
    if missing := [name for name in ("train", "test") if name not in given]:
        raise InputError(f"say the size of both splits; {missing[0]} is missing", field="--assume")
    train, test, bank = (int(given.pop(name, 0)) for name in _COUNTS)
    return Assumed(train, test, bank, **given)
