from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from shotsmith.data.official import read_official
from shotsmith.errors import DataError, InputError


def test_rows_are_joined_by_question_id_and_sorted_whatever_their_order_in_the_files(official_files):
    files = official_files(5)
    files.questions["questions"].reverse()
    annotations = files.annotations["annotations"]
    annotations[:] = annotations[2:] + annotations[:2]
    examples = read_official(*files.write())
    assert [example.id for example in examples] == [1, 2, 3, 4, 5]
    third = examples[2]
    assert third.question == "what is 3?"
    assert third.answers == ("it is 3",) * 10
    assert third.question_type == "type 1"
    assert third.image_id == 30
    assert third.image == files.paths[2] / "COCO_train2014_000000000030.png"


def test_the_layouts_own_jpeg_names_are_found(official_files):
    files = official_files(2)
    files.image(1).unlink()
    Image.new("RGB", (4, 4)).save(files.image(1, ".jpg"))
    assert [example.image.suffix for example in read_official(*files.write())] == [".png", ".jpg"]


def test_vqav2_rows_without_confidence_or_question_type_are_read(official_files):
    files = official_files(1)
    row = files.annotations["annotations"][0]
    del row["question_type"]
    row["multiple_choice_answer"] = "it is 1"
    row["answers"] = [{"answer": "it is 1"}]
    (example,) = read_official(*files.write())
    assert example.answers == ("it is 1",)
    assert example.question_type == ""


@pytest.mark.parametrize(
    ("answers", "chosen", "shown"),
    [
        (["red", "blue", "red", "blue"], "blue", "blue"),
        (["red", "blue", "red", "blue"], "red", "red"),
        (["red", "blue", "blue"], "red", "blue"),
        (["red", "blue"], "green", "red"),
    ],
    ids=["of two as common", "the first of them", "a rarer one", "one that nobody gave"],
)
def test_vqav2_s_own_choice_of_the_most_common_answer_is_what_a_demonstration_shows(
    official_files, answers, chosen, shown
):
    files = official_files(1)
    files.annotations["annotations"][0] |= {
        "multiple_choice_answer": chosen,
        "answers": [{"answer": answer} for answer in answers],
    }
    (example,) = read_official(*files.write())
    assert example.answer == shown
    assert sorted(example.answers) == sorted(answers)


def test_a_missing_data_subtype_is_taken_from_the_name_of_the_questions_file(official_files):
    files = official_files(1)
    del files.questions["data_subtype"]
    assert read_official(*files.write())[0].image == files.image(0)


def test_annotations_of_other_questions_do_not_matter(official_files):
    files = official_files(3)
    del files.questions["questions"][1]
    assert [example.id for example in read_official(*files.write())] == [1, 3]


QUESTIONS, ANNOTATIONS = 0, 1

SPOILT = {
    "a question without an id": (lambda q, a: q[1].pop("question_id"), QUESTIONS, 1, "question_id"),
    "a question without an image": (lambda q, a: q[1].pop("image_id"), QUESTIONS, 1, "image_id"),
    "a question without a text": (lambda q, a: q[1].pop("question"), QUESTIONS, 1, "question"),
    "a text as id": (lambda q, a: q[2].update(question_id="3"), QUESTIONS, 2, "question_id"),
    "a truth value as id": (lambda q, a: q[0].update(question_id=True), QUESTIONS, 0, "question_id"),
    "a fraction as image": (lambda q, a: q[0].update(image_id=1.5), QUESTIONS, 0, "image_id"),
    "a number as question": (lambda q, a: q[0].update(question=7), QUESTIONS, 0, "question"),
    "a blank question": (lambda q, a: q[3].update(question=" \n"), QUESTIONS, 3, "question"),
    "a broken character": (lambda q, a: q[3].update(question="what \ud83d?"), QUESTIONS, 3, "question"),
    "a question twice": (lambda q, a: q[3].update(question_id=2), QUESTIONS, 3, "question_id"),
    "a question without annotation": (lambda q, a: a.pop(2), QUESTIONS, 2, "question_id"),
    "an absent image": (lambda q, a: q[1].update(image_id=a[1].pop("image_id") + 1), QUESTIONS, 1, "image_id"),
    "an annotation without an id": (lambda q, a: a[1].pop("question_id"), ANNOTATIONS, 1, "question_id"),
    "an annotation twice": (lambda q, a: a[0].update(question_id=3), ANNOTATIONS, 2, "question_id"),
    "an annotation of another image": (lambda q, a: a[3].update(image_id=10), ANNOTATIONS, 3, "image_id"),
    "no answers": (lambda q, a: a[1].pop("answers"), ANNOTATIONS, 1, "answers"),
    "an empty list of answers": (lambda q, a: a[1].update(answers=[]), ANNOTATIONS, 1, "answers"),
    "answers that are no list": (lambda q, a: a[1].update(answers="red"), ANNOTATIONS, 1, "answers"),
    "a bare text among the answers": (lambda q, a: a[0]["answers"].insert(2, "red"), ANNOTATIONS, 0, "answers[2]"),
    "an answer without its text": (lambda q, a: a[0]["answers"][4].pop("answer"), ANNOTATIONS, 0, "answers[4]"),
    "a null as answer": (lambda q, a: a[0]["answers"][4].update(answer=None), ANNOTATIONS, 0, "answers[4].answer"),
    "an answer that is empty": (lambda q, a: a[2]["answers"][9].update(answer=""), ANNOTATIONS, 2, "answers[9].answer"),
    "a number as choice": (
        lambda q, a: a[2].update(multiple_choice_answer=3), ANNOTATIONS, 2, "multiple_choice_answer"
    ),
    "a number as question type": (lambda q, a: a[2].update(question_type=3), ANNOTATIONS, 2, "question_type"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "file", "row", "field"), SPOILT.values(), ids=SPOILT)
def test_a_bad_row_is_named_by_file_row_and_field(official_files, spoil: Callable, file: int, row: int, field: str):
    files = official_files(4)
    spoil(files.questions["questions"], files.annotations["annotations"])
    paths = files.write()
    with pytest.raises(DataError) as caught:
        read_official(*paths)
    assert (caught.value.file, caught.value.row, caught.value.field) == (str(paths[file]), row, field)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[]", "not a JSON object"),
        ("{}", "field questions: is missing"),
        ('{"questions": {"a": 1}}', "field questions: is not a list"),
        ('{"questions": [[]]}', "row 0: is not an object"),
        ('{"data_subtype": 3, "questions": []}', "field data_subtype"),
    ],
)
def test_a_file_of_another_form_is_refused(official_files, content: str, problem: str):
    files = official_files(1)
    questions, annotations, images = files.paths
    questions.write_text(content)
    with pytest.raises(DataError, match=re.escape(problem)):
        read_official(questions, annotations, images)


def test_without_any_subtype_the_field_is_named(official_files, tmp_path: Path):
    files = official_files(1)
    del files.questions["data_subtype"]
    questions, annotations, images = files.write()
    with pytest.raises(DataError, match="data_subtype: is missing"):
        read_official(questions.rename(tmp_path / "questions.json"), annotations, images)


def test_a_missing_file_and_a_missing_folder_are_named(official_files, tmp_path: Path):
    questions, annotations, images = official_files(1).paths
    absent = tmp_path / "absent"
    for paths in ((absent, annotations, images), (questions, absent, images), (questions, annotations, absent)):
        with pytest.raises(InputError) as caught:
            read_official(*paths)
        assert caught.value.file == str(absent)


def test_images_are_found_with_one_listing_of_the_folder(official_files, monkeypatch: pytest.MonkeyPatch):
    paths = official_files(4).paths
    listings = []
    original = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: listings.append(self) or original(self))
    for question in ("exists", "is_file", "stat"):
        monkeypatch.setattr(Path, question, lambda self: pytest.fail("asked the disk for a single image"))
    read_official(*paths)
    assert listings == [paths[2]]
