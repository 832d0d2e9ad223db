"""Proof that the test queries were kept out of everything that training and the choice of epochs saw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from shotsmith.data.barring import barred_rows
from shotsmith.data.splits import Splits
from shotsmith.data.twins import are_twins, is_inside
from shotsmith.errors import DataError
from shotsmith.records import Example
from shotsmith.selectors.protocol import Tasks


def check_no_leak(splits: Splits, *tasks: Tasks, trained_on: Iterable[int] = (), chosen_on: Iterable[int] = ()) -> None:
    """Raise DataError unless every split kept to its part.

    Demonstrations come from the bank only, and the queries of one list of tasks from one split only. No query may be
    shown itself, one of its images, or an entry with the same content under another name, be it from a pool or from the
    whole bank. Queries with beam data or rollouts (`trained_on`, example ids) are train queries; queries that choose
    epochs (`chosen_on`) are validation queries. Train and validation share neither question nor image with test; a
    picture that test has under another name is told by `shotsmith.data.twins`.
    """
    for some in tasks:
        _only(splits.bank, (example.id for example in some.index), "the bank", "bank")
        name = _split_of(splits, some.queries)
        _only(splits.named()[name], (query.id for query in some.queries), f"the {name} queries", name)
        _check_shown(some, name)
    _only(splits.train, trained_on, "training", "train")
    _only(splits.val, chosen_on, "the choice of epochs", "val")
    test_images = {example.image_id: example for example in splits.test}
    test_files = {image for example in splits.test if not is_inside(example) for image in example.images}
    test_ids = {example.id for example in splits.test}
    for example in (*splits.train, *splits.val):
        same = test_images.get(example.image_id)
        shared = (same is not None and not are_twins(example, same)) or not test_files.isdisjoint(example.images)
        if example.id in test_ids or shared:
            raise DataError("leaks: a test question or its image is also in another split", row=example.id)


def _split_of(splits: Splits, queries: Sequence[Example]) -> str:
    """The split that the first query is in."""
    first = {query.id for query in queries[:1]}
    return next((name for name, examples in splits.named().items() if first <= {e.id for e in examples}), "train")


def _only(allowed: Iterable[Example], used: Iterable[int], user: str, split: str) -> None:
    foreign = set(used) - {example.id for example in allowed}
    if foreign:
        raise DataError(f"leaks into {user}: it is not in the {split} split", row=min(foreign))


def _check_shown(tasks: Tasks, name: str) -> None:
    """Everything that equals a query is barred from it, or not in its pool."""
    pools = tasks.pools
    if pools is not None and pools.size and not 0 <= pools.min() <= pools.max() < len(tasks.index):
        raise DataError(f"the {name} pools point outside the index", field="pools")
    for row, (query, same) in enumerate(zip(tasks.queries, barred_rows(tasks.queries, tasks.index), strict=True)):
        shown = np.setdiff1d(same, tasks.barred_from(row)) if pools is None else np.intersect1d(same, pools[row])
        if len(shown):
            entry = tasks.index[shown[0]]
            raise DataError(
                f"leaks: the {name} query may be shown entry {entry.id} of the bank, which is the query itself, shows "
                "its image or has the same content",
                row=query.id,
            )
