"""The vote over the demonstrations' answers: who wins, and that the VLM has no part in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import make_example, make_tasks

from shotsmith.evaluation.majority_vote import MAJORITY_VOTE, majority_votes, vote
from shotsmith.records import Sequence
from shotsmith.selectors.protocol import Tasks
from shotsmith.selectors.similar import mixed


@pytest.mark.parametrize(
    ("answers", "winner"),
    [
        (["red", "blue", "red"], "red"),
        (["red", "blue"], "blue"),
        (["red", "red", "blue", "blue", "green"], "blue"),
        (["two", "3", "2"], "2"),
        (["The dog!", "cat", "dog", "cat", "dog"], "dog"),
        (["Dog", "cat"], "cat"),
        (["cat"], "cat"),
        ([], ""),
    ],
)
def test_the_most_common_answer_wins_and_ties_go_to_the_one_next_to_the_query(answers: list[str], winner: str) -> None:
    assert vote(answers) == winner


@given(st.lists(st.sampled_from(["red", "blue", "two", "2"]), min_size=1, max_size=8))
def test_the_winner_is_one_of_the_answers(answers: list[str]) -> None:
    assert vote(answers) in answers


def coloured(answers: list[str]) -> Tasks:
    """One query, "green", whose pool holds examples with these answers."""
    tasks = make_tasks(queries=1, index=len(answers), pool=len(answers))
    return replace(
        tasks,
        queries=(make_example(100, ("green",) * 10),),
        index=tuple(make_example(number, (answer,) * 10) for number, answer in enumerate(answers)),
        pools=np.arange(len(answers), dtype=np.int64)[None],
    )


class Everything:
    name = "everything"

    def select(self, tasks: Tasks, shots: int) -> list[Sequence]:
        return [tuple(range(shots)) for _ in tasks.queries]


def test_rows_hold_who_voted_and_what_won() -> None:
    tasks = coloured(["red", "green", "green", "red"])
    rows = majority_votes(tasks, Everything(), (4, 1, 3))
    assert [(row.shots, row.sequence, row.text, row.vqa_accuracy) for row in rows] == [
        (1, (0,), "red", 0.0),
        (3, (0, 1, 2), "green", 1.0),
        (4, (0, 1, 2, 3), "red", 0.0),
    ]
    assert {(row.selector, row.seed, row.failure, row.query_id) for row in rows} == {(MAJORITY_VOTE, None, None, 100)}


def test_the_voters_are_those_the_selector_chose_and_ties_go_to_the_most_similar() -> None:
    tasks = make_tasks(queries=6, index=40, pool=12)
    rows = majority_votes(tasks, mixed(), (3,))
    chosen = mixed().select(tasks, 3)
    for row, query, sequence in zip(rows, tasks.queries, chosen, strict=True):
        voters = tasks.demonstrations(tasks.queries.index(query), sequence)
        assert row.sequence == tuple(voter.id for voter in voters)
        assert row.text == voters[-1].answer  # all answers of these tasks differ


def test_the_querys_answers_have_no_vote() -> None:
    tasks = make_tasks()
    blind = replace(tasks, queries=tuple(replace(query, answers=("hidden",)) for query in tasks.queries))
    texts = [[row.text for row in majority_votes(some, mixed(), (1, 3))] for some in (tasks, blind)]
    assert texts[0] == texts[1]
