"""One sequence for all queries: which is chosen, on what, and what is shown where it must not be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_tasks import ScriptedVLM, make_tasks

from shotsmith.errors import InputError
from shotsmith.records import Completion, Failure, Request
from shotsmith.selectors.fixed import Fixed, choose_fixed
from shotsmith.selectors.protocol import Tasks


@pytest.fixture
def tasks() -> Tasks:
    return replace(make_tasks(queries=6, index=40), pools=None)


def right_after(*rows: int) -> ScriptedVLM:
    """Right where one of these rows of the bank is shown."""

    def answer(request: Request) -> Completion:
        shown = {example.id for example in request.demonstrations}
        return Completion(request.query.answer if shown & set(rows) else "wrong")

    return ScriptedVLM(answer)


def test_the_sequence_that_does_best_on_validation_queries_is_kept(tasks: Tasks) -> None:
    everything = choose_fixed(tasks, (2,), right_after().ask, tries=9, queries=6)
    tried = {row for request in [*right_tries(tasks, 9)] for row in request}
    wanted = max(tried - set(everything.sequences[2]))
    found = choose_fixed(tasks, (2,), right_after(wanted).ask, tries=9, queries=6)
    assert wanted in found.sequences[2]
    assert found.select(tasks, 2) == [found.left_out[2, query.id] for query in tasks.queries]


def right_tries(tasks: Tasks, tries: int) -> set[tuple[int, ...]]:
    """The sequences that are tried."""
    vlm = right_after()
    choose_fixed(tasks, (2,), vlm.ask, tries=tries, queries=1)
    return {tuple(example.id for example in request.demonstrations) for request in vlm.calls[0]}


def test_the_search_costs_what_it_says_and_is_the_same_every_time(tasks: Tasks) -> None:
    vlm = right_after(3)
    first = choose_fixed(tasks, (1, 2), vlm.ask, tries=5, queries=4)
    assert sum(map(len, vlm.calls)) == 5 * 4 * 2
    assert choose_fixed(tasks, (1, 2), right_after(3).ask, tries=5, queries=4) == first
    assert {len(sequence) for sequence in right_tries(tasks, 7)} == {2} and len(right_tries(tasks, 7)) == 7


def test_a_query_it_was_chosen_on_is_shown_what_the_others_would_choose(tasks: Tasks) -> None:
    tried = sorted(right_tries(tasks, 4))

    def lucky(request: Request) -> Completion:
        shown = tuple(example.id for example in request.demonstrations)
        luck = request.query.id == 100 and shown == tried[3]
        return Completion(request.query.answer if luck else "wrong")

    found = choose_fixed(tasks, (2,), ScriptedVLM(lucky).ask, tries=4, queries=6)
    assert found.sequences[2] == tried[3]
    assert found.select(tasks, 2)[0] != tried[3] and found.select(tasks, 2)[1] == tried[3]


def test_failures_are_left_out_of_the_means(tasks: Tasks) -> None:
    def answer(request: Request) -> Completion | Failure:
        if request.query.id == 100:
            return Failure("no")
        return right_after(*range(20)).answer(request)

    assert choose_fixed(tasks, (1,), ScriptedVLM(answer).ask, tries=6, queries=6).sequences[1][0] < 20


def test_what_a_query_must_not_be_shown_is_replaced(tasks: Tasks) -> None:
    fixed = Fixed({2: (7, 8)}, spare=(8, 9, 3))
    barred = replace(tasks, barred=[np.array([8, 9]), *[np.array([], dtype=np.int64)] * 5])
    assert fixed.select(barred, 2)[:2] == [(3, 7), (7, 8)]


def test_pools_and_unknown_shots_are_refused(tasks: Tasks) -> None:
    with pytest.raises(InputError, match="pools"):
        Fixed({1: (3,)}).select(make_tasks(), 1)
    with pytest.raises(InputError, match="no fixed sequence of 2"):
        Fixed({1: (3,)}).select(tasks, 2)
