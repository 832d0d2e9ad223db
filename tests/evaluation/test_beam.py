"""The beam as a bound: it finds what scores best with the true answer, and says so where it cannot."""

from __future__ import annotations

import itertools

from small_tasks import ScriptedVLM, make_tasks

from shotsmith.evaluation.beam import BEAM, evaluate_beam
from shotsmith.evaluation.evaluate import evaluate_oracle
from shotsmith.files import digest
from shotsmith.records import Completion, Failure, Request

TASKS = make_tasks(queries=3, index=20, pool=5)


def score(request: Request) -> float:
    """Natural-log probability of the true answer: a number that follows from the prompt."""
    name = digest(*(str(example.id) for example in (*request.demonstrations, request.query)))
    return -int(name[:6], 16) / 1e6


def answered(request: Request) -> Completion | Failure:
    if request.query.id == 102 and request.answers and len(request.demonstrations) != 1:
        return Failure("too long")
    text = (request.query.answer if score(request) > -8 else "wrong") if request.text else None
    return Completion(text, dict.fromkeys(request.answers, score(request)))


def test_with_the_full_width_it_finds_the_sequence_with_the_highest_score() -> None:
    rows = evaluate_beam(TASKS, (1, 2), 5, ScriptedVLM(answered).ask)
    best = {(row.query_id, row.shots): row for row in rows}
    assert len(best) == len(rows) == 6 and all(row.selector == BEAM and row.seed is None for row in rows)
    for number, shots in itertools.product((0, 1), (1, 2)):
        query = TASKS.queries[number]
        prompts = [
            Request(query, TASKS.demonstrations(number, sequence))
            for sequence in itertools.permutations(range(5), shots)
        ]
        top = max(prompts, key=score)
        row = best[query.id, shots]
        assert row.sequence == tuple(example.id for example in top.demonstrations)
        assert row.vqa_accuracy == float(score(top) > -8)


def test_a_query_that_cannot_be_scored_is_a_failure_with_its_reason() -> None:
    rows = [row for row in evaluate_beam(TASKS, (1, 2), 2, ScriptedVLM(answered).ask) if row.query_id == 102]
    assert [(row.text, row.vqa_accuracy) for row in rows] == [(None, None)] * 2
    assert all("too long" in (row.failure or "") for row in rows)


def test_only_what_was_found_is_asked_for_an_answer() -> None:
    vlm = ScriptedVLM(answered)
    evaluate_beam(TASKS, (2,), 2, vlm.ask, origin="here")
    texts = [request for call in vlm.calls for request in call if request.text]
    assert len(texts) == 2 and set(vlm.origins) == {"here"}
    assert sum(len(call) for call in vlm.calls) < 3 + 2 * (5 + 2 * 4) + 3


def test_the_oracle_is_never_below_the_beam() -> None:
    vlm = ScriptedVLM(answered)
    beams = evaluate_beam(TASKS, (1, 2), 2, vlm.ask)
    bound = {(r.query_id, r.shots): r.vqa_accuracy for r in evaluate_oracle(TASKS, beams, (1, 2), 1, vlm.ask)}
    scored = [row for row in beams if row.vqa_accuracy is not None]
    assert scored and all((bound[row.query_id, row.shots] or 0) >= (row.vqa_accuracy or 0) for row in scored)
