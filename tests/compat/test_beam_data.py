"""Beam data of both forms: the prompt's order, without the query; and whatever does not fit is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shotsmith.compat.files.beam_data import read_beam_data
from shotsmith.errors import DataError

FILE = Path("beam.json")


def entry(**changed: Any) -> dict[str, Any]:
    shots = [{"id": 45, "score": -1e-8}, {"id": 67, "score": 0.1}]
    whole = {
        "id_list": [[67, 45, 123]],
        "score_list": [0.046],
        "beams": [{"shots": shots, "final_score": 0, "full_sequence": [67, 45, 123]}],
        "few_shot_num": 2,
        "shot_scores": [[0, 0]],
    }
    return {key: value for key, value in {**whole, **changed}.items() if value != "absent"}


@pytest.mark.parametrize("absent", [(), ("beams", "few_shot_num", "shot_scores")], ids=["with beams", "of Lever-LM"])
def test_the_order_of_the_prompt_is_kept_and_the_query_taken_off(absent: tuple[str, ...]) -> None:
    (beam,) = read_beam_data(FILE, {"123": entry(**dict.fromkeys(absent, "absent"))})
    assert (beam.query, beam.sequence, beam.score, beam.left_out) == (123, (67, 45), 0.046, None)


def test_sequences_that_were_sorted_anew_know_where_the_search_had_them() -> None:
    kept = [[1, 2, 123], [3, 4, 123], [5, 6, 123]]
    details = [{"shots": [], "final_score": 0, "full_sequence": row} for row in kept]
    anew = entry(id_list=[kept[2], kept[0]], score_list=[0.3, 0.1], beams=details)
    assert [beam.found_at for beam in read_beam_data(FILE, {"123": anew})] == [2, 0]
    (alone,) = read_beam_data(FILE, {"123": entry(beams="absent")})
    assert alone.found_at is None


def test_a_repeated_demonstration_is_marked() -> None:
    (beam,) = read_beam_data(FILE, {"123": entry(id_list=[[45, 45, 123]], beams="absent")})
    assert beam.left_out == "repeated"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"id_list": [[67, 123, 45]]}, "id_list[0]"),
        ({"id_list": [[]]}, "id_list[0]"),
        ({"id_list": "absent"}, "id_list"),
        ({"score_list": []}, "score_list"),
        ({"score_list": [float("nan")]}, "score_list[0]"),
        ({"few_shot_num": 1}, "id_list[0]"),
        ({"beams": []}, "beams"),
        ({"beams": [{"shots": [], "final_score": 0, "full_sequence": [45, 67, 123]}]}, "beams[0].full_sequence"),
        (
            {"beams": [{"shots": [{"id": -1, "score": 0}], "final_score": 0, "full_sequence": []}]},
            "beams[0].shots[0].id",
        ),
    ],
)
def test_a_fault_is_named_with_query_and_field(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(DataError) as caught:
        read_beam_data(FILE, {"123": entry(**changed)})
    assert (caught.value.file, caught.value.row, caught.value.field) == (str(FILE), 123, field)
