"""Train, validation and test: kept apart, and queries drawn from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, zip_longest
from pathlib import Path

import numpy as np

from shotsmith.data.rows import shown
from shotsmith.data.twins import are_twins, is_inside, refuse_many_twins
from shotsmith.errors import DataError
from shotsmith.records import Example


@dataclass(frozen=True, slots=True)
class Splits:
    """The examples of one data set. The policy is trained on queries from `train`, epochs are chosen on `val`."""

    train: tuple[Example, ...]
    val: tuple[Example, ...]
    test: tuple[Example, ...]
    own_bank: tuple[Example, ...] | None = None
    """What may be shown, where that is not the train split."""

    @property
    def bank(self) -> tuple[Example, ...]:
        """What may be shown: demonstrations come from here alone."""
        return self.train if self.own_bank is None else self.own_bank

    def named(self) -> dict[str, tuple[Example, ...]]:
        """The three splits by name."""
        return {"train": self.train, "val": self.val, "test": self.test}


def check_disjoint(splits: Splits) -> None:
    """Raise DataError if two splits share a question, an image or a bare text, or many pictures under other names.

    `shotsmith.data.twins` says what becomes of a few such pictures.
    """
    for (name, examples), (other_name, others) in combinations(splits.named().items(), 2):
        where = f"the {name} and {other_name} splits"
        _refuse_shared_questions(examples, others, where)
        _refuse_shared_images(examples, others, where)
        _refuse_shared_files(examples, others, where)
    refuse_many_twins(splits.named())


def _refuse_shared_questions(examples: Sequence[Example], others: Sequence[Example], where: str) -> None:
    seen = {example.id for example in examples}
    for other in others:
        if other.id in seen:
            raise DataError(f"question {other.id} is in {where}", file=other.image, field="question_id")


def _refuse_shared_images(examples: Sequence[Example], others: Sequence[Example], where: str) -> None:
    seen = {example.image_id: example for example in examples}
    for other in others:
        if (one := seen.get(other.image_id)) is None or are_twins(one, other):
            continue
        if not other.images:
            raise DataError(f"the text {shown(other.question)} is in {where}", row=other.id, field="question")
        raise DataError(f"image {other.image_id} is in {where}", file=other.image, field="image_id")


def _refuse_shared_files(examples: Sequence[Example], others: Sequence[Example], where: str) -> None:
    """Compare the paths of examples with several images: these may share one, and each has an image id of its own."""
    files = {image for example in examples for image in example.images}
    for image in (image for other in others if not is_inside(other) for image in other.images):
        if image in files:
            raise DataError(f"is in {where}", file=image)


def split_by_image(
    examples: Sequence[Example], share: float, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Set aside all questions of a random `share` (0 to 1) of the images: (kept, set aside), order unchanged.

    Examples with several images stay together with all that share one of them, directly or through others. Examples
    without images are set aside by their texts.
    """
    groups = _by_shared_images(examples)
    images = np.array(sorted(set(groups)), dtype=np.int64)
    count = round(share * len(images))
    aside = set(np.random.default_rng(seed).permutation(images)[:count].tolist())
    return (
        tuple(example for example, group in zip(examples, groups, strict=True) if group not in aside),
        tuple(example for example, group in zip(examples, groups, strict=True) if group in aside),
    )


def _by_shared_images(examples: Sequence[Example]) -> list[int]:
    """For each example the least image id of all that are connected with it by shared images."""
    leads: dict[int, int] = {}  # image id -> one nearer to the least, itself for the least

    def least(number: int) -> int:
        while leads.setdefault(number, number) != number:
            leads[number] = number = leads.setdefault(leads[number], leads[number])
        return number

    first: dict[Path, int] = {}  # image file -> image id of the first example that has it
    for example in examples:
        for image in example.images:
            one, other = least(example.image_id), least(first.setdefault(image, example.image_id))
            leads[max(one, other)] = min(one, other)
    return [least(example.image_id) for example in examples]


def choose_queries(
    examples: Sequence[Example], count: int, seed: int, balance: bool = False, without: Collection[int] = ()
) -> tuple[int, ...]:
    """`count` rows of `examples` that are not in `without`, or all where there are fewer, in random order.

    Fewer rows of the same seed are a prefix of more. With `balance`, every question type is drawn as often as every
    other, or until it is used up. `shotsmith.data.sizes` says whether a recipe may ask for more than there is.
    """
    shuffled = [int(row) for row in np.random.default_rng(seed).permutation(len(examples))]
    shuffled = [row for row in shuffled if row not in without]
    if balance:
        shuffled = list(_types_in_turn(examples, shuffled))
    return tuple(shuffled[:count])


def _types_in_turn(examples: Sequence[Example], rows: Sequence[int]) -> Iterator[int]:
    by_type: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        by_type[examples[row].question_type].append(row)
    for turn in zip_longest(*(by_type[question_type] for question_type in sorted(by_type))):
        yield from (row for row in turn if row is not None)
