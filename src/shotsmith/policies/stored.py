"""A bank whose entries live in a vector database: the database finds rows, and what it finds is scored exactly here.

A row is a number that names an entry in the database; rows need not follow each other.

Axes: n vectors, K width of a key, R rows, D embedding width, B queries, X rows barred for a query.
"""

from __future__ import annotations

from typing import NoReturn, Protocol

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save

from shotsmith.embeddings.embedded import Floats
from shotsmith.embeddings.nearest import joined
from shotsmith.errors import InputError
from shotsmith.files import digest
from shotsmith.policies.bank import rounded
from shotsmith.policies.bank_search import keys_of
from shotsmith.policies.candidates import Candidates, Retriever
from shotsmith.policies.protocol import Policy
from shotsmith.policies.rounded_keys import RoundedKeys

Rows = npt.NDArray[np.int64]

_OTHERS = {"index", "shortlist", "order", "length"}
"""Settings of a policy on which its keys do not depend."""


class KeyStore(Protocol):
    """The keys and embeddings of a bank in a database."""

    @property
    def most(self) -> int:
        """Entries that a search can find at most."""
        ...

    def __len__(self) -> int:
        """N."""
        ...

    def search(self, vectors: Floats, count: int) -> Rows:
        """Rows [n, count] with high inner products of key and vector [n, K], best first; -1 where there are fewer."""
        ...

    def embeddings(self, rows: Rows) -> Floats:
        """The embeddings [R, D] of rows [R]. Raises InputError for a row that is not there."""
        ...


class StoredIndex:
    """A bank in a database as a policy retrieves from it (policies.protocol.RetrievedBank)."""

    probes = 1

    def __init__(self, policy: Policy, store: KeyStore) -> None:
        self._store = store
        self._device = next(policy.parameters()).device

    def __len__(self) -> int:
        """N."""
        return len(self._store)

    def at(self, rows: torch.Tensor) -> torch.Tensor:
        """The embeddings [..., D] of rows [...], from the database."""
        found = torch.from_numpy(self._store.embeddings(rows.flatten().cpu().numpy()))
        return found.to(self._device).view(*rows.shape, found.shape[1])

    @torch.no_grad()
    def some(self, policy: Retriever, rows: torch.Tensor) -> Candidates:
        """Some entries [R], encoded by the policy. No gradient."""
        return policy.encode(self.at(rows))

    def search(self, _policy: Retriever) -> StoredIndex:
        """The database finds rows by their keys."""
        return self

    def rows(self, queries: torch.Tensor, wanted: int, _probes: int) -> torch.Tensor:
        """Rows [n, wanted] with high inner products with the queries [n, K], best first; -1 where there are fewer.

        Raises InputError where more are wanted than the database gives at a time.
        """
        if wanted > self._store.most:
            problem = f"{wanted} entries are wanted of one search in a database that gives {self._store.most}"
            raise InputError(f"{problem}: exclude fewer, or use a smaller policy.shortlist")
        found = self._store.search(queries.cpu().numpy(), wanted)
        return torch.from_numpy(found).to(self._device)

    def excluded(self, barred: torch.Tensor) -> torch.Tensor:
        """What is barred: removed entries are not in the database."""
        return barred

    def similarity(self, queries: torch.Tensor, embeddings: torch.Tensor | None = None) -> torch.Tensor:
        """Cosines [B, U] of queries [B, D] with some embeddings [U, D], rounded."""
        return _refuse() if embeddings is None else rounded(queries @ embeddings.T)

    def candidates(self, _policy: Retriever) -> Candidates:
        """Raises InputError: the entries of a database are not read as a whole."""
        _refuse()

    def rounded(self, _policy: Retriever) -> RoundedKeys | None:
        """Raises InputError, as `candidates`."""
        _refuse()


def check_searches(policy: Policy) -> None:
    """Raise InputError for a policy that reads the whole bank before it searches."""
    settings = policy.settings
    if settings.layers or settings.candidate_encoder != "none" or settings.decoding == "two_stage":
        _refuse()


def _refuse() -> NoReturn:
    raise InputError(
        "this policy reads the whole bank before it searches, which a bank in a database does not allow: give it a "
        "bank in memory, or train one with layers 0, no candidate_encoder and sequential decoding"
    )


@torch.no_grad()
def stored_keys(policy: Retriever, embeddings: torch.Tensor) -> tuple[Floats, int | None]:
    """The keys [R, K] that a database keeps of embeddings [R, D], and the column in which these embeddings start.

    None where keys do not hold the embeddings.
    """
    candidates = policy.encode(embeddings)
    parts = keys_of(policy, candidates)
    has_vectors = policy.scorer.vectors(candidates.encoded[:1]) is not None
    if not has_vectors:
        return joined(parts), 0
    return joined(parts), parts[0].shape[1] if policy.left_out(embeddings[:1]) is not None else None


def policy_digest(policy: Policy) -> str:
    """SHA-256 of everything that the keys of a bank depend on: the weights, and how they are put together."""
    weights = {name: value.contiguous() for name, value in policy.state_dict().items()}
    settings = policy.settings.model_dump_json(exclude=_OTHERS)
    return digest("keys-1", settings, str(policy.embedding_width), save(weights))
