"""A bank in a Milvus database: keys to search by, and the examples beside them.

One collection holds one bank under the keys of one policy: what these were made from stands in its description. Each
entry has a row, a number that follows from its id, so that writing an entry twice changes nothing.

Axes: R entries, n vectors, K width of a key, D embedding width.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from shotsmith.embeddings.embedded import Floats
from shotsmith.errors import InputError, ShotsmithError
from shotsmith.recipe.base import Settings
from shotsmith.records import Example

Id = int | str
Rows = npt.NDArray[np.int64]

_NUMBERS = 2**62
"""Ids that are numbers from 0 to this are rows themselves; the rows of others are hashes above it."""
_NOTE = "shotsmith"
"""The property of a collection that says what its keys were made from."""
_MESSAGE = 16 * 2**20
"""Bytes of vectors that are written or read at a time; servers take 64 MiB by default."""


class Note(Settings):
    """What the keys of a collection were made from."""

    format: Literal[1] = 1
    policy: str
    """Digest of the policy (policies.stored.policy_digest)."""
    encoder: str
    """Identity of the encoder."""
    images: int
    """Di, the width of image embeddings; 0 where examples have no images."""
    questions: int
    """Dt, the width of question embeddings."""
    averaged: bool
    """Whether policies see the mean of both."""
    keys: int
    """K."""
    embeddings_at: int | None
    """The column of a key in which its embedding starts; None where embeddings are in a field of their own."""

    @property
    def width(self) -> int:
        """D."""
        return self.questions if self.averaged else self.images + self.questions

    @property
    def rows_at_a_time(self) -> int:
        """Entries whose vectors go into one message."""
        return max(1, _MESSAGE // (4 * (self.keys + self.width)))


class MilvusBank:
    """Examples with known answers in a collection of a Milvus server, of Zilliz Cloud, or of a local file.

    `Selector.index` writes a bank into it (`into=`) or chooses from what it holds. Needs shotsmith[milvus].
    """

    most = 16_384
    """Entries that a search can find at most, a limit of Milvus."""

    def __init__(
        self,
        uri: str | Path,
        collection: str,
        *,
        token: str = "",
        index: Mapping[str, Any] | None = None,
        search: Mapping[str, Any] | None = None,
    ) -> None:
        """`uri` is `http://host:19530`, or a local file for Milvus Lite; `token` a key, or `user:password`.

        `index` says which index Milvus builds when the collection is made (`{"index_type": "HNSW_SQ", "params":
        {...}}`; by default the choice is left to Milvus), and `search` gives the parameters of a search
        (`{"ef": 2048}`). Raises InputError where pymilvus is not installed.
        """
        if importlib.util.find_spec("pymilvus") is None:
            raise InputError("a bank in Milvus needs the package pymilvus: pip install 'shotsmith[milvus]'")
        self.collection = collection
        self._uri, self._token = str(uri), token
        self._index = dict(index or {"index_type": "AUTOINDEX"})
        self._search = dict(search or {})
        self._count: int | None = None

    def __repr__(self) -> str:
        """The collection."""
        return f"<MilvusBank {self.collection!r}>"

    def __len__(self) -> int:
        """Number of entries, as this process last knew it."""
        if self._count is None:
            with self._told():
                found = self._client.query(
                    self.collection, filter="", output_fields=["count(*)"], consistency_level="Strong"
                )
            self._count = int(found[0]["count(*)"])
        return self._count

    @cached_property
    def note(self) -> Note:
        """What the keys were made from. Raises InputError where there is no such collection, or it is another's."""
        if not self.exists:
            raise self._fault("there is no such collection: write a bank into it with Selector.index(..., into=...)")
        with self._told():
            described = self._client.describe_collection(self.collection)
        try:
            return Note.model_validate_json(described["properties"].get(_NOTE) or described["description"] or "null")
        except ValidationError as error:
            raise self._fault("the collection was not made by Shotsmith") from error

    @property
    def exists(self) -> bool:
        """Whether there is such a collection."""
        with self._told():
            return bool(self._client.has_collection(self.collection))

    def open(self, note: Note) -> None:
        """Make the collection ready for searches. Raises InputError where its keys were not made as `note` says."""
        if self.note.policy != note.policy:
            raise self._fault("its keys are those of another policy: write the bank into another collection")
        if self.note != note:
            raise self._fault(f"its keys are those of other embeddings: it has {self.note}, not {note}")
        with self._told():
            self._client.load_collection(self.collection)

    def make(self, note: Note) -> None:
        """Make the collection, where it is not there."""
        if self.exists:
            return
        from pymilvus import DataType

        with self._told():
            schema = self._client.create_schema(description=note.model_dump_json())
            schema.add_field("row", DataType.INT64, is_primary=True)
            schema.add_field("id", DataType.VARCHAR, max_length=4096)
            schema.add_field("example", DataType.JSON)
            schema.add_field("key", DataType.FLOAT_VECTOR, dim=note.keys)
            built = self._client.prepare_index_params()
            built.add_index("key", metric_type="IP", **self._index)
            if note.embeddings_at is None:
                schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=note.width)
                built.add_index("embedding", metric_type="IP", index_type="FLAT")
            told = {_NOTE: note.model_dump_json()}  # Milvus Lite keeps properties alone, and no description
            self._client.create_collection(self.collection, schema=schema, index_params=built, properties=told)

    def finish(self) -> None:
        """Have the database build its index over what was written."""
        with self._told():
            self._client.flush(self.collection)

    def row(self, one: Id) -> int:
        """The row of an id, whether or not the bank has it."""
        if isinstance(one, int) and not isinstance(one, bool) and 0 <= one < _NUMBERS:
            return int(one)
        return _NUMBERS + (int.from_bytes(hashlib.sha256(repr(one).encode()).digest()[:8], "big") >> 2)

    def present(self, ids: Sequence[Id]) -> npt.NDArray[np.bool_]:
        """Which ids the bank has [R]. Raises InputError where two ids have one row, which is all but impossible."""
        rows = [self.row(one) for one in ids]
        with self._told():
            found = self._client.get(self.collection, rows, output_fields=["row", "id"], consistency_level="Strong")
        names = {one["row"]: json.loads(one["id"]) for one in found}
        for row, one in zip(rows, ids, strict=True):
            if names.get(row, one) != one:
                raise self._fault(f"the ids {one!r} and {names[row]!r} have the same row: rename one of them")
        return np.array([row in names for row in rows], dtype=bool)

    def write(self, ids: Sequence[Id], examples: Sequence[Example], keys: Floats, embeddings: Floats) -> None:
        """Write R entries with keys [R, K] and embeddings [R, D], in the place of any that have the same ids."""
        entries: list[dict[str, Any]] = [
            {"row": self.row(one), "id": json.dumps(one), "example": _told(example), "key": key}
            for one, example, key in zip(ids, examples, keys, strict=True)
        ]
        if self.note.embeddings_at is None:
            for entry, embedding in zip(entries, embeddings, strict=True):
                entry["embedding"] = embedding
        with self._told():
            self._client.upsert(self.collection, entries)
        self._count = None

    def remove(self, ids: Sequence[Id]) -> None:
        """Remove entries. Raises InputError for an id that is not in the bank."""
        there = self.present(ids)
        if not there.all():
            raise InputError(f"the bank has no example with the id {ids[int(there.argmin())]!r}")
        with self._told():
            self._client.delete(self.collection, ids=[self.row(one) for one in ids])
        self._count = None

    def search(self, vectors: Floats, count: int) -> Rows:
        """Rows [n, count] with high inner products of key and vector [n, K], best first; -1 where there are fewer."""
        found = np.full((len(vectors), count), -1, dtype=np.int64)
        with self._told():
            hits = self._client.search(
                self.collection,
                data=list(vectors),
                anns_field="key",
                limit=count,
                search_params={"metric_type": "IP", "params": self._search},
                consistency_level="Session",
            )
        for row, some in zip(found, hits, strict=True):
            row[: len(some)] = [hit["row"] for hit in some]
        return found

    def embeddings(self, rows: Rows) -> Floats:
        """The embeddings [R, D] of rows [R]. Raises InputError for a row that is not there."""
        start, width = self.note.embeddings_at, self.note.width
        field, columns = ("embedding", slice(None)) if start is None else ("key", slice(start, start + width))
        found = np.empty((len(rows), width), dtype=np.float32)
        for place, entry in enumerate(self._read(rows.tolist(), field)):
            found[place] = entry[field][columns]
        return found

    def at(self, rows: Sequence[int]) -> tuple[tuple[Example, ...], tuple[Id, ...]]:
        """The examples of rows, and their ids. Raises InputError for a row that is not there."""
        found = list(self._read(rows, "id", "example"))
        return tuple(_example(one["example"]) for one in found), tuple(json.loads(one["id"]) for one in found)

    def _read(self, rows: Sequence[int], *fields: str) -> Iterator[Mapping[str, Any]]:
        """Fields of rows, in order."""
        step = min(self.note.rows_at_a_time, self.most)
        for start in range(0, len(rows), step):
            some = list(rows[start : start + step])
            with self._told():
                answer = self._client.get(
                    self.collection, some, output_fields=["row", *fields], consistency_level="Session"
                )
            found = {entry["row"]: entry for entry in answer}
            if missing := [row for row in some if row not in found]:
                raise self._fault(f"it has no entry at row {missing[0]}: it was removed meanwhile, or never written")
            yield from (found[row] for row in some)

    @cached_property
    def _client(self) -> Any:
        from pymilvus import MilvusClient

        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it would log what is raised, with a traceback
        return MilvusClient(self._uri, token=self._token)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the database in one line. Raises ShotsmithError."""
        from pymilvus.exceptions import MilvusException

        try:
            yield
        except MilvusException as error:
            raise ShotsmithError(f"Milvus collection '{self.collection}': {error.message}") from error

    def _fault(self, problem: str) -> InputError:
        return InputError(f"Milvus collection '{self.collection}': {problem}")


def _told(example: Example) -> dict[str, Any]:
    told = asdict(example)
    del told["place"]
    return {**told, "images": [str(image.absolute()) for image in example.images]}


def _example(told: Mapping[str, Any]) -> Example:
    lists = {name: tuple(told[name]) for name in ("answers", "options")}
    return Example(**{**told, **lists, "images": tuple(map(Path, told["images"]))})
