"""The data section of a recipe, as examples."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from shotsmith.data.hub import read_hub
from shotsmith.data.identity import ImageIds
from shotsmith.data.karpathy import read_karpathy
from shotsmith.data.official import read_official
from shotsmith.data.rows import OnFault, refuse
from shotsmith.data.skipped import Skipped
from shotsmith.data.splits import Splits, check_disjoint, split_by_image
from shotsmith.data.table import read_table
from shotsmith.data.usable import Objection, check_usable
from shotsmith.data.wording import Wording
from shotsmith.errors import DataError, PluginError
from shotsmith.recipe import DataSettings, OkvqaSettings, TableColumns
from shotsmith.recipe.data import READERS, BankSettings, CaptionsSettings, HubDataset, TableFormat, TextsFormat
from shotsmith.records import Example

logger = logging.getLogger(__name__)

Named = TypeVar("Named", Path, str)


class _Parts(Protocol[Named]):
    """Settings that name train and test, and perhaps validation."""

    train: Named
    val: Named | None
    test: Named
    val_share: float


def load_splits(
    settings: DataSettings,
    world_folder: Path | None = None,
    *,
    check: bool = True,
    skipped: Path | None = None,
    image_ids: ImageIds = "content",
    objection: Objection | None = None,
) -> Splits:
    """Read train, validation and test, and make sure that they share nothing; and the bank, where it has its own files.

    `world_folder` is where the built-in data set has been written, or what a Hugging Face data set holds inside is
    written; it is needed where the recipe asks for one of the two.
    Without `check` pictures are read for their ids alone: for looking back at a run, whose data were checked when it
    was made. `image_ids` says what ids follow from where the data set gives none.
    `objection` says which examples a later stage cannot take: the first is an error.
    With `skip_bad`, every image is decoded, and what cannot be used is left out and listed in the file `skipped`
    (JSON lines: file, row, field, problem); where that file exists, it says which examples are left out.
    Raises DataError on any fault in the files, or, where a list exists, on one that it lacks; and where bank and
    queries do not both have images.
    """
    if settings.skip_bad:
        faults = Skipped(skipped)
        splits = faults.without_unusable(_read(settings, _Way(world_folder, faults, image_ids)), objection)
        faults.tell()
    else:
        splits = _read(settings, _Way(world_folder, refuse, image_ids))
        if objection is not None:
            for part in (*splits.named().values(), splits.own_bank or ()):
                check_usable(part, objection)
    if splits.own_bank is not None:
        _check_bank(splits.own_bank, splits)
    if check:
        check_disjoint(splits)
    _tell_bare(splits)
    return splits


@dataclass(frozen=True, slots=True)
class _Way:
    """How a data set is read, whatever its format."""

    pictures: Path | None
    """Where the built-in data set is, or where pictures inside a data set are written."""
    on_fault: OnFault
    image_ids: ImageIds


def _read(settings: DataSettings, way: _Way) -> Splits:
    splits = _read_splits(settings, way)
    if settings.bank is None:
        return splits
    # Rows without ids are numbered on from the queries, so that no query is taken for a row of the bank.
    first = max((example.id + 1 for part in splits.named().values() for example in part), default=0)
    return replace(splits, own_bank=tuple(_read_bank(settings.bank, first, way)))


def _read_splits(settings: DataSettings, way: _Way) -> Splits:
    if settings.okvqa is not None:
        return _okvqa(settings.okvqa, settings.seed, way.on_fault)
    if settings.table is not None:
        return _numbered(settings.table, _table_reader(settings.table, way, settings.metric), settings.seed)
    if settings.texts is not None:
        return _numbered(settings.texts, _texts_reader(settings.texts, way, settings.metric), settings.seed)
    if settings.captions is not None:
        return _captions(settings.captions, way.on_fault)
    if settings.hub is not None:
        return _numbered(settings.hub, _hub_reader(settings.hub, way, settings.metric), settings.seed)
    if settings.reader is not None:
        splits = READERS[settings.reader.name](settings.reader.options)
        if not isinstance(splits, Splits):
            raise PluginError(f"the reader '{settings.reader.name}' gives a {type(splits).__name__}, not Splits")
        return splits
    folder = way.pictures
    if folder is None:
        raise DataError("the built-in data set has not been written yet")
    train, val, test = (_world_split(folder, name) for name in ("train", "val", "test"))
    has_bank = settings.world is not None and settings.world.bank is not None and settings.bank is None
    return Splits(train, val, test, _world_split(folder, "bank") if has_bank else None)


def _okvqa(settings: OkvqaSettings, seed: int, on_fault: OnFault) -> Splits:
    """OK-VQA has no third split: validation is a share of the train images."""
    examples = read_official(settings.train_questions, settings.train_annotations, settings.train_images, on_fault)
    train, val = split_by_image(examples, settings.val_share, seed)
    test = read_official(settings.test_questions, settings.test_annotations, settings.test_images, on_fault)
    return Splits(train, val, tuple(test))


def _read_bank(bank: BankSettings, first: int, way: _Way) -> Sequence[Example]:
    """The one set of files that `data.bank` names; rows without ids are numbered from `first`."""
    if bank.okvqa is not None:
        return read_official(bank.okvqa.questions, bank.okvqa.annotations, bank.okvqa.images, way.on_fault)
    if bank.table is not None:
        return _table_reader(bank.table, way)(bank.table.file, first)
    if bank.texts is not None:
        return _texts_reader(bank.texts, way)(bank.texts.file, first)
    if bank.hub is not None:
        return _hub_reader(bank.hub, way)(bank.hub.split, first)
    assert bank.captions is not None
    return _captions(bank.captions, way.on_fault).named()[bank.captions.split]


def _check_bank(bank: Sequence[Example], splits: Splits) -> None:
    """Raise DataError for a bank that cannot serve the queries."""
    if not bank:
        raise DataError("has no examples", field="data.bank")
    with_image, queries_with = (any(one.images for one in part) for part in (bank, splits.test))
    if with_image != queries_with:
        what = "has no images, but the queries have" if queries_with else "has images, but the queries have none"
        raise DataError(what, field="data.bank")


def _tell_bare(splits: Splits) -> None:
    """Log how many examples have no image, where others have: a field may be empty by mistake."""
    parts = {**splits.named(), "bank": splits.own_bank or ()}
    bare = {name: sum(not one.images for one in part) for name, part in parts.items()}
    if any(bare.values()) and any(one.images for part in parts.values() for one in part):
        logger.info("examples without an image: %s", ", ".join(f"{name} {n}" for name, n in bare.items() if n))


def _captions(settings: CaptionsSettings, on_fault: OnFault) -> Splits:
    return read_karpathy(settings.file, settings.images, settings.question, on_fault)


def _table_reader(settings: TableFormat, way: _Way, metric: str | None = None) -> Callable[[Path, int], list[Example]]:
    """Queries are read with the metric that scores them; a bank is only shown."""
    wording, ids, confined = Wording(metric=metric), way.image_ids, settings.confined
    return lambda table, first: read_table(
        table, settings.columns, settings.images, first, way.on_fault, wording, image_ids=ids, confined=confined
    )


def _texts_reader(settings: TextsFormat, way: _Way, metric: str | None = None) -> Callable[[Path, int], list[Example]]:
    columns = TableColumns(image=None, question=settings.text, answers=settings.label)
    wording = Wording(settings.question, settings.label_names, metric)
    return lambda table, first: read_table(table, columns, None, first, way.on_fault, wording)


def _hub_reader(settings: HubDataset, way: _Way, metric: str | None = None) -> Callable[[str, int], list[Example]]:
    return lambda split, first: read_hub(settings, split, way.pictures, first, way.on_fault, metric, way.image_ids)


def _numbered(settings: _Parts[Named], read: Callable[[Named, int], list[Example]], seed: int) -> Splits:
    """Rows without ids are numbered on from part to part, so that no two splits share one."""
    parts: list[tuple[Example, ...]] = []
    first = 0
    for name in (settings.train, settings.val, settings.test):
        if name is not None:
            parts.append(tuple(read(name, first)))
            first = max((first, *(example.id + 1 for example in parts[-1])))
    if settings.val is None:
        parts[:1] = split_by_image(parts[0], settings.val_share, seed)
    return Splits(*parts)


def _world_split(folder: Path, name: str) -> tuple[Example, ...]:
    subtype = f"{name}2014"
    questions = folder / f"OpenEnded_mscoco_{subtype}_questions.json"
    annotations = folder / f"mscoco_{subtype}_annotations.json"
    return tuple(read_official(questions, annotations, folder / subtype))
