"""A selector: it retrieves from a bank the demonstrations to show for a new query."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as ManyOf
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from shotsmith.embeddings.cached import embed_examples
from shotsmith.embeddings.embedded import Embedded, Encoder
from shotsmith.errors import InputError
from shotsmith.library.bank import Bank, Id, Source
from shotsmith.library.cache import cache_folder
from shotsmith.library.card import Card
from shotsmith.library.choosing import Asked, Choice, Chooser, FreeChooser, PolicyChooser, Rows
from shotsmith.library.exported import Contents
from shotsmith.library.familiar import Familiar
from shotsmith.library.filling import NewEntries, add_to, open_bank
from shotsmith.library.milvus import MilvusBank
from shotsmith.library.pictures import Pictures
from shotsmith.library.pretrained import Pretrained
from shotsmith.library.prompting import Prompting
from shotsmith.library.queries import Query, embed_few
from shotsmith.library.selection import Selection, Stopped
from shotsmith.progress import Progress, Silent
from shotsmith.records import Example

FALLBACK = "mixed"
"""What chooses for unfamiliar queries where a fallback is asked for."""


class Selector(Pretrained):
    """Retrieves demonstrations for queries, in the order in which they are to be shown.

    Make one with `shotsmith.load` or `shotsmith.selector`. Its methods may be called from several threads.
    """

    def __init__(
        self,
        card: Card,
        chooser: Chooser,
        encoder: Callable[[], Encoder],
        *,
        own_bank: Callable[[], tuple[Bank, Embedded | None]] | None = None,
        familiar: Familiar | None = None,
    ) -> None:
        """`encoder` and `own_bank` are called when they are first needed; `own_bank` gives the bank that the selector
        brings along, and its embeddings where they are at hand."""
        self.card = card
        self.prompting = Prompting(card.vlm)
        self.familiar = familiar
        self.chooser = chooser
        self._fallback = FreeChooser(FALLBACK)
        self._load_encoder = encoder
        self._own_bank = own_bank
        self._bank: Bank | MilvusBank | None = None
        self._embedded: Embedded | None = None
        self._removed: set[int] = set()
        self._lock = threading.RLock()
        self._pictures = tempfile.TemporaryDirectory(prefix="shotsmith-pictures-")

    def __repr__(self) -> str:
        """Name and bank."""
        return f"<Selector {self.card.name!r}, {'no bank' if self._bank is None else f'{len(self._bank)} examples'}>"

    @property
    def name(self) -> str:
        """Name of the run it was trained in, or of the training-free selector."""
        return self.card.name

    @property
    def bank(self) -> Bank:
        """The bank it chooses from, removed examples included: the one given to `index`, or else its own.

        Raises InputError where there is neither, and where the bank is in a database.
        """
        bank = self._entries
        if isinstance(bank, MilvusBank):
            raise InputError("the examples of a bank in a database are not read as a whole")
        return bank

    @property
    def embedded(self) -> Embedded:
        """The embeddings of the bank."""
        with self._lock:
            _ = self.bank
            assert self._embedded is not None
            return self._embedded

    @property
    def can_stop(self) -> bool:
        """Whether it can decide how many demonstrations to show (`shots="auto"`)."""
        return self.chooser.can_stop

    def index(
        self,
        source: Source | MilvusBank | None = None,
        *,
        columns: Mapping[str, str | None] | None = None,
        embeddings: Embedded | None = None,
        into: MilvusBank | None = None,
        progress: Progress | None = None,
    ) -> Selector:
        """Choose from this bank from now on; returns the selector itself.

        `source` and `columns` are as in `Bank.of`; None stands for the bank that the selector brings along. Embeddings
        are computed once for a content and kept in the cache folder, unless they are given.

        `into` writes the bank into a database and chooses from there; a `MilvusBank` as `source` is one that has been
        written. Examples whose id the database has are passed over, so that the same call goes on with what was
        interrupted. Rows of an iterator are never all in memory.

        Raises InputError where the bank is at fault or has another width than the selector reads, and where a database
        holds the keys of another policy.
        """
        with self._lock:
            if isinstance(source, MilvusBank):
                self._index_stored(source)
            elif into is not None:
                source, embeddings = self._brought() if source is None else (source, embeddings)
                self._index_stored(into, NewEntries(source, columns, embeddings, progress or Silent()))
            elif source is None:
                self._index_own(progress)
            else:
                bank = Bank.of(source, columns)
                if embeddings is not None and len(embeddings.questions) != len(bank):
                    raise InputError(f"there are embeddings of {len(embeddings.questions)} examples, not {len(bank)}")
                self._take(bank, embeddings, progress)
        return self

    def add(self, source: Source, *, columns: Mapping[str, str | None] | None = None) -> tuple[Id, ...]:
        """Put further examples into the bank; returns their ids. Only they are embedded.

        The id of a removed example can be given again: it then means the new example. Raises InputError where an
        example that was not removed has the id.
        """
        with self._lock:
            if isinstance(store := self._entries, MilvusBank):
                return add_to(store, self._searching.pointer, Bank.of(source, columns), self.encoder, self._like)
            bank = self.bank
            numbers = [one for one in bank.ids if isinstance(one, int)]
            more = Bank.of(source, columns, first=max(numbers, default=-1) + 1)
            joined = bank.extended(more, self._removed)
            embedded = self._embed_few(more.examples)
            self.chooser.add(more.examples, embedded)
            self._fallback.add(more.examples, embedded)
            self._bank, self._embedded = joined, self.embedded + embedded
        return more.ids

    def remove(self, ids: Iterable[Id]) -> None:
        """Never show these examples again. Raises InputError for an id that is not in the bank."""
        with self._lock:
            if isinstance(store := self._entries, MilvusBank):
                store.remove(tuple(dict.fromkeys(ids)))
                return
            rows = np.array(sorted({self.bank.row(one) for one in ids}), dtype=np.int64)
            if len(self._removed | set(rows.tolist())) >= len(self.bank):
                raise InputError("the last example of a bank cannot be removed")
            self.chooser.remove(rows)
            self._fallback.remove(rows)
            self._removed.update(rows.tolist())

    def __len__(self) -> int:
        """Examples that can be shown."""
        return len(self._entries) - len(self._removed)

    def remaining(self) -> tuple[Bank, Embedded]:
        """The bank without removed examples, and its embeddings."""
        with self._lock:
            bank, embedded = self.bank, self.embedded
            rows = [row for row in range(len(bank)) if row not in self._removed]
            return bank.only(rows), embedded.rows(np.array(rows, dtype=np.int64))

    def contents(self) -> Contents:
        """What `save` writes."""
        bank, embedded = self.remaining()
        identity = self.card.encoder_identity or self.encoder.identity
        return Contents(self.card, self.chooser, bank, embedded, self.familiar, identity)

    def select(
        self,
        *,
        question: str,
        image: Pictures = None,
        shots: int | Literal["auto"] = 4,
        pool: Iterable[Id] | None = None,
        exclude: Iterable[Id] = (),
        max_tokens: int | None = None,
        unfamiliar: Literal["flag", "fallback"] = "flag",
    ) -> Selection:
        """The demonstrations to show for one query.

        `image` is a path, an encoded file in memory, an image of Pillow, or a list of these. `shots` is the number of
        demonstrations, 0 included; 'auto' lets a policy decide that has learned to stop. `pool` are the ids of the only
        examples that may be shown, `exclude` of those that must not be. `max_tokens` bounds the prompt: the
        demonstrations farthest from the query are left out first. An unfamiliar query is flagged, or ('fallback') gets
        similarity search.

        Raises InputError for an empty question, an image that is not there, an unknown id, or more shots than there
        are examples; DataError for a damaged image.
        """
        query = Query(question, image, tuple(exclude))
        return self.select_many([query], shots=shots, pool=pool, max_tokens=max_tokens, unfamiliar=unfamiliar)[0]

    def select_many(
        self,
        queries: Iterable[Query | Mapping[str, Any]],
        *,
        shots: int | Literal["auto"] = 4,
        pool: Iterable[Id] | None = None,
        max_tokens: int | None = None,
        unfamiliar: Literal["flag", "fallback"] = "flag",
    ) -> list[Selection]:
        """As `select`, for many queries: `Query`s, or mappings with `question` and perhaps `image` (or `images`)."""
        asked = [Query.of(query, number) for number, query in enumerate(queries)]
        folder = Path(self._pictures.name)
        examples = tuple(query.example(number, folder) for number, query in enumerate(asked))
        embedded = self._embed_few(examples) if examples else None
        return (
            []
            if embedded is None
            else self.select_embedded(
                examples,
                embedded,
                shots=shots,
                pool=pool,
                exclude=[query.exclude for query in asked],
                max_tokens=max_tokens,
                unfamiliar=unfamiliar,
            )
        )

    def select_embedded(
        self,
        examples: tuple[Example, ...],
        embedded: Embedded,
        *,
        shots: int | Literal["auto"] = 4,
        pool: Iterable[Id] | None = None,
        exclude: ManyOf[Iterable[Id]] | None = None,
        max_tokens: int | None = None,
        unfamiliar: Literal["flag", "fallback"] = "flag",
    ) -> list[Selection]:
        """As `select_many`, for queries whose embeddings are known."""
        with self._lock:
            bank = self._entries
            if isinstance(bank, MilvusBank) and unfamiliar == "fallback":
                raise InputError("a bank in a database has no similarity search to fall back on", field="unfamiliar")
            rows = None if pool is None else _rows(bank, pool)
            barred = [_rows(bank, some) for some in exclude] if exclude is not None else [_NONE] * len(examples)
            wanted = self._shots(shots, rows, barred)
            asked = Asked(examples, embedded, wanted, barred, rows)
            choices = self.chooser.choose(asked)
            familiarity = None if self.familiar is None else self.familiar.of(embedded)
            by = [self.name] * len(examples)
            if self.familiar is not None and familiarity is not None and unfamiliar == "fallback":
                for place in np.flatnonzero(familiarity < self.familiar.below).tolist():
                    one = replace(
                        asked,
                        queries=(examples[place],),
                        embedded=embedded.rows(np.array([place])),
                        barred=[barred[place]],
                    )
                    choices[place], by[place] = self._fallback.choose(one)[0], FALLBACK
        return [
            self._selection(
                example,
                bank,
                choice,
                name,
                wanted,
                max_tokens,
                None if familiarity is None else float(familiarity[place]),
            )
            for place, (example, choice, name) in enumerate(zip(examples, choices, by, strict=True))
        ]

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder of images and texts. Raises InputError where it is not the one that the selector knows."""
        encoder = self._load_encoder()
        if self.card.encoder_identity and encoder.identity != self.card.encoder_identity:
            raise InputError(
                f"the selector was trained with the encoder {self.card.encoder_identity[:23]}..., and "
                f"{self.card.encoder.named} is {encoder.identity[:23]}..."
            )
        return encoder

    def _selection(
        self,
        query: Example,
        bank: Bank | MilvusBank,
        choice: Choice,
        chosen_by: str,
        wanted: int,
        max_tokens: int | None,
        familiarity: float | None,
    ) -> Selection:
        stopped: Stopped = "shots" if len(choice.rows) >= wanted else "policy" if self.can_stop else "bank"
        selection = Selection(
            query,
            *bank.at(choice.rows),
            choice.scores,
            chosen_by,
            stopped,
            familiarity,
            self.familiar is not None and familiarity is not None and familiarity < self.familiar.below,
            prompting=self.prompting,
        )
        return selection.within(max_tokens)

    def _shots(self, shots: int | Literal["auto"], pool: Rows | None, barred: ManyOf[Rows]) -> int:
        """How many demonstrations at most. Raises InputError where there are not so many."""
        gone = np.array(sorted(self._removed), dtype=np.int64)
        every = len(self) if pool is None else len(np.setdiff1d(pool, gone))
        inside = (some if pool is None else np.intersect1d(some, pool) for some in barred)
        left = min((every - len(np.setdiff1d(some, gone)) for some in inside), default=0)
        if shots == "auto":
            if not self.can_stop:
                raise InputError("this selector cannot decide how many to show: give a number", field="shots")
            return min(max(self.card.shots), left)
        if isinstance(shots, bool) or not isinstance(shots, int) or shots < 0:
            raise InputError(f"is neither a whole number nor 'auto': {shots!r}", field="shots")
        if shots > left:
            raise InputError(f"{shots} demonstrations cannot be chosen from {left}", field="shots")
        return shots

    def _index_own(self, progress: Progress | None = None) -> None:
        self._take(*self._brought(), progress)

    def _brought(self) -> tuple[Bank, Embedded | None]:
        if self._own_bank is None:
            raise InputError(f"the selector '{self.name}' brings no bank along: give it one with index(...)")
        return self._own_bank()

    def _index_stored(self, store: MilvusBank, new: NewEntries | None = None) -> None:
        """Choose from a bank in a database, after writing new entries into it."""
        chooser = self._searching
        like = open_bank(store, chooser.pointer, self.encoder, new, averaged=self.card.encoder.joined == "mean")
        chooser.search_in(store)
        self._bank, self._embedded, self._removed = store, like, set()

    @property
    def _searching(self) -> PolicyChooser:
        """What can search in a database. Raises InputError for a selector that needs no training."""
        if not isinstance(self.chooser, PolicyChooser):
            raise InputError("a bank in a database is searched by the keys of a trained policy; this selector has none")
        return self.chooser

    @property
    def _entries(self) -> Bank | MilvusBank:
        """The bank, wherever it is. Raises InputError where there is none."""
        with self._lock:
            if self._bank is None:
                self._index_own()
            assert self._bank is not None
            return self._bank

    def _take(self, bank: Bank, embedded: Embedded | None, progress: Progress | None) -> None:
        if embedded is None:
            file = cache_folder() / "embeddings" / f"{bank.digest[:40]}-{self.encoder.identity[-12:]}.safetensors"
            found = embed_examples(
                bank.examples, self.encoder, file, progress or Silent(), text_only=not bank.has_images
            )
            embedded = replace(found, averaged=self.card.encoder.joined == "mean")
        self.chooser.index(bank.examples, embedded)
        self._fallback.index(bank.examples, embedded)
        self._bank, self._embedded, self._removed = bank, embedded, set()

    def _embed_few(self, examples: ManyOf[Example]) -> Embedded:
        """Embeddings that are kept nowhere, as wide as those of the bank."""
        return embed_few(examples, self.encoder, self._like)

    @property
    def _like(self) -> Embedded:
        """Embeddings as wide as those of the bank."""
        _, like = self._entries, self._embedded
        assert like is not None
        return like


_NONE: Rows = np.empty(0, dtype=np.int64)


def _rows(bank: Bank | MilvusBank, ids: Iterable[Id]) -> Rows:
    return np.array(sorted({bank.row(one) for one in ids}), dtype=np.int64)
