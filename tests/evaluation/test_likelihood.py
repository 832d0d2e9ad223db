"""Where the options' log-probabilities decide what was answered, in evaluation, search and vote."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_tasks import ScriptedVLM, make_tasks

from shotsmith.evaluation.evaluate import Entrant, evaluate, evaluate_oracle
from shotsmith.evaluation.majority_vote import majority_votes
from shotsmith.metrics.measure import measure_of
from shotsmith.records import Completion, Failure, Request
from shotsmith.selectors.fixed import choose_fixed
from shotsmith.selectors.protocol import Tasks
from shotsmith.selectors.similar import mixed

OPTIONS = ("A", "B", "C")


def choices() -> Tasks:
    tasks = make_tasks()
    queries = tuple(replace(one, answers=("BCA"[n % 3],), options=OPTIONS) for n, one in enumerate(tasks.queries))
    index = tuple(replace(one, answers=("B",), options=OPTIONS) for one in tasks.index)
    return replace(tasks, queries=queries, index=index, measure=measure_of("choice_likelihood"))


def by_demonstration(request: Request) -> Completion:
    """Finds the option likeliest that the first demonstration's number says; B without one."""
    favourite = OPTIONS[request.demonstrations[0].id % 3] if request.demonstrations else "B"
    return Completion(None, {option: -0.1 if option == favourite else -2.0 for option in request.answers})


def test_the_options_are_asked_about_and_the_likeliest_is_the_answer():
    tasks, vlm = choices(), ScriptedVLM(by_demonstration)
    results = evaluate(tasks, [Entrant(mixed())], [1], vlm.ask)
    assert all(request.answers == OPTIONS and not request.text for call in vlm.calls for request in call)
    for result, query in zip(results, tasks.queries, strict=True):
        assert result.text == OPTIONS[result.sequence[0] % 3]
        assert result.value("choice_likelihood") == float(result.text in query.answers)


def test_the_oracle_finds_a_right_option_where_there_is_one_and_is_never_below_a_selector():
    tasks, vlm = choices(), ScriptedVLM(by_demonstration)
    results = evaluate(tasks, [Entrant(mixed())], [1], vlm.ask)
    for log_probs in (True, False):
        bound = evaluate_oracle(tasks, results, [1], 10, vlm.ask, log_probs=log_probs)
        assert [one.value("choice_likelihood") for one in bound] == [1.0] * len(tasks.queries)
        assert [one.text for one in bound] == [query.answer for query in tasks.queries]


@pytest.mark.parametrize("lost", [Failure("lost"), Completion("B", {"A": -1.0})])
def test_an_option_without_a_log_probability_is_a_failure_and_no_answer(lost: Completion | Failure):
    (result, *_) = evaluate(choices(), [Entrant(mixed())], [1], ScriptedVLM(lambda _: lost).ask)
    assert result.text is None and result.failure and result.value("choice_likelihood") is None


def test_votes_and_fixed_sequences_are_scored_alike():
    tasks = choices()
    votes = majority_votes(tasks, mixed(), [1])
    assert {one.text for one in votes} == {"B"}
    assert [one.value("choice_likelihood") for one in votes] == [float(q.answer == "B") for q in tasks.queries]
    whole = replace(tasks, pools=None)
    fixed = choose_fixed(whole, [1], ScriptedVLM(by_demonstration).ask, tries=9, queries=5)
    assert OPTIONS[fixed.sequences[1][0] % 3] in ("B", "C")  # right for two of five queries each
