"""Reader of the official layout of OK-VQA and VQAv2: a questions file, an annotations file, a folder of COCO images.

Also of the merged form, in which one file holds question and annotation in one row. Every fault is a `DataError` that
names the file, the row (0-based position in the file's list) and the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shotsmith.data.rows import OnFault, Row, refuse, shown
from shotsmith.errors import DataError
from shotsmith.files import read_json
from shotsmith.records import Example

EXTENSIONS = (".jpg", ".jpeg", ".png")
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
    content = _content(questions, merged=annotations is None)
    annotated: Mapping[int, Row] = {}
    if annotations is not None:
        annotated = _by_question(_rows(annotations, _content(annotations), "annotations", on_fault), on_fault)
    paths = None if images is None else _ImageFolder.listed(images, _subtype(questions, content))
    asked = _by_question(_rows(questions, content, "questions", on_fault), on_fault)
    examples = []
    for number in sorted(asked):
        try:
            answered = annotated.get(number) if annotations is not None else asked[number]
            if answered is None:
                raise asked[number].fault(f"question {number} has no annotation in {annotations}", "question_id")
            examples.append(_example(asked[number], answered, paths))
        except DataError as fault:
            on_fault(fault)
    return examples


def _example(question: Row, annotation: Row, paths: _ImageFolder | None) -> Example:
    image_id = question.integer("image_id")
    if "image_id" in annotation.fields and annotation.integer("image_id") != image_id:
        raise annotation.fault(f"differs from the question's image {image_id}", "image_id")
    return Example(
        id=question.integer("question_id"),
        image=None if paths is None else paths.find(image_id, question),
        image_id=image_id,
        question=question.text("question"),
        answers=_answers(annotation),
        question_type=annotation.text("question_type") if "question_type" in annotation.fields else "",
    )


def _answers(annotation: Row) -> tuple[str, ...]:
    return tuple(
        _answer(annotation, answer, f"answers[{position}]")
        for position, answer in enumerate(annotation.filled("answers"))
    )


def _answer(annotation: Row, value: object, field: str) -> str:
    if not isinstance(value, dict) or "answer" not in value:
        raise annotation.fault(f"is not an object with an 'answer': {shown(value)}", field)
    return annotation.checked_text(value["answer"], f"{field}.answer")


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


def _content(file: Path, merged: bool = False) -> Mapping[str, object]:
    content: object = read_json(file)
    if merged and isinstance(content, list):
        return {"questions": content}
    if not isinstance(content, dict):
        raise DataError(f"is not a JSON object: {shown(content)}", file=file)
    if merged and "questions" not in content and "annotations" in content:
        return {**content, "questions": content["annotations"]}
    return content


def _rows(file: Path, content: Mapping[str, object], key: str, on_fault: OnFault) -> list[Row]:
    value = content.get(key)
    if not isinstance(value, list):
        raise DataError("is missing" if key not in content else f"is not a list: {shown(value)}", file=file, field=key)
    rows = []
    for number, row in enumerate(value):
        if isinstance(row, dict):
            rows.append(Row(file, number, row))
        else:
            on_fault(DataError(f"is not an object: {shown(row)}", file=file, row=number))
    return rows


def _by_question(rows: Iterable[Row], on_fault: OnFault) -> dict[int, Row]:
    found: dict[int, Row] = {}
    for row in rows:
        try:
            number = row.integer("question_id")
            if number in found:
                raise row.fault(f"question {number} stands in row {found[number].number} already", "question_id")
            found[number] = row
        except DataError as fault:
            on_fault(fault)
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
