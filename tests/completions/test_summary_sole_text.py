"""Whether all texts of a store are one and the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from shotsmith.completions.store import Store
from shotsmith.completions.summary import MIN_COMPLETIONS, sole_text
from shotsmith.records import Completion


def put(store: Store, texts: list[str | None], origin: str = "rollouts/0") -> None:
    first = store.count("")
    store.put_many(
        [(f"{first + n:064x}", Completion(text, {} if text else {"a": -1.0})) for n, text in enumerate(texts)], origin
    )


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["Yes.", "yes"] * (MIN_COMPLETIONS // 2), MIN_COMPLETIONS),
        (["yes"] * MIN_COMPLETIONS + ["no"], None),
        (["yes"] * (MIN_COMPLETIONS - 1), None),
        ([None] * MIN_COMPLETIONS, None),
        ([None] * 9 + ["yes"] * MIN_COMPLETIONS, MIN_COMPLETIONS),
        ([str(number) for number in range(MIN_COMPLETIONS)], None),
    ],
)
def test_one_text_however_spelled_is_found(tmp_path: Path, texts: list[str | None], found: int | None) -> None:
    with Store.open(tmp_path / "completions.sqlite") as store:
        put(store, texts)
        told = sole_text(store)
    assert (told and told[1]) == found


def test_what_others_asked_for_in_a_shared_store_does_not_count(tmp_path: Path) -> None:
    with Store.open(tmp_path / "completions.sqlite") as store:
        put(store, ["yes"] * MIN_COMPLETIONS, "ours:rollouts/0")
        put(store, ["no", "blue"], "theirs:rollouts/0")
        assert sole_text(store, "ours:") == ("yes", MIN_COMPLETIONS) and sole_text(store) is None
