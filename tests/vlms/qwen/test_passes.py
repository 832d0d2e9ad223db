from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.vlms.qwen.passes import in_passes

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=8)


def cost(passes, lengths, pass_tokens):
    return sum(pass_tokens + len(one) * max(lengths[number] for number in one) for one in passes)


@given(LENGTHS, st.integers(0, 40), st.integers(0, 100), st.integers(0, 50))
def test_each_sequence_is_in_one_pass_and_none_exceeds_the_limit_but_alone(lengths, before, limit, pass_tokens):
    passes = in_passes(lengths, before, limit, pass_tokens)
    assert sorted(number for one in passes for number in one) == list(range(len(lengths)))
    for one in passes:
        assert len(one) == 1 or len(one) * (before + max(lengths[number] for number in one)) <= limit


@given(LENGTHS, st.integers(0, 50))
def test_no_other_way_to_cut_them_costs_less(lengths, pass_tokens):
    order = sorted(lengths)
    others = []
    for cuts in product([False, True], repeat=len(order) - 1):
        groups = [[0]]
        for number, cut in enumerate(cuts, start=1):
            groups.append([number]) if cut else groups[-1].append(number)
        others.append(cost(groups, order, pass_tokens))
    assert cost(in_passes(lengths, 0, 10**6, pass_tokens), lengths, pass_tokens) == min(others)


@pytest.mark.parametrize(("pass_tokens", "passes"), [(0, [[0, 2], [1]]), (100, [[0, 2, 1]])])
def test_padding_is_weighed_against_a_pass(pass_tokens, passes):
    assert in_passes([10, 30, 10], 0, 1000, pass_tokens) == passes


def test_nothing_is_no_pass():
    assert in_passes([], 0, 10) == []
