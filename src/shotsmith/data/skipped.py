"""What a data set with faults leaves out: counted, listed in a file, and the same at every later look."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from shotsmith.data.images import load_image
from shotsmith.data.splits import Splits
from shotsmith.data.usable import Objection
from shotsmith.errors import DataError, InputError
from shotsmith.files import file_digest, read_rows, write_text
from shotsmith.records import Example

_FIELDS = ("file", "row", "field", "problem")
_CONTENT = "content"
"""Digest of an image that is left out: it is known again where the data have been moved."""
_TOLD = 5
"""So many faults stand in the log."""
_ROWS_TOLD = 20
"""So many rows of an image stand in its fault."""

logger = logging.getLogger(__name__)


class Skipped:
    """Collects faults (call it as an `OnFault`), or holds those that `file` lists from an earlier look.

    A fault is the same at a later look where file, row and field are: what is wrong there may be told in other words,
    as paths of images are where the data have been moved.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._listed = file is not None and file.exists()
        self.faults: list[Mapping[str, object]] = [] if file is None else [*read_rows(file, _FIELDS)]
        self._known = {_key(fault) for fault in self.faults}

    def __call__(self, fault: DataError) -> None:
        """Note a fault. Raises it where there is a list that lacks it: the data have changed since."""
        self._note(fault)

    def without_unusable(self, splits: Splits, objection: Objection | None = None) -> Splits:
        """The splits without the examples of which an image cannot be decoded, or that `objection` is about.

        Decodes each image, once for a list.
        """
        if not self._listed:
            for examples in (*splits.named().values(), splits.own_bank or ()):
                bad = self._decode(examples)
                if objection is None:
                    continue
                for example in examples:
                    if bad.isdisjoint(example.images) and (found := objection(example)) is not None:
                        self(found)
        kept = _Kept(self.faults)
        own_bank = None if splits.own_bank is None else kept.of(splits.own_bank)
        return Splits(kept.of(splits.train), kept.of(splits.val), kept.of(splits.test), own_bank)

    def tell(self) -> None:
        """Write the list, also an empty one, and log how many there are and the first of them; once."""
        if self._listed:
            return
        if self._file is not None:
            write_text(self._file, "".join(json.dumps(fault, ensure_ascii=False) + "\n" for fault in self.faults))
        if self.faults:
            first = "; ".join(str(_error(fault)) for fault in self.faults[:_TOLD])
            more = "; ..." if len(self.faults) > _TOLD else ""
            logger.warning("%d faults in the data, left out: %s%s", len(self.faults), first, more)

    def _note(self, fault: DataError, **more: object) -> None:
        told: Mapping[str, object] = {name: getattr(fault, name) for name in _FIELDS} | more
        if _key(told) in self._known:
            return
        if self._listed:
            raise fault
        self._known.add(_key(told))
        self.faults.append(told)

    def _decode(self, examples: Sequence[Example]) -> set[Path]:
        """Note each image that cannot be decoded, with the questions about it and their rows; returns them."""
        asking: dict[Path, list[Example]] = defaultdict(list)
        for example in examples:
            for image in dict.fromkeys(example.images):
                asking[image].append(example)
        bad = set()
        for image, those in asking.items():
            try:
                load_image(image)
            except DataError as fault:
                bad.add(image)
                questions = ", ".join(str(example.id) for example in those[:_ROWS_TOLD])
                asked = f"{fault.problem} (questions {questions}{_rows(those)})"
                self._note(DataError(asked, file=image), **{_CONTENT: _content(image)})
        return bad


class _Kept:
    """Tells the examples that a list leaves out from the others."""

    def __init__(self, faults: Iterable[Mapping[str, object]]) -> None:
        faults = list(faults)
        self._rows = {(fault["file"], fault["row"]) for fault in faults if fault["row"] is not None}
        self._images = {fault["file"] for fault in faults if fault["row"] is None}
        moved = [fault for fault in faults if fault["row"] is None and not Path(str(fault["file"])).exists()]
        self._contents = {fault.get(_CONTENT) for fault in moved} - {None}

    def of(self, part: Sequence[Example]) -> tuple[Example, ...]:
        return tuple(one for one in part if one.place not in self._rows and not any(map(self._is_bad, one.images)))

    def _is_bad(self, image: Path) -> bool:
        return str(image) in self._images or (bool(self._contents) and _content(image) in self._contents)


def _rows(examples: Sequence[Example]) -> str:
    """Where the examples were read."""
    by_file: dict[str, list[int]] = defaultdict(list)
    for example in examples:
        if example.place is not None:
            by_file[example.place[0]].append(example.place[1])
    return "".join(f"; rows {', '.join(map(str, rows[:_ROWS_TOLD]))} of {file}" for file, rows in by_file.items())


def _content(image: Path) -> str | None:
    try:
        return file_digest(image)
    except InputError:
        return None


def _key(fault: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(fault[name] for name in ("file", "row", "field"))


def _error(fault: Mapping[str, object]) -> DataError:
    file, row, field, problem = (fault[name] for name in _FIELDS)
    return DataError(
        str(problem),
        file=str(file),
        row=row if isinstance(row, int) else None,
        field=None if field is None else str(field),
    )
