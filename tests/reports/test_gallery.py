"""Which queries the gallery shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from shotsmith.embeddings.embedded import Embedded
from shotsmith.evaluation.results import Result
from shotsmith.records import Example
from shotsmith.reports.data import Pointing
from shotsmith.reports.gallery import gallery, pick
from shotsmith.reports.pointing import Chosen, pointing


def example(number: int, kind: str = "name") -> Example:
    return Example(number, (Path(f"{number}.png"),), number, f"what is {number}?", (f"a{number}",) * 10, kind)


QUERIES = [example(number, "name" if number < 20 else "use") for number in range(30)]
INDEX = [example(number) for number in range(100, 110)]


def result(query: int, selector: str, accuracy: float | None, shots: int = 2, seed: int | None = None) -> Result:
    text = None if accuracy is None else f"{selector} {seed}"
    sequence = tuple(range(100, 100 + shots)) if selector != "zero_shot" else ()
    return Result(query, selector, seed, shots, 0, sequence, text, accuracy, accuracy, "name")


def results(after: list[float | None], shots: int = 2) -> list[Result]:
    rows = []
    for query, accuracy in enumerate(after):
        rows += [result(query, "mixed", 0.6, shots), result(query, "zero_shot", 0.0, shots)]
        rows += [result(query, "grpo", accuracy, shots, seed) for seed in (1, 0)]
    return rows


def test_changes_are_counted_over_all_queries_and_all_kinds_are_shown() -> None:
    found = gallery(results([1.0] * 20 + [0.3] * 4 + [0.6] * 6), QUERIES, INDEX, before="mixed", number=12)
    assert found and found.counts == {"fixed": 20, "broken": 4, "unchanged": 6}
    changes = [row.change for row in found.rows]
    assert [changes.count(change) for change in ("fixed", "broken", "unchanged")] == [6, 3, 3]


def test_a_kind_that_is_rare_leaves_its_room_to_the_others() -> None:
    found = gallery(results([1.0] * 29 + [0.3]), QUERIES, INDEX, before="mixed", number=12)
    assert found and [row.change for row in found.rows].count("fixed") == 11 and len(found.rows) == 12
    few = gallery(results([1.0] * 3), QUERIES[:3], INDEX, before="mixed", number=12)
    assert few and len(few.rows) == 3


def test_question_types_take_turns() -> None:
    found = gallery(results([1.0] * 30), QUERIES, INDEX, before="mixed", number=12)
    assert found and {row.question_type for row in pick(found.rows[:4], 2)} == {"name", "use"}


def test_a_row_shows_what_was_shown_in_order_by_the_first_seed() -> None:
    found = gallery(results([1.0]), QUERIES[:1], INDEX, before="mixed")
    assert found
    (row,) = found.rows
    assert row.after.text == "grpo 0" and row.zero_shot and row.zero_shot.demonstrations == ()
    assert [shown.question for shown in row.after.demonstrations] == ["what is 100?", "what is 101?"]
    assert (row.before.selector, row.before.accuracy, row.answer) == ("mixed", 0.6, "a0")


def test_the_number_of_shots_is_the_one_at_which_the_policy_does_best() -> None:
    rows = results([0.3, 0.6], shots=1) + results([1.0, 0.9], shots=3) + results([1.0, 0.6], shots=4)
    found = gallery(rows, QUERIES[:2], INDEX, before="mixed")
    assert found and found.shots == 3 and len(found.rows[0].after.demonstrations) == 3


def test_failed_completions_are_left_out_not_scored() -> None:
    found = gallery(results([1.0, None]), QUERIES[:2], INDEX, before="mixed")
    assert found and [row.query_id for row in found.rows] == [0] and sum(found.counts.values()) == 1


def test_without_a_trained_policy_there_is_no_gallery() -> None:
    assert gallery([result(0, "mixed", 1.0)], QUERIES, INDEX, before="mixed") is None


def test_pointing_counts_ranks_of_similarity() -> None:
    angles = np.array([0.9, 0.1, 0.5, 1.4])
    candidates = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    one = np.array([[1.0, 0.0]], dtype=np.float32)
    pools = np.array([[3, 1, 0, 2]])

    def counted(*rows: int) -> tuple[Pointing, Pointing]:
        return pointing(Chosen(Embedded(one, -one), Embedded(candidates, candidates), pools, [rows]))

    images, questions = counted(1, 3)
    assert (images.measure, images.counts) == ("image_similarity", (1, 0, 0, 1))
    assert (questions.measure, questions.counts) == ("text_similarity", (1, 0, 0, 1))
    assert counted(2)[0].counts == (0, 1, 0, 0)
    assert counted(2, 2)[0].counts == (0, 2, 0, 0), "a repeated demonstration counts twice"


def test_a_row_shows_what_the_budget_left_of_the_sequence() -> None:
    rows = [replace(row, left_out=1, without_image=1) if row.selector == "grpo" else row for row in results([1.0], 3)]
    found = gallery(rows, QUERIES[:1], INDEX, before="mixed")
    assert found
    shown = found.rows[0].after.demonstrations
    assert [one.question for one in shown] == ["what is 101?", "what is 102?"]
    assert [len(one.images) for one in shown] == [0, 1]
    assert [len(one.images) for one in found.rows[0].before.demonstrations] == [1, 1, 1]
