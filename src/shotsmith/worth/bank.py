"""Everything there is to say of a run's bank, entry by entry, and the lists of what to mend, drop or collect."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shotsmith.embeddings.embedded import Embedded
from shotsmith.errors import DataError
from shotsmith.metrics.vqa import normalise
from shotsmith.runs import PHASES, Run, Split
from shotsmith.worth.asked import AskedRun, read_asked
from shotsmith.worth.consensus import joint_features, look_features
from shotsmith.worth.coverage import Region, near_entries, regions
from shotsmith.worth.duplicates import Duplicates, near_duplicates
from shotsmith.worth.groups import Group, compare_groups
from shotsmith.worth.labels import LIKELY, Labels, judge_labels
from shotsmith.worth.value import Value, values

SIGNIFICANT = 0.05
"""False discovery rate of the lists of helpful and harmful entries."""
MOST_TWINS = 10
"""Entries of a group of near-duplicates up to which none of them may vouch for another's label."""
MOST_TRUSTED = 10_000
"""Training and validation queries that say what answers should be; more add time and little else."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How often an entry was shown."""

    train: int = 0
    """Prompts of training queries."""
    val: int = 0
    """Prompts of validation queries."""
    test: int = 0
    """Results of the trained selector on test queries, over numbers of shots and seeds."""
    selectors: Mapping[str, int] | None = None
    """The same of every selector on test queries."""
    kinds: Mapping[str, int] | None = None
    """Prompts and results by the kind of question that the query asks, where the data name kinds."""

    @property
    def total(self) -> int:
        """Over training, validation and the trained selector."""
        return self.train + self.val + self.test


@dataclass(frozen=True)
class BankWorth:
    """What a run's bank is worth; lists of entries hold rows of the bank."""

    asked: AskedRun
    trained: str | None
    """The selector of the last phase that was evaluated."""
    shown: tuple[Shown, ...]
    """Of every entry."""
    values: Mapping[int, Value]
    """By row, in the unit of reports (points of an accuracy)."""
    judged_on: str
    """The queries that values are estimated from; see AskedRun.judged."""
    labels: Labels | None
    """None where the data do not allow labels to be judged."""
    copies: npt.NDArray[np.int64]
    """[N, 2]: how often an answer copied from the entry was right and wrong, on training and validation queries."""
    duplicates: Duplicates
    groups: tuple[Group, ...]
    regions: tuple[Region, ...]

    @cached_property
    def useful(self) -> list[int]:
        """Entries with a value above 0 at the false discovery rate, those with the highest lower bound first."""
        rows = [row for row, value in self.values.items() if value.value > 0 and _is_clear(value)]
        return sorted(rows, key=lambda row: (-_low(self.values[row]), row))

    @cached_property
    def harmful(self) -> list[int]:
        """Entries with a value below 0 at the false discovery rate, those with the lowest upper bound first."""
        rows = [row for row, value in self.values.items() if value.value < 0 and _is_clear(value)]
        return sorted(rows, key=lambda row: (_high(self.values[row]), row))

    @cached_property
    def mend(self) -> list[int]:
        """Entries whose label is likely wrong, the most certain first, and among equals those shown most."""
        if self.labels is None:
            return []
        wrong = self.labels.wrong
        rows = np.flatnonzero(wrong >= LIKELY).tolist()
        return sorted(rows, key=lambda row: (-round(float(wrong[row]), 3), -self.shown[row].total, row))

    @cached_property
    def drop(self) -> list[int]:
        """Harmful entries whose label is not likely wrong: there is nothing to mend."""
        return [row for row in self.harmful if self.labels is None or self.labels.wrong[row] < LIKELY]

    @cached_property
    def most_shown(self) -> list[int]:
        """Entries that were shown, the most often first."""
        rows = [row for row, shown in enumerate(self.shown) if shown.total]
        return sorted(rows, key=lambda row: (-self.shown[row].total, row))

    @cached_property
    def never_shown(self) -> list[int]:
        """Entries that neither training nor any selector has shown."""
        return [row for row, shown in enumerate(self.shown) if not shown.total and not shown.selectors]

    @cached_property
    def contradictory(self) -> list[int]:
        """The lowest rows of near-duplicates that give different answers."""
        return self.duplicates.contradictory(self.asked.bank)

    @cached_property
    def collect(self) -> list[Region]:
        """Regions of queries with a low accuracy and few entries near them."""
        return [region for region in self.regions if region.lacking]

    @cached_property
    def flags(self) -> list[tuple[str, ...]]:
        """What to say of each entry in a word: mend, harmful, useful, duplicate, contradictory, never_shown."""
        found: list[list[str]] = [[] for _ in self.asked.bank]
        contradictory = [row for first in self.contradictory for row in self.duplicates.members[first]]
        doubled = [row for rows in self.duplicates.members.values() for row in rows]
        lists = {"mend": self.mend, "harmful": self.harmful, "useful": self.useful, "contradictory": contradictory}
        for flag, rows in (lists | {"duplicate": doubled, "never_shown": self.never_shown}).items():
            for row in rows:
                found[row].append(flag)
        return [tuple(flags) for flags in found]


def bank_worth(run: Run) -> BankWorth:
    """Judge the bank of a run. Takes some seconds for thousands of entries.

    Raises InputError where its data are not made yet, DataError or StoreError where something is damaged.
    """
    asked = read_asked(run)
    prompts, judged_on = asked.judged
    phases = {result.selector for result in asked.results}
    trained = next((phase for phase in reversed(PHASES) if phase in phases), None)
    duplicates = near_duplicates(asked.bank, asked.embedded.get("bank"))
    copies = _copies(asked)
    labels = labels_of(asked, duplicates, copies)
    look = None if labels is None else labels.prior >= LIKELY
    scaled = {row: _scaled(value, asked.scale) for row, value in values(prompts).items()}
    groups = [
        replace(group, value=None if group.value is None else _scaled(group.value, asked.scale))
        for group in compare_groups(asked.bank, prompts, None if labels is None else labels.wrong, look)
    ]
    return BankWorth(
        asked=asked,
        trained=trained,
        shown=_shown(asked, trained),
        values=scaled,
        judged_on=judged_on,
        labels=labels,
        copies=copies,
        duplicates=duplicates,
        groups=tuple(groups),
        regions=_regions(asked, labels),
    )


def labels_of(
    asked: AskedRun,
    duplicates: Duplicates,
    copies: npt.NDArray[np.int64],
    trusted: Sequence[Split] = ("train", "val"),
) -> Labels | None:
    """Judge the labels with the help of the `trusted` queries that are not in the bank.

    None without embeddings, and where `judge_labels` can say nothing.
    """
    embedded = asked.embedded.get("bank")
    if embedded is None:
        return None
    parts, answers = [embedded], [example.answer for example in asked.bank]
    for split in trusted:
        rows = [
            row for row, one in enumerate(asked.splits.named()[split]) if one.id not in asked.row_of and one.answers
        ]
        rows = rows[: max(0, MOST_TRUSTED - (len(answers) - len(asked.bank)))]
        if split in asked.embedded and rows:
            parts.append(asked.embedded[split].rows(np.array(rows, dtype=np.int64)))
            answers += [asked.splits.named()[split][row].answer for row in rows]
    count = len(asked.bank)
    joined = Embedded(
        np.concatenate([part.images for part in parts]), np.concatenate([part.questions for part in parts])
    )
    few = _of_few(duplicates, count)
    groups = np.concatenate([few, np.arange(count, len(answers))])
    joint, look = joint_features(joined, groups), look_features(embedded, few)
    return judge_labels(joint, look, answers, embedded.questions, copies)


def _of_few(duplicates: Duplicates, count: int) -> npt.NDArray[np.int64]:
    """The group of each entry, without groups of many: where whole kinds look alike, they are each other's evidence."""
    groups = np.arange(count)
    for first, rows in duplicates.members.items():
        if len(rows) <= MOST_TWINS:
            groups[list(rows)] = first
    return groups


def _copies(asked: AskedRun) -> npt.NDArray[np.int64]:
    """Count copied answers. One is right if it earns at least half of the highest score."""
    normal = [normalise(example.answer) for example in asked.bank]
    texts: dict[str, str] = {}
    top = max((prompt.score for prompt in asked.prompts), default=0.0)
    counts = np.zeros((len(normal), 2), dtype=np.int64)
    for prompt in asked.prompts:
        if prompt.split == "test":
            continue
        if prompt.text not in texts:
            texts[prompt.text] = normalise(prompt.text)
        for row in set(prompt.shown):
            if normal[row] == texts[prompt.text]:
                counts[row, 0 if 2 * prompt.score >= top > 0 else 1] += 1
    return counts


def _shown(asked: AskedRun, trained: str | None) -> tuple[Shown, ...]:
    counts: dict[str, Counter[int]] = {"train": Counter(), "val": Counter()}
    selectors: defaultdict[int, Counter[str]] = defaultdict(Counter)
    kinds: defaultdict[int, Counter[str]] = defaultdict(Counter)

    def count_kind(row: int, query: int) -> None:
        if kind := asked.query_of[query][1].question_type:
            kinds[row][kind] += 1

    for prompt in asked.prompts:
        if prompt.split != "test":
            for row in set(prompt.shown):
                counts[prompt.split][row] += 1
                count_kind(row, prompt.query)
    for result in asked.results:
        if result.query_id not in asked.query_of:
            raise DataError("is a query that the data do not hold", file=asked.run.results, row=result.query_id)
        for number in set(result.sequence[result.left_out :]):
            row = asked.row_of[number]
            selectors[row][result.selector] += 1
            if result.selector == trained:
                count_kind(row, result.query_id)
    return tuple(
        Shown(
            counts["train"][row],
            counts["val"][row],
            selectors[row][trained] if trained is not None and row in selectors else 0,
            dict(selectors[row].most_common()) if row in selectors else {},
            dict(kinds[row].most_common()) if row in kinds else {},
        )
        for row in range(len(asked.bank))
    )


def _regions(asked: AskedRun, labels: Labels | None) -> tuple[Region, ...]:
    """Regions of the queries that values are estimated from; the score of a query is its mean over all its prompts."""
    prompts, _ = asked.judged
    scores: defaultdict[int, list[float]] = defaultdict(list)
    for prompt in prompts:
        if prompt.shown:
            scores[prompt.query].append(prompt.score)
    places = {one.id: row for split in asked.splits.named().values() for row, one in enumerate(split)}
    by_split: defaultdict[str, list[int]] = defaultdict(list)
    for query in scores:
        by_split[asked.query_of[query][0]].append(query)
    usable = [(split, queries) for split, queries in sorted(by_split.items()) if split in asked.embedded]
    bank = asked.embedded.get("bank")
    if not usable or bank is None:
        return ()
    parts = [asked.embedded[split].rows(np.array([places[query] for query in some])) for split, some in usable]
    embedded = Embedded(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.questions for part in parts]),
        bank.averaged,
    )
    queries = [query for _, some in usable for query in some]
    right = np.ones(len(asked.bank), dtype=bool) if labels is None else labels.wrong < LIKELY
    means = np.array([asked.scale * float(np.mean(scores[query])) for query in queries])
    near = near_entries(embedded, bank, right)
    return tuple(regions([asked.query_of[query][1] for query in queries], embedded, means, near))


def _scaled(value: Value, scale: float) -> Value:
    low = None if value.low is None else scale * value.low
    high = None if value.high is None else scale * value.high
    return replace(value, value=scale * value.value, low=low, high=high)


def _is_clear(value: Value) -> bool:
    """Whether a value enters a list: at the false discovery rate, and compared within two queries or more."""
    return value.adjusted <= SIGNIFICANT and value.queries > 1


def _low(value: Value) -> float:
    return value.value if value.low is None else value.low


def _high(value: Value) -> float:
    return value.value if value.high is None else value.high


def top_lists(worth: BankWorth, number: int = 10) -> Mapping[str, Sequence[int]]:
    """The rows of the entries shown most, of the most useful and of the harmful: at most `number` of each."""
    lists = {"most_shown": worth.most_shown, "useful": worth.useful, "harmful": worth.harmful}
    return {name: rows[:number] for name, rows in lists.items()}
