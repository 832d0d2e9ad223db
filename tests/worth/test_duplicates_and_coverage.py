"""Near-duplicates, regions that lack examples, groups of the data, and the map."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shotsmith.embeddings.embedded import Embedded
from shotsmith.records import Example
from shotsmith.worth.asked import AskedPrompt
from shotsmith.worth.coverage import near_entries, regions
from shotsmith.worth.duplicates import near_duplicates
from shotsmith.worth.groups import compare_groups
from shotsmith.worth.layout import layout


def example(
    number: int, question: str = "what?", answer: str = "x", image: str | None = None, kind: str = ""
) -> Example:
    return Example(number, (Path(image or f"{number}.png"),), number, question, (answer,), kind)


def unit(*rows: tuple[float, ...]) -> np.ndarray:
    table = np.array(rows, dtype=np.float32)
    return np.asarray(table / np.linalg.norm(table, axis=1, keepdims=True))


def test_near_duplicates_ask_the_same_of_nearly_the_same_picture() -> None:
    bank = [example(0), example(1), example(2, "why?"), example(3), example(4, image="3.png", answer="y")]
    images = unit((1, 0), (1, 0.01), (1, 0), (0, 1), (1, 1))
    found = near_duplicates(bank, Embedded(images, unit(*[(1.0,)] * 5)))
    assert found.members == {0: (0, 1), 3: (3, 4)}
    assert found.of(1) == (0,) and found.of(2) == ()
    assert found.contradictory(bank) == [3]


def test_without_embeddings_the_same_files_are_duplicates() -> None:
    found = near_duplicates([example(0), example(1, image="0.png"), example(2)], None)
    assert found.members == {0: (0, 1)}


def test_a_chain_of_near_duplicates_is_one_group() -> None:
    angles = np.arange(6) * 0.2
    images = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = near_duplicates([example(n) for n in range(6)], Embedded(images, unit(*[(1.0,)] * 6)))
    assert found.members == {0: (0, 1, 2, 3, 4, 5)}


def test_a_region_that_lacks_examples_is_found_and_one_that_is_hard_but_covered_is_not() -> None:
    rng = np.random.default_rng(0)
    centres = unit((1, 0, 0), (0, 1, 0), (0, 0, 1))
    place = np.repeat([0, 1, 2], 40)
    images = centres[place] + 0.05 * rng.normal(size=(120, 3)).astype(np.float32)
    queries = Embedded(images, unit(*[(1.0,)] * 120))
    scores = np.where(place == 2, 95.0, 20.0) + rng.normal(0, 5, 120)
    bank = Embedded(np.repeat(centres[1:], 30, axis=0), unit(*[(1.0,)] * 60))
    near = near_entries(queries, bank, np.ones(60, dtype=bool))
    assert near[place == 0].mean() < 1 < 10 < near[place == 1].mean()
    asks = [example(n, f"question {place[n]}") for n in range(120)]
    found = regions(asks, queries, scores, near)
    assert {region.questions[0] for region in found if region.lacking} == {"question 0"}
    assert {region.questions[0] for region in found if not region.lacking} == {"question 1", "question 2"}


def test_entries_that_cannot_be_used_cover_nothing() -> None:
    queries = Embedded(unit((1, 0)), unit((1.0,)))
    bank = Embedded(unit((1, 0), (0, 1)), unit((1.0,), (1.0,)))
    assert near_entries(queries, bank, np.zeros(2, dtype=bool)).tolist() == [0]


def test_the_group_of_a_careless_source_stands_out() -> None:
    bank = [example(n, image=f"{'web' if n % 3 else 'scan'}_{n}.png", kind="k") for n in range(90)]
    wrong = np.array([0.9 if n % 3 == 0 else 0.02 for n in range(90)])
    asked = [AskedPrompt("train", q, (n,), "", float(n % 3 > 0)) for q in range(10) for n in range(6)]
    found = compare_groups(bank, asked, wrong, None)
    worst = found[0]
    assert (worst.attribute, worst.name, worst.entries, worst.worse) == ("name_prefix", "scan", 30, True)
    assert worst.value is not None and worst.value.value == -1.0 and all(row % 3 == 0 for row in worst.examples)
    assert not any(group.worse for group in found[1:])


def test_an_attribute_that_names_every_entry_is_no_group() -> None:
    bank = [example(n, image=f"name {chr(97 + n % 26)}{chr(97 + n // 26)}_{n}.png") for n in range(200)]
    assert compare_groups(bank, [], None, None) == []


def test_neighbours_stay_together_on_the_map_and_the_map_stays_the_same() -> None:
    rng = np.random.default_rng(0)
    place = np.repeat([0, 1, 2, 3], 30)
    images = np.eye(4, 8, dtype=np.float32)[place] + 0.05 * rng.normal(size=(120, 8)).astype(np.float32)
    given = [
        Embedded(images[:100], np.ones((100, 1), np.float32)),
        Embedded(images[100:], np.ones((20, 1), np.float32)),
    ]
    one, other = layout(given), layout(given)
    assert [len(some) for some in one] == [100, 20]
    places = np.concatenate(one)
    assert np.abs(places).max() <= 1 and all((a == b).all() for a, b in zip(one, other, strict=True))
    centres = np.array([places[place == number].mean(axis=0) for number in range(4)])
    spread = max(places[place == number].std() for number in range(4))
    apart = min(np.linalg.norm(a - b) for i, a in enumerate(centres) for b in centres[:i])
    assert apart > 2 * spread


def test_a_map_of_two_points_or_of_equal_ones_is_finite() -> None:
    for count in (1, 2, 40):
        (places,) = layout([Embedded(np.ones((count, 2), np.float32), np.ones((count, 1), np.float32))])
        assert np.isfinite(places).all()
