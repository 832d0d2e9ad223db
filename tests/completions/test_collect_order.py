from dataclasses import dataclass
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.completions.collect import order_requests
from shotsmith.completions.store import request_key
from shotsmith.records import Example, Request


@dataclass
class Measuring:
    """Measures prompts, or (a server) does not."""

    measures: bool = True
    identity: str = "one"
    batch_tokens: int = 100

    def length(self, request):
        return len(request.query.question) + 10 * len(request.demonstrations) if self.measures else 1

    def complete(self, requests):
        raise AssertionError


def example(question):
    return Example(0, (), 0, question, ("a",))


def requests_of(prompts):
    """From strings of demonstrations (a letter each) and queries."""
    letters = {letter: example(letter) for letter in "abcdef"}
    return [Request(example(query), tuple(letters[letter] for letter in shown)) for shown, query in prompts]


def keyed(requests):
    return {request_key(request, "one"): request for request in requests}


def shown(ordered):
    return ["".join(one.question for one in request.demonstrations) for _, _, request in ordered]


PROMPTS = st.lists(
    st.tuples(st.text("abcdef", max_size=4), st.text("xyz", min_size=1, max_size=5)),
    min_size=1,
    max_size=25,
    unique=True,
)


@given(PROMPTS, st.booleans(), st.randoms())
def test_the_order_is_fixed_by_what_is_asked_and_what_is_left_of_it_keeps_it(prompts, measures, draws):
    asked = requests_of(prompts)
    whole = order_requests(keyed(asked), keyed(asked), Measuring(measures))
    assert sorted(key for _, key, _ in whole) == sorted(keyed(asked))
    done = draws.randrange(len(whole) + 1)
    left = {key: request for _, key, request in whole[done:]}
    draws.shuffle(asked)
    assert order_requests(left, keyed(asked), Measuring(measures)) == whole[done:]


@pytest.mark.parametrize("measures", [True, False])
def test_candidates_after_one_beam_stand_together(measures):
    beams = ["ab", "ba", "cd"]
    prompts = [(beam + last, query) for last in "ef" for query in ("x", "yyy") for beam in beams]
    ordered = shown(order_requests(keyed(requests_of(prompts)), keyed(requests_of(prompts)), Measuring(measures)))
    assert [beam for beam, _ in groupby(one[:2] for one in ordered)] == beams


def test_where_nothing_is_shared_the_shortest_stand_first():
    asked = keyed(requests_of([("ab", "xxx"), ("cd", "x"), ("e", "xxxxx"), ("", "xx")]))
    lengths = [length for length, _, _ in order_requests(asked, asked, Measuring())]
    assert lengths == sorted(lengths)


def test_a_server_is_asked_for_prompts_with_the_same_demonstrations_one_after_the_other():
    asked = keyed(requests_of([(shown, query) for query in "xyz" for shown in ("abc", "abd", "b")]))
    ordered = shown(order_requests(asked, asked, Measuring(measures=False)))
    assert [one for one, _ in groupby(ordered)] == ["abc", "abd", "b"]


def test_demonstrations_already_answered_count_as_shared():
    asked = keyed(requests_of([("ab", "xxxx"), ("ac", "x"), ("bd", "xx")]))
    missing = {key: request for key, request in asked.items() if shown([(0, "", request)]) != ["ac"]}
    assert shown(order_requests(missing, asked, Measuring())) == ["bd", "ab"]


def test_a_beginning_that_saves_little_of_a_batch_does_not_part_prompts_of_one_length():
    prompts = [("ab", "xxxxxxxx"), ("ac", "x"), ("bd", "xx")]
    asked = keyed(requests_of(prompts))
    assert shown(order_requests(asked, asked, Measuring(batch_tokens=100))) == ["bd", "ac", "ab"]
    assert shown(order_requests(asked, asked, Measuring(batch_tokens=1000))) == ["ac", "bd", "ab"]
