"""Who chooses: a trained policy, or a selector that needs no training, behind one interface.

Axes: B queries, N entries of the bank, D embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence as ManyOf
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from shotsmith.checkpoints.native import Manifest
from shotsmith.embeddings.embedded import Embedded
from shotsmith.errors import InputError
from shotsmith.policies.bank import BankIndex
from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.pointer import PointerPolicy
from shotsmith.policies.protocol import BankInputs, Policy
from shotsmith.policies.single_query import choose_with_log_probs
from shotsmith.policies.stored import KeyStore, StoredIndex
from shotsmith.records import Example
from shotsmith.selectors.protocol import Selector, Tasks
from shotsmith.selectors.training_free import TRAINING_FREE

Rows = npt.NDArray[np.int64]
_TOGETHER = 256
"""Queries of one batch."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be chosen for B queries."""

    queries: tuple[Example, ...]
    embedded: Embedded
    shots: int
    barred: ManyOf[Rows]
    """For each query, the rows of the bank that it must not be shown."""
    pool: Rows | None = None
    """The only rows that may be shown; None: the whole bank."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The demonstrations chosen for one query."""

    rows: tuple[int, ...]
    """Rows of the bank in the order shown; the last stands next to the query."""
    scores: tuple[float, ...]
    """Of a policy: the probability of each when it was chosen. Else: its cosine (of image and question, summed)."""


class Chooser(Protocol):
    """Chooses from a bank that it has been given."""

    @property
    def can_stop(self) -> bool:
        """Whether it decides how many demonstrations to show."""
        ...

    def index(self, examples: ManyOf[Example], embedded: Embedded) -> None:
        """Choose from this bank from now on."""
        ...

    def add(self, examples: ManyOf[Example], embedded: Embedded) -> None:
        """Choose from further examples too; they get the next rows."""
        ...

    def remove(self, rows: Rows) -> None:
        """Never choose these rows again."""
        ...

    def choose(self, asked: Asked) -> list[Choice]:
        """At most `shots` demonstrations for each query."""
        ...


class PolicyChooser:
    """Greedy decoding of a trained policy. Keys of the bank are computed once."""

    def __init__(self, policy: Policy, manifest: Manifest) -> None:
        """`manifest` is that of the checkpoint that the policy comes from."""
        self.policy = policy
        self.manifest = manifest
        self._device = next(policy.parameters()).device
        self._bank: BankIndex | StoredIndex | None = None

    @property
    def pointer(self) -> PointerPolicy:
        """The policy as a network that can encode entries."""
        assert isinstance(self.policy, PointerPolicy)
        return self.policy

    @property
    def can_stop(self) -> bool:
        """Whether the policy has learned to stop."""
        return self.policy.can_stop

    def index(self, examples: ManyOf[Example], embedded: Embedded) -> None:
        """Raises InputError where the embeddings have another width than the policy reads."""
        joined = embedded.joined
        if joined.shape[1] != self.policy.embedding_width:
            raise InputError(
                f"the bank's embeddings have the width {joined.shape[1]}, the policy reads "
                f"{self.policy.embedding_width}"
            )
        self._bank = BankIndex(self._tensor(joined))
        if isinstance(self.policy, PointerPolicy):
            self._bank.candidates(self.policy)

    def search_in(self, store: KeyStore) -> None:
        """Choose from a bank in a database from now on, which holds keys of this policy."""
        self._bank = StoredIndex(self.policy, store)

    def add(self, examples: ManyOf[Example], embedded: Embedded) -> None:
        """Only the new examples are encoded."""
        assert isinstance(self._bank, BankIndex)
        self._bank.add(self._tensor(embedded.joined))

    def remove(self, rows: Rows) -> None:
        """The rows keep their numbers."""
        assert isinstance(self._bank, BankIndex)
        self._bank.remove(torch.from_numpy(rows))

    def choose(self, asked: Asked) -> list[Choice]:
        """The most probable choice at each step. Scores are probabilities among the choices of the step."""
        if asked.pool is not None:
            return self._from_pool(asked, asked.pool)
        found: list[Choice] = []
        for start in range(0, len(asked.queries), _TOGETHER):
            block = slice(start, start + _TOGETHER)
            queries = self._tensor(asked.embedded.rows(np.arange(len(asked.queries))[block]).joined)
            found += self._from_bank(queries, asked.barred[block], asked.shots)
        return found

    def _from_bank(self, queries: torch.Tensor, barred: ManyOf[Rows], shots: int) -> list[Choice]:
        inputs = BankInputs(queries, self._indexed, self._padded(barred))
        if len(queries) == 1 and isinstance(self.policy, PointerPolicy):
            found, values = choose_with_log_probs(self.policy, inputs, shots)
            return self._choices(torch.tensor([found], dtype=torch.int64), torch.tensor([values]))
        rows = self.policy.greedy(inputs, shots)
        if not rows.shape[1]:
            return [Choice((), ())] * len(queries)
        log_probs = self.policy.locate(inputs, rows[:, None]).log_probs[:, 0]
        return self._choices(rows, log_probs)

    def _from_pool(self, asked: Asked, pool: Rows) -> list[Choice]:
        """Each query may be barred from other rows of the pool, which are masked."""
        bank = self._indexed.at(torch.from_numpy(pool).to(self._device)).cpu().numpy()
        pools = np.stack([np.where(np.isin(pool, barred), -1, np.arange(len(pool))) for barred in asked.barred])
        inputs = InputsTable(asked.embedded.joined, bank, pools, self._device).batch(range(len(asked.queries)))
        positions = self.policy.greedy(inputs, asked.shots)
        log_probs = self.policy.log_prob(inputs, positions[:, None])[:, 0].detach()
        rows = torch.from_numpy(pool).to(self._device)[positions.clamp(min=0)]
        return self._choices(torch.where(positions < 0, positions, rows), log_probs)

    def _choices(self, rows: torch.Tensor, log_probs: torch.Tensor) -> list[Choice]:
        """From rows [B, T] in the order of choice."""
        step = -1 if self.policy.outwards else 1
        choices = []
        for chosen, values in zip(rows.tolist(), log_probs.exp().tolist(), strict=True):
            kept = [(row, value) for row, value in zip(chosen, values, strict=True) if row >= 0][::step]
            choices.append(Choice(tuple(row for row, _ in kept), tuple(value for _, value in kept)))
        return choices

    @property
    def _indexed(self) -> BankIndex | StoredIndex:
        assert self._bank is not None
        return self._bank

    def _padded(self, barred: ManyOf[Rows]) -> torch.Tensor:
        padded = np.full((len(barred), max(map(len, barred), default=0)), -1, dtype=np.int64)
        for place, some in enumerate(barred):
            padded[place, : len(some)] = some
        return torch.from_numpy(padded).to(self._device)

    def _tensor(self, values: npt.NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(self._device)


class FreeChooser:
    """A selector of `selectors.training_free`."""

    can_stop = False

    def __init__(self, name: str) -> None:
        """Raises InputError where no selector has this name."""
        if name not in TRAINING_FREE:
            raise InputError(f"no selector is called '{name}'; there are {', '.join(TRAINING_FREE)}")
        self._selector: Selector = TRAINING_FREE[name]()
        self._examples: tuple[Example, ...] = ()
        self._embedded: Embedded | None = None
        self._removed: Rows = np.empty(0, dtype=np.int64)

    def index(self, examples: ManyOf[Example], embedded: Embedded) -> None:
        """Nothing is computed."""
        self._examples, self._embedded = tuple(examples), embedded
        self._removed = np.empty(0, dtype=np.int64)

    def add(self, examples: ManyOf[Example], embedded: Embedded) -> None:
        """The embeddings are copied."""
        self._examples, self._embedded = self._examples + tuple(examples), self._bank + embedded

    def remove(self, rows: Rows) -> None:
        """The rows keep their numbers."""
        self._removed = np.union1d(self._removed, rows)

    def choose(self, asked: Asked) -> list[Choice]:
        """The selector's sequences."""
        found: list[Choice] = []
        barred = [np.union1d(self._removed, some) for some in asked.barred]
        if asked.pool is not None:
            outside = np.setdiff1d(np.arange(len(self._examples)), asked.pool)
            barred = [np.union1d(outside, some) for some in barred]
        for start in range(0, len(asked.queries), _TOGETHER):
            block = slice(start, start + _TOGETHER)
            embedded = asked.embedded.rows(np.arange(len(asked.queries))[block])
            tasks = Tasks(asked.queries[block], self._examples, None, embedded, self._bank, barred=barred[block])
            for place, rows in enumerate(self._selector.select(tasks, asked.shots)):
                found.append(Choice(rows, self._cosines(embedded, place, rows)))
        return found

    def _cosines(self, embedded: Embedded, place: int, rows: tuple[int, ...]) -> tuple[float, ...]:
        bank, chosen = self._bank, list(rows)
        total = bank.questions[chosen] @ embedded.questions[place] + bank.images[chosen] @ embedded.images[place]
        return tuple(float(value) for value in total)

    @property
    def _bank(self) -> Embedded:
        assert self._embedded is not None
        return self._embedded
