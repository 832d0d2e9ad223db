"""Writing a bank into a database, batch by batch: what is there already is passed over, so that writing can go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shotsmith.embeddings.embedded import Embedded, Encoder
from shotsmith.errors import InputError
from shotsmith.library.bank import Bank, Id, Source
from shotsmith.library.milvus import MilvusBank, Note
from shotsmith.library.queries import embed_few
from shotsmith.policies.pointer import PointerPolicy
from shotsmith.policies.stored import check_searches, policy_digest, stored_keys
from shotsmith.progress import Progress, Silent
from shotsmith.records import Example

_TOGETHER = 4096
"""Entries that are embedded and written at a time, at most."""

Embed = Callable[[Sequence[Example]], Embedded]
"""Computes the embeddings of examples."""


@dataclass(frozen=True, slots=True)
class NewEntries:
    """What is to be written into a database."""

    source: Source
    columns: Mapping[str, str | None] | None = None
    embeddings: Embedded | None = None
    """Those of all entries in order, where they are known."""
    progress: Progress = field(default_factory=Silent)


def open_bank(
    store: MilvusBank, policy: PointerPolicy, encoder: Encoder, new: NewEntries | None, *, averaged: bool
) -> Embedded:
    """Write new entries into the database, and check that its keys are those of the policy.

    Returns embeddings of no example, as wide as those of the bank. Raises InputError for a policy that
    cannot search in a database, and where the keys were made from something else, or there are none.
    """
    check_searches(policy)
    like = _nothing_embedded(policy, encoder, averaged=averaged)
    if new is not None and new.embeddings is not None:
        like = new.embeddings.rows(np.empty(0, dtype=np.int64))
    note = _note_of(policy, encoder, like)
    if new is not None:
        store.make(note)
    store.open(note)
    if new is not None:
        batches = _batches(new.source, new.columns, note.rows_at_a_time)
        _fill(store, policy, batches, partial(embed_few, encoder=encoder, like=like), new)
        store.finish()
    if not len(store):
        raise InputError("a bank needs at least one example")
    return like


def _note_of(policy: PointerPolicy, encoder: Encoder, like: Embedded) -> Note:
    width = like.joined.shape[1]
    if width != policy.embedding_width:
        raise InputError(f"the bank's embeddings have the width {width}, the policy reads {policy.embedding_width}")
    device = next(policy.parameters()).device
    keys, start = stored_keys(policy, torch.zeros(1, width, device=device))
    return Note(
        policy=policy_digest(policy),
        encoder=encoder.identity,
        images=like.images.shape[1],
        questions=like.questions.shape[1],
        averaged=like.averaged,
        keys=keys.shape[1],
        embeddings_at=start,
    )


def _nothing_embedded(policy: PointerPolicy, encoder: Encoder, *, averaged: bool) -> Embedded:
    """Without images where the policy reads texts alone."""
    images, questions = encoder.embed_images([]), encoder.embed_texts([])
    if policy.embedding_width == questions.shape[1] and not averaged:
        images = images[:, :0]
    return Embedded(images, questions, averaged)


def _fill(store: MilvusBank, policy: PointerPolicy, batches: Iterable[Bank], embed: Embed, new: NewEntries) -> None:
    """Write the entries that the database does not have yet."""
    device, start, embeddings = next(policy.parameters()).device, 0, new.embeddings
    known = None if embeddings is None else len(embeddings.questions)
    with new.progress.task("write the bank", known or 0) as advance:
        for batch in batches:
            if known is not None and start + len(batch) > known:
                raise InputError(f"there are embeddings of {known} examples, and there are more examples")
            rows = np.flatnonzero(~store.present(batch.ids))
            if len(rows):
                some = batch.only(rows.tolist())
                embedded = embed(some.examples) if embeddings is None else embeddings.rows(start + rows)
                joined = np.ascontiguousarray(embedded.joined, dtype=np.float32)
                keys, _ = stored_keys(policy, torch.from_numpy(joined).to(device))
                store.write(some.ids, some.examples, keys, joined)
            start += len(batch)
            advance(len(batch))
    if known is not None and start != known:
        raise InputError(f"there are embeddings of {known} examples, not {start}")


def add_to(store: MilvusBank, policy: PointerPolicy, bank: Bank, encoder: Encoder, like: Embedded) -> tuple[Id, ...]:
    """Write further entries, with embeddings as wide as `like`; their ids.

    Raises InputError where the database has an entry of one of these ids.
    """
    if (there := store.present(bank.ids)).any():
        raise InputError(f"two examples of the bank have the id {bank.ids[int(there.argmax())]!r}")
    batches = _batches(bank, None, store.note.rows_at_a_time)
    _fill(store, policy, batches, partial(embed_few, encoder=encoder, like=like), NewEntries(bank))
    return bank.ids


def _batches(source: Source, columns: Mapping[str, str | None] | None, size: int) -> Iterator[Bank]:
    """The examples of a source in banks of at most `size`; rows of an iterator are never all in memory."""
    size = min(size, _TOGETHER)
    if isinstance(source, Bank | str | Path) or hasattr(source, "column_names"):
        bank = Bank.of(source, columns)
        yield from (bank.only(range(start, min(start + size, len(bank)))) for start in range(0, len(bank), size))
        return
    rows: Iterator[Example | Mapping[str, Any]] = iter(source)
    first = 0
    while some := list(islice(rows, size)):
        yield Bank.from_rows(some, columns=columns, first=first)
        first += len(some)
