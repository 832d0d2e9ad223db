"""What a data set with faults leaves out: counted, listed in a file, and the same at every later look."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from shotsmith.data.images import load_image
from shotsmith.data.splits import Splits
from shotsmith.errors import DataError
from shotsmith.files import write_text
from shotsmith.records import Example
from shotsmith.runs import read_rows

_FIELDS = ("file", "row", "field", "problem")
_TOLD = 5
"""So many faults stand in the log."""

logger = logging.getLogger(__name__)


class Skipped:
    """Collects faults (call it as an `OnFault`), or holds those that `file` lists from an earlier look."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._listed = file is not None and file.exists()
        self.faults: list[Mapping[str, object]] = [] if file is None else [*read_rows(file, _FIELDS)]
        self._known = {_key(fault) for fault in self.faults}

    def __call__(self, fault: DataError) -> None:
        """Note a fault. Raises it where there is a list that lacks it: the data have changed since."""
        told: Mapping[str, object] = {name: getattr(fault, name) for name in _FIELDS}
        if _key(told) in self._known:
            return
        if self._listed:
            raise fault
        self._known.add(_key(told))
        self.faults.append(told)

    def without_bad_images(self, splits: Splits) -> Splits:
        """The splits without the examples of which an image cannot be decoded. Decodes each image, once for a list."""
        if not self._listed:
            for examples in (*splits.named().values(), splits.own_bank or ()):
                self._decode(examples)
        bad = {fault["file"] for fault in self.faults}

        def kept(part: Sequence[Example]) -> tuple[Example, ...]:
            return tuple(one for one in part if not any(str(image) in bad for image in one.images))

        own_bank = None if splits.own_bank is None else kept(splits.own_bank)
        return Splits(kept(splits.train), kept(splits.val), kept(splits.test), own_bank)

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

    def _decode(self, examples: Sequence[Example]) -> None:
        questions: dict[Path, list[int]] = defaultdict(list)
        for example in examples:
            for image in dict.fromkeys(example.images):
                questions[image].append(example.id)
        for image, ids in questions.items():
            try:
                load_image(image)
            except DataError as fault:
                asked = f"{fault.problem} (questions {', '.join(map(str, ids))})"
                self(DataError(asked, file=image))


def _key(fault: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(fault[name] for name in _FIELDS)


def _error(fault: Mapping[str, object]) -> DataError:
    file, row, field, problem = (fault[name] for name in _FIELDS)
    return DataError(
        str(problem),
        file=str(file),
        row=row if isinstance(row, int) else None,
        field=None if field is None else str(field),
    )
