"""Which entries of the bank a query must not be shown: itself, its images, and duplicates of it.

A duplicate has the same content under another name: an image file of the same bytes or, without images, the same text.
Of an example with several images each counts: an entry that shares one of them with the query is barred.
Where a threshold is given, an entry whose embedding is nearly the same is a duplicate too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from shotsmith.data.identity import follows_content
from shotsmith.files import file_digest
from shotsmith.records import Example

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Reason = Literal["itself", "image", "content", "similarity"]
"""Why an entry is barred. Of several reasons the first one counts."""

_BLOCK = 256
"""Queries whose cosines with the whole bank are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Barred:
    """The entries of a bank that must not be shown to each of some queries."""

    rows: list[Rows]
    """For each query the rows of the bank, ascending."""
    reasons: Mapping[Reason, int]
    """Pairs of a query and an entry that is barred from it, by reason."""

    @property
    def counts(self) -> dict[str, int]:
        """Number of queries, of those with a barred entry ('affected'), and of barred pairs by reason."""
        affected = sum(len(rows) > 0 for rows in self.rows)
        by_reason = {reason: self.reasons.get(reason, 0) for reason in get_args(Reason)}
        return {"queries": len(self.rows), "affected": affected, **by_reason}

    def with_similar(self, queries: Floats, bank: Floats, threshold: float) -> Barred:
        """Bar also the entries whose cosine with the query is above `threshold`.

        `queries` [Q, D] and `bank` [N, D] are embeddings of unit length.
        """
        rows: list[Rows] = []
        for start in range(0, len(self.rows), _BLOCK):
            similar = queries[start : start + _BLOCK] @ bank.T > threshold
            before = self.rows[start : start + _BLOCK]
            rows += [np.union1d(old, np.flatnonzero(new)) for old, new in zip(before, similar, strict=True)]
        more = sum(map(len, rows)) - sum(map(len, self.rows))
        return Barred(rows, {**self.reasons, "similarity": more})


class BarringIndex:
    """The examples of a bank by what makes them equal to a query. Each file's size is read once."""

    def __init__(self, bank: Sequence[Example]) -> None:
        self._by_id = _rows_by(example.id for example in bank)
        self._by_image = _rows_by(example.image_id for example in bank)
        self._by_text = _rows_by(None if example.images else _text(example) for example in bank)
        self._by_file: defaultdict[Path, list[int]] = defaultdict(list)
        self._files: defaultdict[int | None, list[Path]] = defaultdict(list)
        for row, example in enumerate(bank):
            for image in dict.fromkeys(example.images):
                self._by_file[image].append(row)
        for image in self._by_file:
            self._files[_size(image)].append(image)
        self._by_digest: dict[int, Mapping[Hashable, list[int]]] = {}

    def barred(self, queries: Iterable[Example]) -> Barred:
        """What each query must not be shown, by id, image and content."""
        rows: list[Rows] = []
        reasons: Counter[Reason] = Counter()
        for query in queries:
            found: dict[int, Reason] = dict.fromkeys(self._same_content(query), "content")
            if query.images:
                found |= dict.fromkeys(self._same_image(query, found), "image")
            found |= dict.fromkeys(self._by_id.get(query.id, ()), "itself")
            reasons.update(found.values())
            rows.append(np.array(sorted(found), dtype=np.int64))
        return Barred(rows, reasons)

    def _same_image(self, query: Example, same_content: Collection[int]) -> Iterable[int]:
        """Rows with the query's image id; without those of the same content where the id says only what is shown."""
        rows = self._by_image.get(query.image_id, ())
        if not set(rows) & set(same_content) or not follows_content(query):
            return rows
        own = {row for image in query.images for row in self._by_file.get(image, ())}
        return [row for row in rows if row not in same_content or row in own]

    def _same_content(self, query: Example) -> Iterable[int]:
        """Rows with the bytes of one of the query's image files or, without images, with its text."""
        if not query.images:
            return {*self._by_text.get(_text(query), ()), *self._by_image.get(query.image_id, ())}
        return {row for image in query.images for row in self._same_file(image)}

    def _same_file(self, image: Path) -> Iterable[int]:
        """Rows with an image file of the same bytes.

        Files are read only where another one has the same size. A file that is missing equals no other: reading it for
        an embedding or a prompt is the error.
        """
        size = _size(image)
        files = self._files.get(size, [])
        if size is None or not files or files == [image]:
            return self._by_file.get(image, ())
        if size not in self._by_digest:
            by_digest: defaultdict[Hashable, list[int]] = defaultdict(list)
            for file in files:
                by_digest[file_digest(file)] += self._by_file[file]
            self._by_digest[size] = by_digest
        return self._by_digest[size].get(file_digest(image), ())


def barred_rows(queries: Sequence[Example], bank: Sequence[Example]) -> list[Rows]:
    """For each query the rows of the bank with its id, one of its images or its content, ascending."""
    return BarringIndex(bank).barred(queries).rows


def _rows_by(keys: Iterable[Hashable | None]) -> dict[Hashable, list[int]]:
    rows: defaultdict[Hashable, list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        if key is not None:
            rows[key].append(row)
    return dict(rows)


def _text(example: Example) -> str:
    """The text of an example without an image; blanks do not tell texts apart."""
    return " ".join(example.question.split())


def _size(file: Path) -> int | None:
    """The size in bytes; None where the file is missing."""
    try:
        return file.stat().st_size
    except OSError:
        return None
