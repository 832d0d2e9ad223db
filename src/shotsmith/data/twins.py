"""Pictures that two splits share under different names.

Real data sets have a few (COCO among them). They do not stop a run: the question of the earlier split is no query
(training never rewards an answer about a picture of the test queries), every copy is barred from the queries it equals
(`shotsmith.data.barring`), and both are counted. Splits of which half is the same pictures are an error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from shotsmith.data.identity import follows_content, written_number
from shotsmith.errors import DataError
from shotsmith.files import file_digest
from shotsmith.records import Example

_TOO_MANY = 0.5
"""Share of the smaller split's pictures from which on the splits are taken for the same data."""

Twins = tuple[tuple[Path, Path], ...]
"""Pairs of image files with the same content, one of each of two splits."""


def are_twins(one: Example, other: Example) -> bool:
    """Whether two examples that share an image id do so only because two files have the same content.

    Pictures inside a data set have no name of their own: there, equal content is all there is to compare.
    """
    if not follows_content(one) or not follows_content(other):
        return False
    return one.images != other.images or is_inside(other)


def is_inside(example: Example) -> bool:
    """Whether the images of an example were held inside the data set and are named for their content."""
    return bool(example.images) and example.image_id == written_number(example.images)


def shared_pictures(examples: Iterable[Example], others: Iterable[Example]) -> Twins:
    """Files of the same content, each of `others` with the first that equals it. Only files of equal size are read."""
    sizes, other_sizes = _images_by_size(examples), _images_by_size(others)
    found = []
    for size in sorted(sizes.keys() & other_sizes.keys()):
        by_digest: dict[str, Path] = {}
        for image in sizes[size]:
            by_digest.setdefault(file_digest(image), image)
        for other in other_sizes[size]:
            if (twin := by_digest.get(file_digest(other))) is not None:
                found.append((twin, other))
    return tuple(found)


def refuse_many_twins(splits: Mapping[str, Sequence[Example]]) -> None:
    """Raise DataError where half of a split's pictures are in another split under other names."""
    for (name, examples), (other_name, others) in combinations(splits.items(), 2):
        twins = shared_pictures(examples, others)
        smaller = min(len({image for one in part for image in one.images}) for part in (examples, others))
        if twins and len(twins) >= _TOO_MANY * smaller:
            raise DataError(
                f"is the same picture as {twins[0][0]}; so are {len(twins)} across the {name} and {other_name} "
                f"splits, of which the smaller has {smaller}",
                file=twins[0][1],
            )


def twin_rows(splits: Mapping[str, Sequence[Example]]) -> dict[str, frozenset[int]]:
    """By split, the rows whose picture a later split has too; `splits` in the order train, validation, test."""
    rows: dict[str, frozenset[int]] = {}
    names = list(splits)
    for place, name in enumerate(names):
        later = [example for after in names[place + 1 :] for example in splits[after]]
        twins = {first for first, _ in shared_pictures(splits[name], later)}
        contents = {file_digest(image) for image in twins}
        sizes = {image.stat().st_size for image in twins}
        rows[name] = frozenset(
            row for row, example in enumerate(splits[name]) if _has_content(example, sizes, contents)
        )
    return rows


def _has_content(example: Example, sizes: set[int], contents: set[str]) -> bool:
    return bool(sizes) and any(
        image.stat().st_size in sizes and file_digest(image) in contents for image in example.images
    )


def _images_by_size(examples: Iterable[Example]) -> dict[int, list[Path]]:
    by_size: dict[int, list[Path]] = defaultdict(list)
    for image in dict.fromkeys(image for example in examples for image in example.images):
        try:
            by_size[image.stat().st_size].append(image)
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", file=image) from error
    return by_size
