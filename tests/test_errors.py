from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from shotsmith import errors
from shotsmith.errors import DataError, InputError, RecipeError, ShotsmithError


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ({}, "is empty"),
        ({"file": Path("a.json")}, "a.json: is empty"),
        ({"file": "a.json", "row": 3}, "a.json, row 3: is empty"),
        ({"file": "a.json", "row": 0, "field": "answers"}, "a.json, row 0, field answers: is empty"),
        ({"field": "answers"}, "field answers: is empty"),
    ],
)
def test_an_input_error_says_where_in_one_line(place: dict, line: str):
    assert str(InputError("is empty", **place)) == line


def test_the_first_row_and_its_place_can_be_read_from_the_error():
    error = DataError("is empty", file=Path("a.json"), row=0, field="answers")
    assert (error.file, error.row, error.field, error.problem) == ("a.json", 0, "answers", "is empty")


def test_an_error_survives_the_way_back_from_a_worker_process():
    error = pickle.loads(pickle.dumps(DataError("is empty", file="a.json", row=2, field="x")))
    assert (str(error), error.row) == ("a.json, row 2, field x: is empty", 2)


def test_every_error_of_the_module_belongs_to_the_one_tree():
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(found) >= 8
    assert all(issubclass(error, ShotsmithError) for error in found)


@pytest.mark.parametrize("error", [RecipeError, DataError, errors.CheckpointError])
def test_what_the_user_gave_is_told_apart_from_what_went_wrong_later(error: type):
    assert issubclass(error, InputError)


@pytest.mark.parametrize("error", [errors.VLMError, errors.StoreError, errors.TrainingError])
def test_failures_of_the_work_are_not_blamed_on_the_input(error: type):
    assert not issubclass(error, InputError)
