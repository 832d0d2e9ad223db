"""Reader of any Hugging Face data set by a column map, through the `datasets` library.

Pictures inside it are written as files, once: a list beside them says how far that has come, so that a reader that
was killed goes on where it stopped, and later looks read no picture.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shotsmith.data.arrow_rows import refuse_types
from shotsmith.data.confined import refuse_outside
from shotsmith.data.identity import ImageIds, picture_number, text_number, written_number
from shotsmith.data.pictures import NONE, listed, write_picture
from shotsmith.data.rows import OnFault, Row, column_list, refuse
from shotsmith.data.wording import Wording, asked_of, column_of
from shotsmith.errors import DataError, InputError
from shotsmith.files import digest
from shotsmith.recipe.data import HubDataset
from shotsmith.records import Example

_ROWS = 200
"""Rows read at a time."""


def read_hub(
    settings: HubDataset,
    split: str,
    pictures: Path | None,
    first: int = 0,
    on_fault: OnFault = refuse,
    metric: str | None = None,
    image_ids: ImageIds = "content",
) -> list[Example]:
    """The examples of one split, in its order. Pictures inside the data set are written into the folder `pictures`.

    Where no column holds ids, they are the rows' numbers, counted from `first`. An image's id follows from its
    content, that of several images from all of them, and that of an example without an image (null or an empty
    list) from its question. Labels (ClassLabel) become their names.

    Raises DataError where the data set, the split or a column is not to be had, or `pictures` is needed and None.
    `metric` is the one that must be able to score the answers.

    Rows at fault are handed to `on_fault`, which raises at the first unless told otherwise; of rows with one id the
    first is kept.
    """
    columns, place = settings.columns, Path(f"{settings.dataset}[{split}]")
    data = _loaded(settings, split)
    local = Path(settings.dataset).expanduser().is_dir()
    confined = not local if settings.confined is None else settings.confined
    held = column_of(columns.answers, data.column_names)
    image_column = columns.image_among(data.column_names)
    for name in (columns.id, image_column, columns.question, held, columns.options):
        if name is not None and name not in data.column_names:
            raise DataError(
                f"there is no such column; there are {column_list(data.column_names)}", file=place, field=name
            )
    named = [name for name in (columns.id, columns.question, held, columns.options) if name]
    schema = data.features.arrow_schema
    refuse_types({name: schema.field(name).type for name in named}, str(place))
    files = None if image_column is None else _images(data, image_column, place, pictures)
    wording = Wording(settings.question, _names(data.features[held]), metric)
    texts = data.select_columns(named)
    seen: dict[int, int] = {}
    examples = []
    for number, fields in enumerate(row for batch in _batches(texts) for row in batch):
        row = Row(place, number, fields)
        try:
            question, answers, options = asked_of(row, columns, wording)
            images = () if files is None else files[number]
            if images is None:
                raise row.fault("holds no picture, and no path of an image file", image_column)
            for image in images if confined else ():
                if image.parent != pictures:
                    refuse_outside(row, image, _own_folders(settings), image_column)
            identity = row.integer(columns.id) if columns.id is not None else first + number
            if identity in seen:
                raise row.fault(f"{identity} stands in row {seen[identity]} already", columns.id)
            image_id = text_number(question)
            if images:
                image_id = _number(row, image_column, images, pictures, image_ids)
            examples.append(Example(identity, images, image_id, question, answers, options=options, place=row.where))
            seen[identity] = number
        except DataError as fault:
            on_fault(fault)
    return examples


def _own_folders(settings: HubDataset) -> tuple[Path, ...]:
    """Where the images of a data set may lie."""
    from datasets import config
    from huggingface_hub import constants

    folders = (settings.dataset, ".", str(config.HF_DATASETS_CACHE), constants.HF_HUB_CACHE)
    return tuple(Path(folder).expanduser() for folder in folders)


def _number(row: Row, column: str | None, images: tuple[Path, ...], pictures: Path | None, image_ids: ImageIds) -> int:
    """The id of image files: written pictures are named for their content, any other file is read for it."""
    if image_ids == "place" or all(image.parent == pictures for image in images):
        return written_number(images)
    try:
        return picture_number(images)
    except InputError as error:
        raise row.fault(f"the image {error.file} {error.problem}", column) from error


def _loaded(settings: HubDataset, split: str) -> Any:
    import datasets

    datasets.disable_progress_bars()
    folder = Path(settings.dataset).expanduser()
    try:
        if any((folder / name).exists() for name in ("dataset_dict.json", "state.json")):
            found = datasets.load_from_disk(str(folder))
        else:
            found = datasets.load_dataset(
                str(folder) if folder.is_dir() else settings.dataset, settings.name, revision=settings.revision
            )
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"cannot be loaded: {error}", file=settings.dataset) from error
    parts = found if isinstance(found, dict) else {"train": found}
    if split not in parts:
        raise DataError(f"has no split '{split}'; there are {', '.join(parts)}", file=settings.dataset)
    return parts[split]


def _images(data: Any, column: str, place: Path, pictures: Path | None) -> list[tuple[Path, ...] | None]:
    """The image files of each row; None where the column holds something else."""
    held = encoded_pictures(data.select_columns([column]), column)
    if pictures is None:
        raise DataError("there is no folder yet to write its pictures to", file=place, field=column)
    pictures.mkdir(parents=True, exist_ok=True)
    file = pictures / f"{digest(data._fingerprint, column)[:16]}.list"
    names = listed(file)
    with file.open("a", encoding="utf-8", newline="\n") as out:
        for batch in _batches(held, len(names)):
            more = [_names_of(row[column], pictures) for row in batch]
            out.write("".join(f"{name}\n" for name in more))
            out.flush()
            names += more
    return [_files(line, pictures) for line in names]


def encoded_pictures(data: Any, column: str | None) -> Any:
    """The data with the pictures of a column, or of its lists, left encoded. Other columns stay as they are."""
    import datasets

    feature, encoded = data.features[column], datasets.Image(decode=False)
    if isinstance(feature, datasets.Image):
        return data.cast_column(column, encoded)
    if isinstance(getattr(feature, "feature", None), datasets.Image):
        return data.cast_column(column, type(feature)(encoded))
    return data


def _names_of(value: object, pictures: Path) -> str:
    """A line of the list: the name of one file, or a list of names in JSON for any other number."""
    if value is None:
        return "[]"
    if not isinstance(value, list):
        return _name(value, pictures)
    several = [_name(one, pictures) for one in value]
    return NONE if NONE in several else json.dumps(several)


def _files(line: str, pictures: Path) -> tuple[Path, ...] | None:
    if line == NONE:
        return None
    names = json.loads(line) if line.startswith("[") else [line]
    return tuple(pictures / _absolute(name) for name in names)


def _absolute(name: str) -> str:
    """A path of an image file (it holds a slash) from the working directory; the name of a written picture as it is."""
    return str(Path(name).expanduser().absolute()) if "/" in name else name


def _name(value: object, pictures: Path) -> str:
    """The name of the written file, or a path as the data set gives it, which holds a slash."""
    if isinstance(value, dict):
        value = value["bytes"] if value.get("bytes") is not None else value.get("path")
    if isinstance(value, bytes):
        return write_picture(pictures, value)
    if isinstance(value, str) and value.strip() and "\n" not in value:
        return value if "/" in value else f"./{value}"
    return NONE


def _names(feature: Any) -> dict[str, str]:
    """The names of a column of labels, or of lists of labels."""
    inner = getattr(feature, "feature", feature)
    names = getattr(inner, "names", None)
    return {str(number): str(name) for number, name in enumerate(names)} if isinstance(names, list) else {}


def _batches(data: Any, first: int = 0) -> Iterator[list[dict[str, object]]]:
    for start in range(first, len(data), _ROWS):
        columns: dict[str, list[object]] = data[start : start + _ROWS]
        yield [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
