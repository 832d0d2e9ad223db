"""An untrained policy with the default settings is mixed similarity search over the whole bank."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import make_example

from shotsmith.data.barring import barred_rows
from shotsmith.data.load import load_splits
from shotsmith.data.world import make_world
from shotsmith.embeddings.cached import embed_examples
from shotsmith.embeddings.load import load_encoder
from shotsmith.policies.pointer import build_policy
from shotsmith.recipe import EncoderSettings, PolicySettings
from shotsmith.recipe.data import DataSettings
from shotsmith.selectors.policy import PolicySelector
from shotsmith.selectors.protocol import Embedded, Tasks
from shotsmith.selectors.similar import mixed

SHOTS = range(1, 9)


def untrained(tasks: Tasks, seed: int = 0, **settings: object) -> PolicySelector:
    width = tasks.index_embeddings.table.shape[1]
    return PolicySelector("grpo", build_policy(PolicySettings(**settings), width, seed))


def unit_rows(rng: np.random.Generator, count: int, width: int) -> np.ndarray:
    rows = rng.standard_normal((count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(
    widths=st.tuples(st.integers(3, 40), st.integers(3, 40)),
    hidden=st.sampled_from([2, 8, 32, 100]),
    bank=st.integers(8, 60),
    shortlist=st.integers(8, 70),
    seed=st.integers(0, 1000),
)
def test_on_random_embeddings_whatever_the_widths_and_the_seed(widths, hidden, bank, shortlist, seed):
    rng = np.random.default_rng(seed)
    queries, index = (Embedded(*(unit_rows(rng, count, width) for width in widths)) for count in (3, bank))
    barred = (np.arange(0, dtype=np.int64), np.array([bank - 1]), np.array([0, 1]))
    examples = tuple(map(make_example, range(bank)))
    tasks = Tasks(examples[:3], examples, None, queries, index, barred=barred)
    policy = untrained(tasks, seed, hidden_size=hidden, shortlist=shortlist)
    for shots in (1, 2, 6):
        assert policy.select(tasks, shots) == mixed().select(tasks, shots)


@pytest.mark.parametrize(
    "changes", [{"memory": "gpt2"}, {"scorer": "additive"}, {"layers": 1}, {"prior": False}], ids=str
)
def test_with_other_parts_too(changes):
    rng = np.random.default_rng(0)
    queries, index = (Embedded(unit_rows(rng, count, 20), unit_rows(rng, count, 12)) for count in (5, 80))
    examples = tuple(map(make_example, range(80)))
    tasks = Tasks(examples[:5], examples, None, queries, index)
    policy = untrained(tasks, hidden_size=16, shortlist=10, **changes)
    assert [policy.select(tasks, shots) for shots in SHOTS] == [mixed().select(tasks, shots) for shots in SHOTS]


def test_on_the_built_in_data_with_the_shipped_encoder(tmp_path):
    settings = DataSettings(world={"seed": 4, "bank": 400, "train": 20, "val": 4, "test": 60})
    make_world(tmp_path / "world", settings.world)
    splits, encoder = load_splits(settings, tmp_path / "world"), load_encoder(EncoderSettings())
    queries, bank = (
        embed_examples(examples, encoder, tmp_path / f"{name}.safetensors")
        for name, examples in (("test", splits.test), ("bank", splits.bank))
    )
    tasks = Tasks(splits.test, splits.bank, None, queries, bank, barred=barred_rows(splits.test, splits.bank))
    policy = untrained(tasks)
    for shots in SHOTS:
        assert policy.select(tasks, shots) == mixed().select(tasks, shots)
