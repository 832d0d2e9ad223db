from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.errors import InputError
from shotsmith.training.seeding import QueryOrder


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


masks = st.lists(st.booleans(), min_size=1, max_size=12).filter(any)


@given(mask=masks, count=st.integers(0, 30))
def test_the_eligible_come_in_the_order_they_would_come_anyway(mask, count):
    plain = QueryOrder(len(mask), "grpo", 0).take(len(mask) * 31)
    expected = [item for item in plain if mask[item]][:count]
    assert QueryOrder(len(mask), "grpo", 0).take(count, torch.tensor(mask)) == expected


@given(takes=st.lists(st.tuples(masks, st.integers(0, 6)), min_size=1, max_size=5))
def test_the_cursor_alone_resumes_the_order_while_the_eligible_change(takes):
    size = 12
    order = QueryOrder(size, "grpo", 0)
    for mask, count in takes:
        eligible = torch.tensor(mask + [False] * (size - len(mask)))
        resumed = QueryOrder(size, "grpo", 0, cursor=order.cursor)
        assert resumed.take(count, eligible) == order.take(count, eligible)
        assert resumed.cursor == order.cursor


def test_all_eligible_is_no_restriction_and_leaves_the_same_cursor():
    plain, masked = QueryOrder(9, "grpo", 0), QueryOrder(9, "grpo", 0)
    assert plain.take(13) == masked.take(13, torch.ones(9, dtype=torch.bool))
    assert plain.cursor == masked.cursor == 13


def test_nothing_eligible_is_an_error_and_no_endless_search():
    with pytest.raises(InputError, match="eligible"):
        QueryOrder(5, "grpo", 0).take(1, torch.zeros(5, dtype=torch.bool))
