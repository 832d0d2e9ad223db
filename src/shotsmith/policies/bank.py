"""The bank as a policy sees it: its embeddings, its keys under the policy's weights, and the search among them.

Axes: N entries of the bank, D embedding width, H hidden, B queries, G sequences, M entries of a shortlist.
"""

from __future__ import annotations

import dataclasses
import logging
import time
import weakref
from pathlib import Path
from typing import Generic, TypeVar

import torch

from shotsmith.policies.bank_search import BankSearch, keys_of, kind_of
from shotsmith.policies.candidates import Candidates, Retriever
from shotsmith.policies.rounded_keys import RoundedKeys

logger = logging.getLogger(__name__)

T = TypeVar("T")

DECIMALS = 5
"""Cosines are rounded to so many decimals, as in training-free similarity search: closer ones are ties."""
_ROWS = 65_536
"""Entries whose keys are computed at a time."""
REFRESH = 50
"""Updates of the weights after which an approximate index is built anew; until then it finds entries by older keys."""


class BankIndex:
    """Every entry of a bank: embeddings, keys under a policy's present weights, and an index to search them with.

    Keys are computed when they are first needed and again once the weights have changed. Large banks are searched
    approximately (recipe.policy.IndexSettings). Rows keep their numbers when entries are added or removed.
    """

    def __init__(self, embeddings: torch.Tensor, folder: Path | None = None) -> None:
        """`embeddings` [N, D] float32, on the device of the policy.

        `folder` keeps an `ivf` index in a file that is mapped into memory, for policies that are trained no further.
        """
        self.embeddings = embeddings
        self.folder = folder
        self.removed = torch.empty(0, dtype=torch.int64, device=embeddings.device)
        """[R] rows that are never chosen."""
        self.rebuilds = 0
        """How often all keys have been computed."""
        self.build_seconds = 0.0
        """What building approximate indexes has taken so far."""
        self._known: _Of[Candidates] | None = None
        self._rounded: tuple[torch.Tensor, RoundedKeys] | None = None
        self._search: _Of[BankSearch] | None = None

    def __len__(self) -> int:
        """N, removed entries included."""
        return len(self.embeddings)

    def candidates(self, policy: Retriever) -> Candidates:
        """All N entries, encoded by the policy as it is. No gradient."""
        if self._known is None or self._known.updates_since(policy) != 0:
            self._known = _Of(_encoded(policy, self.embeddings), policy)
            self.rebuilds += 1
        return self._known.what

    def rounded(self, policy: Retriever) -> RoundedKeys | None:
        """The keys of all entries in eight bits, for one query at a time; None where scoring all keys is as fast."""
        keys = self.candidates(policy).keys
        if not RoundedKeys.serve(keys):
            return None
        if self._rounded is None or self._rounded[0] is not keys:
            self._rounded = keys, RoundedKeys(keys)
        return self._rounded[1]

    def some(self, policy: Retriever, rows: torch.Tensor) -> Candidates:
        """Some entries [W], encoded by the policy as it is. No gradient."""
        if self._known is not None and self._known.updates_since(policy) == 0:
            return self._known.what.at(rows)
        return _encoded(policy, self.embeddings[rows])

    def search(self, policy: Retriever) -> BankSearch | None:
        """The approximate index; None where search is exact.

        It is built anew where the weights have been updated REFRESH times; before that, its keys are older
        than the weights.
        """
        settings = policy.settings.index
        if kind_of(settings, len(self)) == "exact":
            return None
        if self._search is None or not 0 <= self._search.updates_since(policy) < REFRESH:
            started = time.perf_counter()
            search = BankSearch(keys_of(policy, self.candidates(policy)), settings, self.folder)
            search.remove(self.removed)
            self._search = _Of(search, policy)
            seconds = time.perf_counter() - started
            self.build_seconds += seconds
            logger.info("built the index of a bank of %d entries in %.1f s", len(self), seconds)
        return self._search.what

    def refresh(self) -> None:
        """Build the approximate index anew before the next search.

        A phase that begins with it does not depend on what was searched before: it can be resumed there.
        """
        self._search = None

    def at(self, rows: torch.Tensor) -> torch.Tensor:
        """The embeddings [..., D] of rows [...]."""
        return self.embeddings[rows]

    def add(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Add entries [A, D]; their rows [A]. Only they are encoded and put into the index."""
        first = len(self)
        self.embeddings = torch.cat([self.embeddings, embeddings])
        policy = self._search.policy() if self._search is not None else None
        if self._search is not None and policy is not None and self.folder is None:
            self._search.what.add(keys_of(policy, _encoded(policy, embeddings)))
        else:
            self._search = None
        policy = self._known.policy() if self._known is not None else None
        if self._known is not None and policy is not None and self._known.updates_since(policy) == 0:
            joined = self._known.what + _encoded(policy, embeddings)
            self._known = _Of(dataclasses.replace(joined, embeddings=self.embeddings), policy)
        else:
            self._known = None
        return torch.arange(first, len(self), device=self.embeddings.device)

    def remove(self, rows: torch.Tensor) -> None:
        """Never choose these rows [R] again; no other entry gets their numbers."""
        self.removed = torch.cat([self.removed, rows.to(self.removed)]).unique()
        if self._search is not None:
            self._search.what.remove(self.removed)

    def excluded(self, barred: torch.Tensor) -> torch.Tensor:
        """What may not be chosen [B, X + R]: rows barred for each query [B, X], and removed ones. -1 pads."""
        if not len(self.removed):
            return barred
        return torch.cat([barred, self.removed.expand(len(barred), -1)], dim=1)

    def similarity(self, queries: torch.Tensor, embeddings: torch.Tensor | None = None) -> torch.Tensor:
        """Cosines [B, U] of queries [B, D] with some embeddings [U, D] (all of the bank), rounded."""
        return rounded(queries @ (self.embeddings if embeddings is None else embeddings).T)


class _Of(Generic[T]):
    """What was computed from the weights of a policy, and how long ago."""

    def __init__(self, what: T, policy: Retriever) -> None:
        self.what = what
        self.policy = weakref.ref(policy)
        self._parameters = list(policy.parameters())
        self._versions = [parameter._version for parameter in self._parameters]

    def updates_since(self, policy: Retriever) -> int:
        """How often the weights have been changed in place, as optimizers do; -1 for another policy."""
        if self.policy() is not policy:
            return -1
        versions = [parameter._version for parameter in self._parameters]
        if versions == self._versions:
            return 0
        return max(now - before for now, before in zip(versions, self._versions, strict=True))


def rounded(similarities: torch.Tensor) -> torch.Tensor:
    """Similarities to DECIMALS decimals."""
    scale = 10.0**DECIMALS
    return (similarities * scale).round_().div_(scale)


def highest(scores: torch.Tensor, size: int) -> torch.Tensor:
    """Columns [..., size] of the highest scores [..., N], ascending; -1, at the end, where fewer are finite."""
    found = scores.topk(size, dim=-1)
    columns = found.indices.masked_fill(found.values == -torch.inf, scores.shape[-1])
    ordered = columns.sort(dim=-1).values
    return ordered.masked_fill(ordered == scores.shape[-1], -1)


@torch.no_grad()
def _encoded(policy: Retriever, embeddings: torch.Tensor) -> Candidates:
    parts = [policy.encode(block) for block in embeddings.split(_ROWS)]
    if len(parts) == 1:
        return parts[0]
    prior = None if parts[0].prior is None else torch.cat([part.prior for part in parts if part.prior is not None])
    encoded, keys = (torch.cat([getattr(part, name) for part in parts]) for name in ("encoded", "keys"))
    return Candidates(embeddings, encoded, keys, prior)
