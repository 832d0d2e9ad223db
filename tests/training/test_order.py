from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shotsmith.training.order import QueryOrder


@given(st.integers(1, 30), st.integers(0, 5))
def test_every_query_comes_once_in_each_pass(size, seed):
    order = QueryOrder(size, "grpo", seed)
    for _ in range(3):
        assert sorted(order.take(size)) == list(range(size))


@given(st.lists(st.integers(0, 9), max_size=8))
def test_the_cursor_alone_resumes_the_order_anywhere(counts):
    whole = QueryOrder(7, "grpo", 0).take(sum(counts) + 10)
    order = QueryOrder(7, "grpo", 0)
    for count in counts:
        order.take(count)
    assert QueryOrder(7, "grpo", 0, cursor=order.cursor).take(10) == whole[sum(counts) :]


def test_passes_seeds_and_phases_are_shuffled_differently():
    order = QueryOrder(50, "grpo", 0)
    drawn = [order.take(50), order.take(50), QueryOrder(50, "grpo", 1).take(50), QueryOrder(50, "rce", 0).take(50)]
    assert len({tuple(items) for items in drawn}) == 4
