from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from small_tasks import ScriptedVLM, make_tasks

from shotsmith.errors import DataError
from shotsmith.files import digest
from shotsmith.recipe import BeamSettings
from shotsmith.records import Completion, Failure, Request
from shotsmith.selectors.beam_file import read_beams, write_beams
from shotsmith.selectors.beam_search import BeamResult, beam_search
from shotsmith.selectors.protocol import Tasks

TASKS = make_tasks(queries=4, index=20, pool=5)


def log_prob(request: Request) -> float:
    """Any number below 0 that depends on the query and on the order of the demonstrations."""
    name = digest(str(request.query.id), *(str(example.id) for example in request.demonstrations))
    return -1.0 - int(name[:6], 16) / 16**5


def answered(request: Request) -> Completion:
    return Completion(None, {answer: log_prob(request) for answer in request.answers})


def search(vlm: ScriptedVLM, width: int = 3, shots: int = 2, tasks: Tasks = TASKS) -> list[BeamResult]:
    return beam_search(tasks, range(len(tasks.queries)), BeamSettings(width=width, shots=shots), vlm.ask)


def score(tasks: Tasks, row: int, sequence: tuple[int, ...]) -> float:
    query = tasks.queries[row]
    return log_prob(Request(query, tasks.demonstrations(row, sequence))) - log_prob(Request(query))


def test_a_wide_beam_finds_the_best_sequences_of_all() -> None:
    for result in search(ScriptedVLM(answered), width=20):
        everything = sorted(permutations(range(5), 2), key=lambda s: -score(TASKS, result.query, s))
        assert [beam.sequence for beam in result.beams] == everything


def test_a_narrow_beam_extends_the_best_on_the_right_only() -> None:
    for result in search(ScriptedVLM(answered), width=2):
        singles = sorted(range(5), key=lambda p: -score(TASKS, result.query, (p,)))[:2]
        assert [beam.sequence for beam in result.steps[0]] == [(single,) for single in singles]
        pairs = [(first, second) for first in singles for second in range(5) if second != first]
        best = sorted(pairs, key=lambda s: -score(TASKS, result.query, s))[:2]
        assert [beam.sequence for beam in result.beams] == best


def test_gains_are_info_scores_and_sum_to_the_score() -> None:
    for result in search(ScriptedVLM(answered), shots=3):
        for beam in result.beams:
            assert beam.score == pytest.approx(score(TASKS, result.query, beam.sequence))
            assert sum(beam.gains) == pytest.approx(beam.score)
            assert beam.gains[0] == pytest.approx(score(TASKS, result.query, beam.sequence[:1]))


def test_ties_go_to_lower_positions() -> None:
    vlm = ScriptedVLM(lambda request: Completion(None, {request.query.answer: -2.0}))
    assert [beam.sequence for beam in search(vlm)[0].beams] == [(0, 1), (0, 2), (0, 3)]


def test_requests_ask_for_the_true_answer_only_and_once_a_step() -> None:
    vlm = ScriptedVLM(answered)
    beam_search(TASKS, [2, 0, 1], BeamSettings(width=3, shots=2), vlm.ask, origin="here", queries_per_call=2)
    assert [len(call) for call in vlm.calls] == [2, 10, 24, 1, 5, 12]
    assert set(vlm.origins) == {"here"}
    assert all(
        request.answers == (request.query.answer,) and not request.text for call in vlm.calls for request in call
    )
    assert {request.query.id for request in vlm.calls[0]} == {102, 100}


def test_a_failed_completion_is_dropped_and_listed() -> None:
    bad = TASKS.demonstrations(1, (3,))[0]
    vlm = ScriptedVLM(lambda request: Failure("no") if bad in request.demonstrations[-1:] else answered(request))
    results = search(vlm, width=2)
    assert all(
        bad not in TASKS.demonstrations(result.query, beam.sequence) for result in results for beam in result.beams
    )
    listed = [failure.sequence for failure in results[1].failures]
    assert listed[0] == (3,) and all(sequence[-1] == 3 for sequence in listed) and len(listed) == 3
    assert len(results[1].beams) == 2


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_a_log_probability_that_is_no_number_is_a_failure(value: float) -> None:
    vlm = ScriptedVLM(
        lambda r: Completion(None, {r.query.answer: value}) if len(r.demonstrations) == 1 else answered(r)
    )
    result = search(vlm)[0]
    assert result.beams == () and len(result.failures) == 5


def test_a_query_that_cannot_be_scored_at_all_has_no_beams() -> None:
    vlm = ScriptedVLM(lambda r: Failure("no") if r.query.id == 100 and not r.demonstrations else answered(r))
    results = search(vlm)
    assert results[0].beams == () and [failure.sequence for failure in results[0].failures] == [()]
    assert all(len(result.beams) == 3 for result in results[1:])


def test_beams_survive_the_file(tmp_path: Path) -> None:
    vlm = ScriptedVLM(lambda r: Failure("why") if len(r.demonstrations) == 1 and r.query.id == 101 else answered(r))
    results = search(vlm)
    write_beams(tmp_path / "beam.json", results, TASKS)
    assert read_beams(tmp_path / "beam.json", TASKS) == results


def test_beams_of_other_pools_are_refused(tmp_path: Path) -> None:
    write_beams(tmp_path / "beam.json", search(ScriptedVLM(answered)), TASKS)
    with pytest.raises(DataError, match=r"beam\.json, row 1: .*other demonstrations"):
        read_beams(tmp_path / "beam.json", replace(TASKS, pools=TASKS.pools[:, ::-1]))


@pytest.mark.parametrize(
    "text", ["[]", '{"queries": [{}]}', '{"queries": [{"query": 7, "steps": [], "failures": []}]}']
)
def test_a_damaged_beam_file_is_a_data_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "beam.json").write_text(text)
    with pytest.raises(DataError, match=r"beam\.json"):
        read_beams(tmp_path / "beam.json", TASKS)
