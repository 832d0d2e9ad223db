import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shotsmith.vlms.qwen.prefixes import Plan, shared_beginnings

PROMPTS = st.lists(st.lists(st.integers(-2, 2), min_size=1, max_size=12), min_size=1, max_size=14)


def arrays(prompts):
    return [np.array(prompt, dtype=np.int64) for prompt in prompts]


def tokens(plan: Plan, prompts) -> int:
    """Tokens that are computed under a plan."""
    own = sum(one.length - plan.length(one.parent) for one in plan.beginnings)
    return own + sum(len(prompt) - plan.length(parent) for prompt, parent in zip(prompts, plan.parents, strict=True))


def cost(plan: Plan, prompts, pass_tokens: int) -> int:
    return tokens(plan, prompts) + 2 * pass_tokens * plan.levels


@given(PROMPTS, st.integers(0, 6))
def test_every_prompt_begins_with_what_it_continues_and_keeps_its_last_token(prompts, pass_tokens):
    plan = shared_beginnings(arrays(prompts), pass_tokens)
    assert len(plan.parents) == len(prompts)
    for prompt, parent in zip(prompts, plan.parents, strict=True):
        while parent >= 0:
            beginning = plan.beginnings[parent]
            assert prompt[: beginning.length] == prompts[beginning.prompt][: beginning.length]
            assert 0 < beginning.length < len(prompt)
            assert beginning.parent < parent
            assert plan.length(beginning.parent) < beginning.length
            assert beginning.depth == plan.depth(beginning.parent) + 1
            parent = beginning.parent


@given(PROMPTS, st.integers(0, 6))
def test_sharing_never_costs_more_than_it_saves(prompts, pass_tokens):
    plan = shared_beginnings(arrays(prompts), pass_tokens)
    alone = sum(map(len, prompts))
    assert cost(plan, prompts, pass_tokens) <= alone
    assert not plan.beginnings or cost(plan, prompts, pass_tokens) < alone


@given(PROMPTS)
def test_where_passes_are_free_every_common_token_is_computed_once(prompts):
    plan = shared_beginnings(arrays(prompts), 0)
    distinct = {tuple(prompt[:length]) for prompt in prompts for length in range(1, len(prompt))}
    assert tokens(plan, prompts) == len(distinct) + len(prompts)


@given(PROMPTS, st.integers(0, 6), st.randoms())
def test_the_tokens_computed_do_not_depend_on_the_order_of_the_prompts(prompts, pass_tokens, draws):
    shuffled = prompts[:]
    draws.shuffle(shuffled)
    plans = [shared_beginnings(arrays(given), pass_tokens) for given in (prompts, shuffled)]
    assert tokens(plans[0], prompts) == tokens(plans[1], shuffled)


@settings(max_examples=30)
@given(st.integers(2, 20), st.integers(1, 40), st.integers(1, 200))
def test_a_beginning_is_shared_exactly_where_that_saves_more_than_two_passes(prompts, shared, pass_tokens):
    given = [[7] * shared + [number, 9] for number in range(prompts)]
    plan = shared_beginnings(arrays(given), pass_tokens)
    assert bool(plan.beginnings) == ((prompts - 1) * shared > 2 * pass_tokens)


def test_a_further_level_must_pay_for_itself():
    parents = [[1] * 5 + [parent] * 40 for parent in range(3)]
    prompts = arrays([[*parent, 100 + number, 9] for parent in parents for number in range(10)])
    lengths = [[one.length for one in shared_beginnings(prompts, cost).beginnings] for cost in (4, 20, 700)]
    assert lengths == [[5, 45, 45, 45], [45, 45, 45], []]


def test_equal_prompts_share_all_but_their_last_token():
    plan = shared_beginnings(arrays([[1, 2, 3]] * 4), 0)
    assert [one.length for one in plan.beginnings] == [2]
    assert plan.parents == (0, 0, 0, 0)
