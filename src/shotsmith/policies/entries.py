"""The entries of a bank that a walk scores: all of them, or those that searches have found so far.

Axes: N entries of the bank, U entries here, B queries, G sequences, D embedding width, H hidden. A place is the number
of an entry among these, a row its number in the bank; places are in the order of rows.
"""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import torch
from torch.nn import functional

from shotsmith.policies.bank_search import vectors_of
from shotsmith.policies.candidates import Candidates, Retriever, Search
from shotsmith.policies.protocol import BankInputs

_WIDER = 6
"""The first search for a query finds so many times the shortlist: later steps choose among these too."""
_BEST = 3
"""Where the best entry of each step is all that is needed, it is so many times the shortlist."""
_NARROWER = 4
"""Later searches find the shortlist divided by this, for what the choices so far have made interesting."""
_FEWER = 8
"""Later searches read the probes divided by this."""


class Entries(Protocol):
    """Entries that can be scored."""

    @property
    def candidates(self) -> Candidates:
        """All U of them, encoded by the policy's present weights."""
        ...

    @property
    def similarity(self) -> torch.Tensor | None:
        """[B, U]: what similarity adds to the scores, for policies that start as similarity."""
        ...

    @property
    def hidden(self) -> torch.Tensor | None:
        """[B, U] bool: entries that are not for this query; None where all are."""
        ...

    def look(self, vectors: torch.Tensor | None, wanted: torch.Tensor | None, *, best: bool = False) -> None:
        """Look for what scores high with the scorer's vectors [B, G, H], and for the rows wanted [B, G], if any.

        `best` says that no more than the best entry of each step is needed.
        """
        ...

    def places(self, rows: torch.Tensor) -> torch.Tensor:
        """The places of rows [...]; -1 for rows that are not here, and for negative ones."""
        ...

    def rows(self, places: torch.Tensor) -> torch.Tensor:
        """The rows at places [...]; negative ones stay."""
        ...


class Whole:
    """The whole bank."""

    hidden = None

    def __init__(self, policy: Retriever, inputs: BankInputs) -> None:
        self._policy, self._queries = policy, inputs.queries
        self.candidates = inputs.bank.candidates(policy)

    @cached_property
    def similarity(self) -> torch.Tensor | None:
        """[B, N]: what similarity adds to the scores."""
        return self._policy.unlearned(self._queries, self.candidates.embeddings) if self._policy.similar else None

    def look(self, _vectors: torch.Tensor | None, _wanted: torch.Tensor | None, *, best: bool = False) -> None:
        """Nothing has to be searched for."""

    def places(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows."""
        return rows

    def rows(self, places: torch.Tensor) -> torch.Tensor:
        """The places."""
        return places


class Found:
    """What an approximate index has found for the queries of a batch; it grows with every step.

    The first search for a query is wide. Later steps choose among everything found for the query before, and what a
    narrow search adds. What is found for one query is hidden from the others, so that a query's choices do not depend
    on its batch.
    """

    def __init__(self, policy: Retriever, inputs: BankInputs, search: Search) -> None:
        self._policy, self._inputs, self._search = policy, inputs, search
        nothing = torch.zeros(0, dtype=torch.int64, device=inputs.queries.device)
        self._rows = nothing
        self.candidates = inputs.bank.some(policy, nothing)
        self.similarity = inputs.queries.new_zeros(len(inputs.queries), 0) if policy.similar else None
        self.hidden = torch.zeros(len(inputs.queries), 0, dtype=torch.bool, device=nothing.device)

    def look(self, vectors: torch.Tensor | None, wanted: torch.Tensor | None, *, best: bool = False) -> None:
        """Search, and take in what is new."""
        shortlist, first = self._policy.shortlist, not len(self._rows)
        sought = vectors_of(self._policy, self._inputs.queries, vectors, prior=self.candidates.prior is not None)
        if first:
            excluded = self._inputs.barred.shape[1]
            size = (_BEST if best else _WIDER) * shortlist
            rows = self._search.rows(sought[:, 0], size + excluded, self._search.probes)
        else:
            probes = max(1, self._search.probes // _FEWER)
            rows = self._search.rows(sought.flatten(0, 1), max(1, shortlist // _NARROWER), probes)
            rows = rows.view(len(sought), -1)
        self._take(rows if wanted is None else torch.cat([rows, wanted], dim=1))

    def places(self, rows: torch.Tensor) -> torch.Tensor:
        """By binary search."""
        place = torch.searchsorted(self._rows, rows.contiguous()).clamp(max=len(self._rows) - 1)
        return place.masked_fill((self._rows[place] != rows) | (rows < 0), -1)

    def rows(self, places: torch.Tensor) -> torch.Tensor:
        """By look-up."""
        return torch.where(places < 0, places, self._rows[places.clamp(min=0)])

    def _take(self, rows: torch.Tensor) -> None:
        """Show each query its rows [B, X]; negative ones are padding."""
        every = torch.cat([self._rows, rows.flatten()]).unique()
        every = every[int((every < 0).sum()) :]
        if len(every) > len(self._rows):
            first = not len(self._rows)
            fresh = every if first else every[~torch.isin(every, self._rows, assume_unique=True)]
            order = torch.cat([self._rows, fresh]).argsort()
            added = self._inputs.bank.some(self._policy, fresh)
            self.candidates = added if first else (self.candidates + added).at(order)
            if self.similarity is not None:
                of_added = self._policy.unlearned(self._inputs.queries, added.embeddings)
                self.similarity = of_added if first else torch.cat([self.similarity, of_added], dim=1)[:, order]
            unseen = torch.ones(len(rows), len(fresh), dtype=torch.bool, device=rows.device)
            self.hidden = torch.cat([self.hidden, unseen], dim=1)[:, order]
            self._rows = every
        place = torch.where(rows < 0, len(self._rows), self.places(rows))
        self.hidden = functional.pad(self.hidden, (0, 1)).scatter(1, place, False)[:, :-1]


def entries_of(policy: Retriever, inputs: BankInputs) -> Entries:
    """What a walk over the bank scores."""
    search = inputs.bank.search(policy)
    return Whole(policy, inputs) if search is None else Found(policy, inputs, search)
