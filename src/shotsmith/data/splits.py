"""Train, validation and test: kept apart, and queries drawn from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, zip_longest
from pathlib import Path

import numpy as np

from shotsmith.data.rows import shown
from shotsmith.errors import DataError
from shotsmith.files import file_digest
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
    """Raise DataError if two splits share a question, an image, the same picture under two names, or a bare text."""
    for (name, examples), (other_name, others) in combinations(splits.named().items(), 2):
        where = f"the {name} and {other_name} splits"
        _refuse_shared("question", "id", examples, others, where)
        _refuse_shared("image", "image_id", examples, others, where)
        _refuse_shared_files(examples, others, where)
        _refuse_same_pictures(examples, others, where)


def _refuse_shared(
    what: str, attribute: str, examples: Sequence[Example], others: Sequence[Example], where: str
) -> None:
    seen = {getattr(example, attribute) for example in examples}
    for other in others:
        value = getattr(other, attribute)
        if value in seen:
            if not other.images and what == "image":
                raise DataError(f"the text {shown(other.question)} is in {where}", row=other.id, field="question")
            raise DataError(f"{what} {value} is in {where}", file=other.image, field=f"{what}_id")


def _refuse_shared_files(examples: Sequence[Example], others: Sequence[Example], where: str) -> None:
    """Compare the paths of examples with several images: these may share one, and each has an image id of its own."""
    files = {image for example in examples for image in example.images}
    for image in (image for other in others for image in other.images):
        if image in files:
            raise DataError(f"is in {where}", file=image)


def _refuse_same_pictures(examples: Sequence[Example], others: Sequence[Example], where: str) -> None:
    """Compare contents, but only of files that lie in different folders and have the same size."""
    sizes, other_sizes = _images_by_size(examples), _images_by_size(others)
    for size in sorted(sizes.keys() & other_sizes.keys()):
        digests = {file_digest(image): image for image in sizes[size]}
        for other in other_sizes[size]:
            twin = digests.get(file_digest(other))
            if twin and twin.parent != other.parent:
                raise DataError(f"is the same picture as {twin}, across {where}", file=other)


def _images_by_size(examples: Sequence[Example]) -> dict[int, list[Path]]:
    by_size: dict[int, list[Path]] = defaultdict(list)
    for image in dict.fromkeys(image for example in examples for image in example.images):
        try:
            by_size[image.stat().st_size].append(image)
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", file=image) from error
    return by_size


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


def choose_queries(examples: Sequence[Example], count: int, seed: int, balance: bool = False) -> tuple[int, ...]:
    """`count` rows of `examples`, or all where there are fewer, in random order.

    Fewer rows of the same seed are a prefix of more. With `balance`, every question type is drawn as often as every
    other, or until it is used up. `shotsmith.data.sizes` says whether a recipe may ask for more than there is.
    """
    shuffled = [int(row) for row in np.random.default_rng(seed).permutation(len(examples))]
    if balance:
        shuffled = list(_types_in_turn(examples, shuffled))
    return tuple(shuffled[:count])


def _types_in_turn(examples: Sequence[Example], rows: Sequence[int]) -> Iterator[int]:
    by_type: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        by_type[examples[row].question_type].append(row)
    for turn in zip_longest(*(by_type[question_type] for question_type in sorted(by_type))):
        yield from (row for row in turn if row is not None)
