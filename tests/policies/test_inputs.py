from __future__ import annotations

import numpy as np
import pytest
import torch

from shotsmith.errors import InputError
from shotsmith.policies.inputs import InputsTable


def table(**changes):
    values = {
        "queries": np.arange(6, dtype=np.float32).reshape(3, 2),
        "index": np.arange(10, dtype=np.float32).reshape(5, 2) + 100,
        "pools": np.array([[0, 1, 2], [4, 3, -1], [2, 2, 0]]),
    }
    return InputsTable(**(values | changes))


def test_a_batch_gathers_each_query_its_own_pool_in_the_order_asked_for():
    batch = table().batch([1, 0])
    assert batch.queries.tolist() == [[2, 3], [0, 1]]
    assert batch.candidates[0, :2].tolist() == [[108, 109], [106, 107]]
    assert batch.candidates[1].tolist() == [[100, 101], [102, 103], [104, 105]]
    assert batch.mask.tolist() == [[True, True, False], [True, True, True]]
    assert batch.queries.dtype == batch.candidates.dtype == torch.float32


def test_memory_mapped_embeddings_give_the_same_batch(tmp_path):
    plain = table()
    np.save(tmp_path / "index.npy", plain.index)
    mapped = table(index=np.load(tmp_path / "index.npy", mmap_mode="r"))
    assert torch.equal(mapped.batch([2, 1]).candidates, plain.batch([2, 1]).candidates)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"index": np.zeros((5, 3), np.float32)}, "do not fit together"),
        ({"pools": np.zeros((2, 3), np.int64)}, "do not fit 3 queries"),
        ({"pools": np.full((3, 2), 5)}, "outside an index of 5"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(changes, problem):
    with pytest.raises(InputError, match=problem):
        table(**changes)
