"""Reader of the official layout of OK-VQA and VQAv2: a questions file, an annotations file, a folder of COCO images.

Every fault is a `DataError` that names the file, the row (0-based position in the file's list) and the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shotsmith.errors import DataError
from shotsmith.files import read_json
from shotsmith.records import Example

EXTENSIONS = (".jpg", ".jpeg", ".png")
_SUBTYPE_IN_NAME = re.compile(r"mscoco_(\w+?)_questions")


@dataclass(frozen=True, slots=True)
class _Row:
    """One element of a file's list, and where it stands."""

    file: Path
    number: int
    fields: Mapping[str, object]

    def fault(self, problem: str, field: str) -> DataError:
        return DataError(problem, file=self.file, row=self.number, field=field)

    def integer(self, field: str) -> int:
        value = self._present(field)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.fault(f"is not a whole number: {_shown(value)}", field)
        return value

    def text(self, field: str) -> str:
        return self._checked_text(self._present(field), field)

    def answers(self) -> tuple[str, ...]:
        value = self._present("answers")
        if not isinstance(value, list):
            raise self.fault(f"is not a list: {_shown(value)}", "answers")
        if not value:
            raise self.fault("is empty", "answers")
        return tuple(self._answer(answer, f"answers[{position}]") for position, answer in enumerate(value))

    def _answer(self, value: object, field: str) -> str:
        if not isinstance(value, dict) or "answer" not in value:
            raise self.fault(f"is not an object with an 'answer': {_shown(value)}", field)
        return self._checked_text(value["answer"], f"{field}.answer")

    def _checked_text(self, value: object, field: str) -> str:
        if not isinstance(value, str):
            raise self.fault(f"is not a text: {_shown(value)}", field)
        if not value.strip():
            raise self.fault("is empty", field)
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise self.fault("holds half of a surrogate pair, which no text encoding can store", field)
        return value

    def _present(self, field: str) -> object:
        if field not in self.fields:
            raise self.fault("is missing", field)
        return self.fields[field]


def read_official(questions: Path, annotations: Path, images: Path) -> list[Example]:
    """The examples of one split, sorted by question id.

    `images` is the folder that holds `COCO_<subtype>_<image id, 12 digits>.jpg` (or .jpeg, .png), where the subtype
    is the questions file's "data_subtype" (such as "train2014"), or else part of its name. Annotations of other
    questions are ignored.

    Raises DataError (files that are not JSON: InputError) at the first fault.
    """
    content = _content(questions)
    annotated = _by_question(_rows(annotations, _content(annotations), "annotations"))
    paths = _ImageFolder.listed(images, _subtype(questions, content))
    asked = _by_question(_rows(questions, content, "questions"))
    return [_example(asked[number], annotated.get(number), annotations, paths) for number in sorted(asked)]


def _example(question: _Row, annotation: _Row | None, annotations: Path, paths: _ImageFolder) -> Example:
    number = question.integer("question_id")
    if annotation is None:
        raise question.fault(f"question {number} has no annotation in {annotations}", "question_id")
    image_id = question.integer("image_id")
    if "image_id" in annotation.fields and annotation.integer("image_id") != image_id:
        raise annotation.fault(f"differs from the question's image {image_id}", "image_id")
    return Example(
        id=number,
        image=paths.find(image_id, question),
        image_id=image_id,
        question=question.text("question"),
        answers=annotation.answers(),
        question_type=annotation.text("question_type") if "question_type" in annotation.fields else "",
    )


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

    def find(self, image_id: int, question: _Row) -> Path:
        stem = f"COCO_{self.subtype}_{image_id:012d}"
        for extension in EXTENSIONS:
            if stem + extension in self.names:
                return self.folder / (stem + extension)
        raise question.fault(f"there is no image {stem}{{{','.join(EXTENSIONS)}}} in {self.folder}", "image_id")


def _content(file: Path) -> Mapping[str, object]:
    content: object = read_json(file)
    if not isinstance(content, dict):
        raise DataError(f"is not a JSON object: {_shown(content)}", file=file)
    return content


def _rows(file: Path, content: Mapping[str, object], key: str) -> list[_Row]:
    value = content.get(key)
    if not isinstance(value, list):
        raise DataError("is missing" if key not in content else f"is not a list: {_shown(value)}", file=file, field=key)
    for number, row in enumerate(value):
        if not isinstance(row, dict):
            raise DataError(f"is not an object: {_shown(row)}", file=file, row=number)
    return [_Row(file, number, row) for number, row in enumerate(value)]


def _by_question(rows: Iterable[_Row]) -> dict[int, _Row]:
    found: dict[int, _Row] = {}
    for row in rows:
        number = row.integer("question_id")
        if number in found:
            raise row.fault(f"question {number} stands in row {found[number].number} already", "question_id")
        found[number] = row
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


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
