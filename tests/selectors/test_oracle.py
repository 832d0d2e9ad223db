from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import pytest
from small_tasks import ScriptedVLM, make_tasks

from shotsmith.records import Completion, Failure, Request
from shotsmith.selectors.oracle import AlreadyTried, OracleResult, Trial, oracle
from shotsmith.selectors.protocol import Tasks

TASKS = make_tasks(queries=3, index=30, pool=20)


def vlm_that_knows(right: Callable[[int, tuple[int, ...]], float]) -> ScriptedVLM:
    """Answers right where `right(query row, positions)` is 1; its log-probability is that number minus 1."""

    def answer(request: Request) -> Completion:
        row = request.query.id - 100
        positions = {TASKS.index[index].id: position for position, index in enumerate(TASKS.pools[row])}
        grade = right(row, tuple(positions[example.id] for example in request.demonstrations))
        return Completion(
            request.query.answer if grade == 1 else "wrong", {text: grade - 1 for text in request.answers}
        )

    return ScriptedVLM(answer)


def search(
    vlm: ScriptedVLM, shots: tuple[int, ...], tries: int = 20, tried: AlreadyTried | None = None, tasks: Tasks = TASKS
) -> dict[tuple[int, int], OracleResult]:
    results = oracle(tasks, shots, tries, vlm.ask, tried or {})
    return {(result.query, result.shots): result for result in results}


def asked(vlm: ScriptedVLM, row: int, shots: int) -> list[tuple[int, ...]]:
    """The demonstrations that a query was asked with."""
    return [
        tuple(example.id for example in request.demonstrations)
        for call in vlm.calls
        for request in call
        if request.query.id == 100 + row and len(request.demonstrations) == shots
    ]


def test_one_shot_finds_the_only_right_candidate_and_stops() -> None:
    vlm = vlm_that_knows(lambda row, positions: float(positions == (5 * row,)))
    found = search(vlm, (1,))
    for row in range(3):
        best = found[row, 1].best
        assert best is not None and best.sequence == (5 * row,) and best.accuracy == 1
        assert found[row, 1].exact and len(asked(vlm, row, 1)) in (16, 20)


def test_where_the_vlm_gives_no_log_probabilities_none_are_asked_for_and_the_search_goes_on() -> None:
    vlm = vlm_that_knows(lambda row, positions: float(positions in ((5 * row,), (3, 17))))
    results = oracle(TASKS, (1, 2), 400, vlm.ask, {}, log_probs=False)
    assert {result.best.accuracy for result in results if result.best} == {1.0}
    assert all(request.text and not request.answers for call in vlm.calls for request in call)


def test_candidates_are_tried_by_similarity() -> None:
    vlm = vlm_that_knows(lambda row, positions: 0.0)
    search(vlm, (1,), tries=5)
    similarities = (
        TASKS.index_embeddings.images @ TASKS.query_embeddings.images[0]
        + TASKS.index_embeddings.questions @ TASKS.query_embeddings.questions[0]
    )
    expected = sorted(TASKS.pools[0].tolist(), key=lambda index: -similarities[index])[:5]
    assert asked(vlm, 0, 1) == [(TASKS.index[index].id,) for index in expected]


@pytest.mark.parametrize("needed", [(3, 17), (17, 3)])
def test_two_parts_are_found_in_the_one_order_that_works(needed: tuple[int, int]) -> None:
    def right(row: int, positions: tuple[int, ...]) -> float:
        return 1.0 if positions == needed else 0.3 * len(set(needed) & set(positions))

    found = search(vlm_that_knows(right), (1, 2), tries=64)
    for row in range(3):
        best = found[row, 2].best
        assert best is not None and best.sequence == needed
        assert found[row, 1].best is not None and found[row, 1].best.accuracy == 0 and found[row, 1].exact


def test_longer_sequences_extend_the_best_shorter_ones() -> None:
    wanted = (11, 2, 7, 15)

    def right(row: int, positions: tuple[int, ...]) -> float:
        if positions == wanted:
            return 1.0
        return 0.2 * len(positions) if positions in {wanted[i:j] for i in range(4) for j in range(i, 5)} else 0.01

    found = search(vlm_that_knows(right), (4,), tries=64)
    assert all(found[row, 4].best is not None and found[row, 4].best.sequence == wanted for row in range(3))
    assert set(found) == {(row, 4) for row in range(3)}


def test_nothing_is_asked_twice_and_the_promised_number_is_tried() -> None:
    vlm = vlm_that_knows(lambda row, positions: 0.0)
    found = search(vlm, (1, 2), tries=64)
    for row in range(3):
        assert len(asked(vlm, row, 1)) == 20 == found[row, 1].tries  # all there are
        assert len(asked(vlm, row, 2)) == 64 == len(set(asked(vlm, row, 2))) == found[row, 2].tries
        assert found[row, 1].exact and not found[row, 2].exact


def test_a_round_asks_all_open_queries_in_one_call() -> None:
    vlm = vlm_that_knows(lambda row, positions: float(row == 1))
    search(vlm, (1,))
    assert [len(call) for call in vlm.calls] == [48, 8]
    assert vlm.origins == ["evaluation"] * 2
    assert all(request.text and request.answers == (request.query.answer,) for request in vlm.calls[0])


def test_it_is_never_below_what_others_found() -> None:
    lucky = Trial((1, 2), TASKS.queries[0].answer, 1.0)
    empty = Trial((), TASKS.queries[1].answer, 1.0)
    vlm = vlm_that_knows(lambda row, positions: 0.0)
    found = search(vlm, (1, 2), tried={(0, 2): [lucky], (1, 2): [empty], (2, 2): [replace(lucky, accuracy=0.3)]})
    assert found[0, 2].best == lucky and found[0, 2].exact and not asked(vlm, 0, 2)
    assert found[1, 2].best == empty and not asked(vlm, 1, 2)
    assert found[2, 2].best is not None and found[2, 2].best.accuracy == 0.3 and len(asked(vlm, 2, 2)) == 20


def test_what_others_found_is_extended_even_where_nothing_was_asked() -> None:
    tried = {(0, 1): [Trial((4,), TASKS.queries[0].answer, 1.0), Trial((9,), "wrong", 0.0)]}
    vlm = vlm_that_knows(lambda row, positions: float(len(positions) == 2 and positions in {(4, 9), (9, 4)}))
    search(vlm, (1, 2), tried=tried)
    best = [TASKS.index[TASKS.pools[0][position]].id for position in (4, 9)]
    assert asked(vlm, 0, 2)[:2] == [tuple(best), tuple(best[::-1])] and not asked(vlm, 0, 1)


def test_a_disputed_question_is_done_at_the_best_accuracy_it_allows() -> None:
    answers = ("red",) * 2 + tuple(f"other {number}" for number in range(8))
    query = replace(TASKS.queries[0], answers=answers)
    tasks = replace(TASKS, queries=(query, *TASKS.queries[1:]))
    vlm = ScriptedVLM(lambda request: Completion("red", {text: -1.0 for text in request.answers}))
    result = search(vlm, (1,), tasks=tasks)[0, 1]
    assert result.exact and result.best is not None and 0 < result.best.accuracy < 1
    assert len(asked(vlm, 0, 1)) == 16


def test_failures_are_counted_and_never_scored() -> None:
    vlm = ScriptedVLM(
        lambda request: Failure("no") if request.query.id == 100 else Completion("wrong", {request.query.answer: -1.0})
    )
    found = search(vlm, (1, 2))
    assert found[0, 1].best is None and found[0, 1].failures == 20 and found[0, 1].tries == 0
    assert not found[0, 1].exact and found[0, 2].best is None
    assert found[1, 1].best is not None and found[1, 1].best.accuracy == 0


def test_enough_tries_of_pairs_give_the_true_maximum() -> None:
    pool = 5
    tasks = replace(TASKS, pools=TASKS.pools[:, :pool])
    pairs = list(permutations(range(pool), 2))

    def right(row: int, positions: tuple[int, ...]) -> float:
        return float(positions == pairs[7 * row + 3])

    found = search(vlm_that_knows(right), (2,), tries=len(pairs), tasks=tasks)
    for row in range(3):
        best = found[row, 2].best
        assert best is not None and best.sequence == pairs[7 * row + 3]
