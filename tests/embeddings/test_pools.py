from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from small_tasks import make_example, random_embeddings

from shotsmith.embeddings.embedded import Embedded
from shotsmith.embeddings.nearest import Rows, most_similar
from shotsmith.embeddings.pools import SAMPLERS, draw_pools, draw_random, load_or_draw, recall, seeded_generator
from shotsmith.errors import DataError
from shotsmith.recipe import PoolSettings
from shotsmith.records import Example

INDEX = tuple(make_example(number) for number in range(40))
INDEX_EMBEDDINGS = random_embeddings(40, seed=3)


def settings(sampler: str, size: int = 8, seed: int = 0) -> PoolSettings:
    return PoolSettings.model_validate({"sampler": sampler, "size": size, "seed": seed})


def train_pools(sampler: str, rows: Sequence[int], size: int = 8, index: Sequence[Example] = INDEX) -> Rows:
    """Pools of training queries: rows of the index itself."""
    queries = [index[row] for row in rows]
    embeddings = INDEX_EMBEDDINGS.rows(np.array(rows, dtype=np.int64))
    return draw_pools(settings(sampler, size), queries, index, embeddings, INDEX_EMBEDDINGS)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_pool_holds_distinct_rows_of_the_index(sampler: str) -> None:
    pools = train_pools(sampler, range(40))
    assert pools.shape == (40, 8) and pools.dtype == np.int64
    assert all(len(set(pool)) == 8 for pool in pools.tolist())
    assert pools.min() >= 0 and pools.max() < 40


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_pool_never_shows_the_query_or_its_image(sampler: str) -> None:
    index = tuple(replace(example, image_id=example.id // 4) for example in INDEX)
    pools = train_pools(sampler, range(40), size=36, index=index)
    for query, pool in zip(index, pools, strict=True):
        assert all(index[row].image_id != query.image_id and index[row].id != query.id for row in pool)


@pytest.mark.parametrize("sampler", SAMPLERS)
@given(rows=st.lists(st.integers(0, 39), min_size=1, max_size=6, unique=True))
def test_a_pool_does_not_depend_on_the_other_queries(sampler: str, rows: list[int]) -> None:
    together = train_pools(sampler, range(40))
    np.testing.assert_array_equal(train_pools(sampler, rows), together[rows])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_too_small_an_index_is_a_data_error(sampler: str) -> None:
    assert train_pools(sampler, [0], size=39).shape == (1, 39)
    with pytest.raises(DataError, match="only 39 of 40"):
        train_pools(sampler, [0], size=40)


def test_random_pools_follow_the_seed_and_differ_between_queries() -> None:
    embeddings = INDEX_EMBEDDINGS.rows(np.arange(2))
    first, other = (
        draw_pools(settings("random", seed=seed), INDEX[:2], INDEX, embeddings, INDEX_EMBEDDINGS) for seed in (0, 1)
    )
    assert first.tolist() != other.tolist()
    assert first[0].tolist() != first[1].tolist()


def test_random_pools_draw_every_candidate_alike() -> None:
    queries = [make_example(number) for number in range(1000, 2000)]
    embeddings = random_embeddings(1000, seed=5)
    pools = draw_pools(settings("random", size=10), queries, INDEX, embeddings, INDEX_EMBEDDINGS)
    counts = np.bincount(pools.ravel(), minlength=40)
    assert abs(counts - 250).max() < 75  # five standard deviations


@pytest.mark.parametrize(
    ("sampler", "image_weight", "text_weight"),
    [("image_similar", 1, 0), ("text_similar", 0, 1), ("mixed", 1, 1)],
)
def test_similar_pools_are_the_most_similar_first(sampler: str, image_weight: float, text_weight: float) -> None:
    queries = [make_example(number) for number in range(100, 104)]
    embeddings = random_embeddings(4, seed=6)
    pools = draw_pools(settings(sampler), queries, INDEX, embeddings, INDEX_EMBEDDINGS)
    cosines = image_weight * embeddings.images.astype(float) @ INDEX_EMBEDDINGS.images.T
    cosines += text_weight * embeddings.questions.astype(float) @ INDEX_EMBEDDINGS.questions.T
    np.testing.assert_array_equal(pools, np.argsort(-cosines, axis=1)[:, :8])


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30), st.data())
def test_ties_go_to_the_lower_row(values: list[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(values)))
    expected = sorted(range(len(values)), key=lambda row: (-values[row], row))[:count]
    assert most_similar(np.array(values, dtype=np.float32) / 3, count).tolist() == expected


def test_pools_are_kept_until_something_they_follow_from_changes(tmp_path: Path) -> None:
    file, queries = tmp_path / "pools" / "train.safetensors", INDEX[:3]
    embeddings = INDEX_EMBEDDINGS.rows(np.arange(3))
    drawn = load_or_draw(file, settings("random"), queries, INDEX, embeddings, INDEX_EMBEDDINGS)
    written = file.stat().st_mtime_ns
    kept = load_or_draw(file, settings("random"), queries, INDEX, embeddings, INDEX_EMBEDDINGS)
    assert file.stat().st_mtime_ns == written
    np.testing.assert_array_equal(drawn, kept)
    others: list[tuple[PoolSettings, Sequence[Example], Sequence[Example], Embedded]] = [
        (settings("random", seed=1), queries, INDEX, embeddings),
        (settings("random", size=9), queries, INDEX, embeddings),
        (settings("mixed"), queries, INDEX, embeddings),
        (settings("random"), INDEX[3:6], INDEX, embeddings),
        (settings("random"), queries, INDEX[::-1], embeddings),
        (settings("mixed"), queries, INDEX, random_embeddings(3, seed=9)),
    ]
    for setting, some, index, query_embeddings in others:
        before = file.stat().st_mtime_ns
        pools = load_or_draw(file, setting, some, index, query_embeddings, INDEX_EMBEDDINGS)
        assert file.stat().st_mtime_ns != before
        expected = draw_pools(setting, some, index, query_embeddings, INDEX_EMBEDDINGS)
        np.testing.assert_array_equal(pools, expected)


@pytest.mark.parametrize("kind", ["exact", "ivf"])
def test_the_mix_is_half_random_a_quarter_by_text_and_a_quarter_by_image(kind: str, tmp_path: Path) -> None:
    made = PoolSettings.model_validate({"sampler": "mix_sampler", "size": 18, "index": kind, "probes": 30})
    rows = np.arange(0, 900, 90)
    queries, embeddings = [MANY[row] for row in rows], MANY_EMBEDDINGS.rows(rows)
    pools = draw_pools(made, queries, MANY, embeddings, MANY_EMBEDDINGS, tmp_path)
    by_text, by_image = (searched(sampler, rows.tolist(), size=8) for sampler in ("text_similar", "image_similar"))
    np.testing.assert_array_equal(pools[:, 10:14], by_text[:, :4])
    for pool, text, image in zip(pools.tolist(), by_text.tolist(), by_image.tolist(), strict=True):
        assert pool[14:] == [row for row in image if row not in text[:4]][:4]
        assert len(set(pool)) == 18
        assert len(set(pool[:10]) & {*text, *image}) < 5
    other = made.model_copy(update={"seed": 1})
    again = draw_pools(other, queries, MANY, embeddings, MANY_EMBEDDINGS, tmp_path)
    assert (again[:, 10:] == pools[:, 10:]).all() and (again[:, :10] != pools[:, :10]).any()


def test_without_images_pools_are_drawn_by_text_and_none_by_image() -> None:
    bare = Embedded(np.zeros((40, 0), dtype=np.float32), INDEX_EMBEDDINGS.questions)
    drawn = {name: draw_pools(settings(name), INDEX, INDEX, bare, bare) for name in ("text_similar", "mixed")}
    np.testing.assert_array_equal(drawn["text_similar"], train_pools("text_similar", range(40)))
    np.testing.assert_array_equal(drawn["mixed"], drawn["text_similar"])
    for name in ("image_similar", "mix_sampler"):
        with pytest.raises(DataError, match="no images to compare"):
            draw_pools(settings(name), INDEX, INDEX, bare, bare)


def clustered(count: int, seed: int) -> Embedded:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((12, 2, 16))
    sides = centres[rng.integers(0, 12, count)] + 0.4 * rng.standard_normal((count, 2, 16))
    sides /= np.linalg.norm(sides, axis=2, keepdims=True)
    images, questions = (np.ascontiguousarray(sides[:, side], dtype=np.float32) for side in (0, 1))
    return Embedded(images, questions)


MANY = tuple(replace(make_example(number), image_id=number // 3) for number in range(900))
MANY_EMBEDDINGS = clustered(900, seed=1)
SIMILAR = ("image_similar", "text_similar", "mixed")


def searched(sampler: str, rows: Sequence[int], **more: object) -> Rows:
    made = PoolSettings.model_validate({"sampler": sampler, "size": 8, **more})
    embeddings = MANY_EMBEDDINGS.rows(np.array(rows, dtype=np.int64))
    return draw_pools(made, [MANY[row] for row in rows], MANY, embeddings, MANY_EMBEDDINGS)


@pytest.mark.parametrize("sampler", SIMILAR)
@pytest.mark.parametrize("setting", [{"index": "flat"}, {"index": "ivf", "probes": 30}])
def test_a_search_of_all_lists_finds_what_exact_search_finds(sampler: str, setting: dict[str, object]) -> None:
    exact = searched(sampler, range(150), index="exact")
    np.testing.assert_array_equal(searched(sampler, range(150), **setting), exact)


@pytest.mark.parametrize("sampler", SIMILAR)
def test_few_lists_find_most_and_keep_the_rules(sampler: str) -> None:
    exact, found = (searched(sampler, range(100), index=index, probes=8) for index in ("exact", "ivf"))
    assert 0.8 < recall(found, exact) <= 1
    for row, pool in enumerate(found):
        assert len(set(pool)) == 8 and all(MANY[one].image_id != MANY[row].image_id for one in pool)


@pytest.mark.parametrize("kind", ["flat", "ivf"])
@settings_of_hypothesis(max_examples=8)
@given(rows=st.lists(st.integers(0, 899), min_size=1, max_size=5, unique=True))
def test_a_searched_pool_does_not_depend_on_the_other_queries(kind: str, rows: list[int]) -> None:
    np.testing.assert_array_equal(searched("text_similar", rows, index=kind, probes=2), everyone(kind)[rows])


@cache
def everyone(kind: str) -> Rows:
    return searched("text_similar", range(900), index=kind, probes=2)


@pytest.mark.parametrize("kind", ["exact", "flat", "ivf"])
def test_equal_embeddings_go_to_the_lower_rows(kind: str) -> None:
    alike = MANY_EMBEDDINGS.rows(np.zeros(900, dtype=np.int64))
    made = PoolSettings.model_validate({"sampler": "mixed", "size": 8, "index": kind, "probes": 30})
    query = Embedded(alike.images[:1], alike.questions[:1])
    pools = draw_pools(made, [make_example(5000)], MANY[:12], query, alike.rows(np.arange(12)))
    assert pools.tolist() == [list(range(8))]


def test_lists_that_hold_too_few_are_made_up_for_by_exact_search() -> None:
    exact, found = (searched("text_similar", range(20), index=index, probes=1, size=400) for index in ("exact", "ivf"))
    np.testing.assert_array_equal(found, exact)


def test_an_index_is_built_once_and_anew_when_the_embeddings_change(tmp_path: Path) -> None:
    made = PoolSettings.model_validate({"sampler": "text_similar", "size": 8, "index": "ivf"})

    def drawn(embeddings: Embedded, split: str) -> str:
        query = embeddings.rows(np.arange(3))
        load_or_draw(tmp_path / f"{split}.safetensors", made, MANY[:3], MANY, query, embeddings)
        (file,) = tmp_path.glob("ivf-*.faiss")
        return f"{file.name} {file.stat().st_mtime_ns}"

    first = drawn(MANY_EMBEDDINGS, "train")
    assert drawn(MANY_EMBEDDINGS, "test") == first
    assert drawn(clustered(900, seed=2), "train").split()[0] != first.split()[0]


def test_random_pools_are_those_of_a_draw_among_the_allowed_rows() -> None:
    barred = np.array([0, 7, 8, 39], dtype=np.int64)
    allowed = np.delete(np.arange(40), barred)
    for query in range(50):
        expected = seeded_generator("pool", 3, query).choice(allowed, 12, replace=False)
        np.testing.assert_array_equal(draw_random(query, 40, barred, 12, 3), expected)
