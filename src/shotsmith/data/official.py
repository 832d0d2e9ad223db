"""Reader of the official layout of OK-VQA and VQAv2: a questions file, an annotations file, a folder of COCO images.

Also of the merged form, in which one file holds question and annotation in one row. Every fault is a `DataError` that
names the file, the row (0-based position in the file's list) and the field.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from shotsmith.data.json_rows import JsonRows
from shotsmith.data.rows import OnFault, Row, refuse, shown
from shotsmith.errors import DataError
from shotsmith.records import Example

EXTENSIONS = (".jpg", ".jpeg", ".png")
Kept = TypeVar("Kept")
_SUBTYPE_IN_NAME = re.compile(r"mscoco_(\w+?)(?:_questions)?\.json$")


def read_official(
    questions: Path, annotations: Path | None, images: Path | None, on_fault: OnFault = refuse
) -> list[Example]:
    """The examples of one split, sorted by question id.

    `images` is the folder that holds `COCO_<subtype>_<image id, 12 digits>.jpg` (or .jpeg, .png), where the subtype
    is the questions file's "data_subtype" (such as "train2014"), or else part of its name. Annotations of other
    questions are ignored. Without `annotations`, every row of `questions` is a question and its annotation; without
    `images`, no image is looked for.

    Raises DataError for a file of another form (files that are not JSON: InputError). Rows at fault are handed to
    `on_fault`, which raises at the first unless told otherwise; of rows with one id the first is kept.
    """
    merged = annotations is None
    annotated: Mapping[int, _Annotation | DataError] = {}
    if annotations is not None:
        annotated = _by_question(_rows(JsonRows(annotations, "annotations"), on_fault), _annotation, on_fault)
    content = JsonRows(questions, "questions", "annotations", bare=True) if merged else JsonRows(questions, "questions")
    asked = _by_question(_rows(content, on_fault), _question_and_annotation if merged else _question, on_fault)
    paths = None if images is None else _ImageFolder.listed(images, _subtype(questions, content.header))
    examples = []
    for number in sorted(asked):
        try:
            examples.append(_example(number, asked[number], annotated, annotations, questions, paths))
        except DataError as fault:
            on_fault(fault)
    return examples


@dataclass(frozen=True, slots=True)
class _Annotation:
    """What is kept of a row of annotations: texts that recur are held once."""

    number: int
    image_id: int | None
    answers: tuple[str, ...]
    question_type: str


@dataclass(frozen=True, slots=True)
class _Question:
    """What is kept of a row of questions, and of its annotation where that stands in the same row."""

    number: int
    image_id: int
    question: str
    annotation: _Annotation | None = None


def _example(
    number: int,
    question: _Question | DataError,
    annotated: Mapping[int, _Annotation | DataError],
    annotations: Path | None,
    questions: Path,
    paths: _ImageFolder | None,
) -> Example:
    if isinstance(question, DataError):
        raise question
    row = Row(questions, question.number, {})
    annotation = question.annotation or annotated.get(number)
    if annotation is None:
        raise row.fault(f"question {number} has no annotation in {annotations}", "question_id")
    if isinstance(annotation, DataError):
        raise annotation
    if annotations is not None and annotation.image_id not in (None, question.image_id):
        fault = Row(annotations, annotation.number, {}).fault
        raise fault(f"differs from the question's image {question.image_id}", "image_id")
    images = () if paths is None else (paths.find(question.image_id, row),)
    asked, kind = question.question, annotation.question_type
    return Example(number, images, question.image_id, asked, annotation.answers, kind, place=row.where)


def _question(row: Row) -> _Question:
    return _Question(row.number, row.integer("image_id"), row.text("question"))


def _question_and_annotation(row: Row) -> _Question:
    question = _question(row)
    return _Question(row.number, question.image_id, question.question, _annotation(row))


def _annotation(row: Row) -> _Annotation:
    image_id = row.integer("image_id") if "image_id" in row.fields else None
    question_type = sys.intern(row.text("question_type")) if "question_type" in row.fields else ""
    answers = _answers(row)
    if "multiple_choice_answer" in row.fields:  # of VQAv2
        answers = _led_by(row.text("multiple_choice_answer"), answers)
    return _Annotation(row.number, image_id, answers, question_type)


def _led_by(chosen: str, answers: tuple[str, ...]) -> tuple[str, ...]:
    """The same answers, the chosen one first if no other is more common: a demonstration shows the first of these."""
    if answers.count(chosen) < max(map(answers.count, answers)):
        return answers
    place = answers.index(chosen)
    return (answers[place], *answers[:place], *answers[place + 1 :])


def _answers(annotation: Row) -> tuple[str, ...]:
    return tuple(_answer(annotation, answer, position) for position, answer in enumerate(annotation.filled("answers")))


def _answer(annotation: Row, value: object, position: int) -> str:
    if not isinstance(value, dict) or "answer" not in value:
        raise annotation.fault(f"is not an object with an 'answer': {shown(value)}", f"answers[{position}]")
    return sys.intern(annotation.checked_text(value["answer"], f"answers[{position}].answer"))


@dataclass(frozen=True, slots=True)
class _ImageFolder:
    """A folder's names, listed once: asking the disk for each of 80,000 images is slow on shared storage."""

    folder: Path
    subtype: str
    names: frozenset[str]

    @classmethod
    def listed(cls, folder: Path, subtype: str) -> _ImageFolder:
        try:
            return cls(folder, subtype, frozenset(path.name for path in folder.iterdir()))
        except OSError as error:
            raise DataError(f"is not a readable folder of images: {error.strerror}", file=folder) from error

    def find(self, image_id: int, question: Row) -> Path:
        stem = f"COCO_{self.subtype}_{image_id:012d}"
        for extension in EXTENSIONS:
            if stem + extension in self.names:
                return self.folder / (stem + extension)
        raise question.fault(f"there is no image {stem}{{{','.join(EXTENSIONS)}}} in {self.folder}", "image_id")


def _rows(content: JsonRows, on_fault: OnFault) -> Iterator[Row]:
    for number, row in enumerate(content):
        if isinstance(row, dict):
            yield Row(content.file, number, row)
        else:
            on_fault(DataError(f"is not an object: {shown(row)}", file=content.file, row=number))


def _by_question(rows: Iterable[Row], read: Callable[[Row], Kept], on_fault: OnFault) -> dict[int, Kept | DataError]:
    """What `read` keeps of each row; a fault in it is kept in its place, and counts only where the row is needed."""
    found: dict[int, Kept | DataError] = {}
    first: dict[int, int] = {}
    for row in rows:
        try:
            number = row.integer("question_id")
            if number in found:
                raise row.fault(f"question {number} stands in row {first[number]} already", "question_id")
        except DataError as fault:
            on_fault(fault)
            continue
        first[number] = row.number
        try:
            found[number] = read(row)
        except DataError as fault:
            found[number] = fault
    return found


def _subtype(file: Path, content: Mapping[str, object]) -> str:
    value = content.get("data_subtype")
    if isinstance(value, str) and value:
        return value
    named = _SUBTYPE_IN_NAME.search(file.name)
    if "data_subtype" in content or not named:
        problem = "is not a text such as 'train2014'" if "data_subtype" in content else "is missing"
        raise DataError(f"{problem}; it is part of the images' names", file=file, field="data_subtype")
    return named.group(1)
