"""Reader of COCO captions in the Karpathy split (`dataset_coco.json`, arXiv 1412.2306): images with five captions each.

Also of its sister files (Flickr8k, Flickr30k), which lack COCO's ids and folders.
"""

from __future__ import annotations

from pathlib import Path

from shotsmith.data.json_rows import JsonRows
from shotsmith.data.rows import OnFault, Row, refuse, shown
from shotsmith.data.splits import Splits
from shotsmith.errors import DataError
from shotsmith.records import Example

_SPLITS = {"train": "train", "restval": "train", "val": "val", "test": "test"}
"""Theirs -> ours; 'restval' is what is left of COCO's validation images, which everybody trains on."""


def read_karpathy(file: Path, images: Path, question: str, on_fault: OnFault = refuse) -> Splits:
    """The three splits, in the file's order; an image is one example, its captions the answers to `question`.

    `images` holds the folders that the rows' "filepath" names (train2014, val2014), or the images themselves where a
    row has none. Raises DataError for a file of another form (InputError: no JSON). Rows at fault are handed to
    `on_fault`, which raises at the first unless told otherwise; of rows with one id the first is kept.
    """
    parts: dict[str, list[Example]] = {name: [] for name in ("train", "val", "test")}
    names: dict[Path, frozenset[str]] = {}
    first: dict[int, int] = {}
    for number, fields in enumerate(content := JsonRows(file, "images")):
        try:
            if not isinstance(fields, dict):
                raise DataError(f"is not an object: {shown(fields)}", file=content.file, row=number)
            row = Row(file, number, fields)
            key = "cocoid" if "cocoid" in fields else "imgid"
            identity = row.integer(key)
            if identity in first:
                raise row.fault(f"{identity} stands in row {first[identity]} already", key)
            part = _SPLITS.get(row.text("split"))
            if part is None:
                raise row.fault(f"is none of {', '.join(_SPLITS)}: {shown(fields['split'])}", "split")
            image = _image(row, images, names)
            parts[part].append(Example(identity, (image,), identity, question, _captions(row), place=row.where))
            first[identity] = number
        except DataError as fault:
            on_fault(fault)
    return Splits(*(tuple(part) for part in parts.values()))


def _image(row: Row, images: Path, names: dict[Path, frozenset[str]]) -> Path:
    folder = images / row.text("filepath") if "filepath" in row.fields else images
    name = row.text("filename")
    if folder not in names:
        try:
            names[folder] = frozenset(path.name for path in folder.iterdir())
        except OSError:
            names[folder] = frozenset()
    if name not in names[folder]:
        raise row.fault(f"there is no image {folder / name}", "filename")
    return folder / name


def _captions(row: Row) -> tuple[str, ...]:
    captions = []
    for position, sentence in enumerate(row.filled("sentences")):
        field = f"sentences[{position}]"
        if not isinstance(sentence, dict) or "raw" not in sentence:
            raise row.fault(f"is not an object with a 'raw': {shown(sentence)}", field)
        captions.append(row.checked_text(sentence["raw"], f"{field}.raw").strip())
    return tuple(captions)
