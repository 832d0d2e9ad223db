"""Groups of a bank's entries that the data name, compared: kinds of question, files, folders, prefixes of names.

A group is compared with the rest of the bank in two ways: the share of labels that are likely wrong, and the value of
showing some of it (`shotsmith.worth.value`). A source that was careless stands out in both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from shotsmith.records import Example
from shotsmith.worth.asked import AskedPrompt
from shotsmith.worth.value import Value, values

Attribute = Literal["question_type", "data_file", "folder", "name_prefix", "look"]

FEWEST = 20
"""Entries below which a group is not compared."""
MOST = 50
"""Groups of an attribute above which it names entries instead of grouping them."""


@dataclass(frozen=True, slots=True)
class Group:
    """Entries that share an attribute."""

    attribute: Attribute
    name: str
    entries: int
    wrong: float | None
    """Share of its labels that are likely wrong, 0 to 1; None where labels could not be judged."""
    rest_wrong: float | None
    """The same of the other entries of the bank."""
    value: Value | None
    """The value of showing some of it; None where no query was asked both with and without."""
    examples: tuple[int, ...]
    """Rows of some entries, for looking at them."""

    @property
    def worse(self) -> bool:
        """Whether at least a fifth of its labels are likely wrong, and twice the share of the rest."""
        return self.wrong is not None and self.wrong >= max(0.2, 2 * (self.rest_wrong or 0.0))


def compare_groups(
    bank: Sequence[Example],
    prompts: Sequence[AskedPrompt],
    wrong: npt.NDArray[np.float64] | None,
    look: npt.NDArray[np.bool_] | None,
) -> list[Group]:
    """Compare the groups of every attribute that has several, those with the largest share of wrong labels first.

    `wrong` [N] are the probabilities that labels are wrong; `look` [N] marks entries whose pictures look like those of
    wrong labels.
    """
    found: list[Group] = []
    for attribute, name_of in _ATTRIBUTES.items():
        found += _compared(attribute, [name_of(example) for example in bank], prompts, wrong)
    if look is not None and FEWEST <= look.sum() < len(bank):
        named = ["like wrong labels" if one else "" for one in look.tolist()]
        found += _compared("look", named, prompts, wrong)
    return sorted(found, key=lambda group: -(group.wrong or 0.0))


def _compared(
    attribute: Attribute,
    names: Sequence[str],
    prompts: Sequence[AskedPrompt],
    wrong: npt.NDArray[np.float64] | None,
) -> list[Group]:
    counts = Counter(name for name in names if name)
    kept = [name for name, count in counts.items() if FEWEST <= count < len(names)]
    if not kept or len(counts) > MOST:
        return []
    number = {name: place for place, name in enumerate(kept)}
    units = np.array([number.get(name, -1) for name in names])
    found = values(prompts, unit=lambda row: int(units[row]))
    groups = []
    for name, place in number.items():
        inside = units == place
        rows = np.flatnonzero(inside)
        if wrong is not None:
            rows = rows[np.argsort(-wrong[rows], kind="stable")]
        own, rest = (None, None) if wrong is None else (float(wrong[inside].mean()), float(wrong[~inside].mean()))
        groups.append(Group(attribute, name, len(rows), own, rest, found.get(place), tuple(rows[:6].tolist())))
    return groups


def _data_file(example: Example) -> str:
    return "" if example.place is None else example.place[0]


def _folder(example: Example) -> str:
    return "" if example.image is None else example.image.parent.name


def _name_prefix(example: Example) -> str:
    """The start of the image's name, up to its number."""
    return "" if example.image is None else re.split(r"\d", example.image.stem, maxsplit=1)[0].strip("_- .")


_ATTRIBUTES: Mapping[Attribute, Callable[[Example], str]] = {
    "question_type": lambda example: example.question_type,
    "data_file": _data_file,
    "folder": _folder,
    "name_prefix": _name_prefix,
}
