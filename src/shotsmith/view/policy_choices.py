"""What a trained policy of a run gives to sequences: the probability of every choice, and what it could choose instead.

Axes: G sequences of one query, T steps, M entries of a shortlist (or candidates of a pool).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from shotsmith.checkpoints.native import Manifest, load_policy
from shotsmith.checkpoints.ranking import best_checkpoint
from shotsmith.errors import InputError
from shotsmith.policies.bank import BankIndex
from shotsmith.policies.protocol import STOP, BankInputs, Inputs, Policy, pick
from shotsmith.runs import Phase
from shotsmith.view.run_data import RunData

ALTERNATIVES = 12
"""Entries listed for each step, the most probable first."""

Shown = Sequence[int]
"""Ids of demonstrations, in the order shown."""


class PolicyChoices:
    """The best policy of one phase and seed of a run, with the keys of the bank under its weights."""

    def __init__(self, data: RunData, phase: Phase, seed: int) -> None:
        """Raises InputError where the phase has no epoch, or the run folder no embeddings; CheckpointError."""
        row = best_checkpoint(data.run.epochs(), seed, phase, getattr(data.run.recipe, phase).best_by)
        self.policy: Policy
        self.manifest: Manifest
        self.policy, self.manifest = load_policy(data.run.epoch(seed, phase, int(str(row["epoch"]))))
        self.data = data
        joined = data.bank.joined
        if joined.shape[1] != self.policy.embedding_width:
            raise InputError(
                f"the embeddings have the width {joined.shape[1]}, the policy reads {self.policy.embedding_width}",
                file=data.run.folder,
            )
        self._bank = BankIndex(torch.from_numpy(np.ascontiguousarray(joined)))
        self._lock = threading.Lock()

    def told(self) -> dict[str, Any]:
        """Which policy it is."""
        return {"phase": self.manifest.phase, "seed": self.manifest.seed, "epoch": self.manifest.epoch}

    def probabilities(self, query: int, sequences: Sequence[Shown], *, pool: bool) -> list[list[float] | None]:
        """The probability of each demonstration when it is chosen, in the order shown, for sequences of one query.

        `query` is its number among the test queries, `pool` whether the query chooses from its pool. None for a
        sequence that the query cannot be shown. Demonstrations that the policy would not have on its shortlist take
        the place of the shortlist's last entry.
        """
        rows = [self._rows(query, sequence, pool=pool) for sequence in sequences]
        known = [row for row in rows if row]
        if not known:
            return [None if row is None else [] for row in rows]
        with self._lock, torch.no_grad():
            distributions, positions, _ = self._steps(query, known, pool=pool, stop=False)
            values = pick(distributions, positions).exp()
        told = iter(values[0].tolist())
        return [None if row is None else self._as_shown(next(told)[: len(row)]) if row else [] for row in rows]

    def steps(self, query: int, sequence: Shown, *, pool: bool) -> list[dict[str, Any]]:
        """Every choice of a sequence, in the order of choice, and the most probable alternatives.

        Of each step: `chosen` (an id; null where the policy would decide to stop there), its `probability`, its `rank`
        among `choices` entries, `alternatives` (ids and probabilities), and `stop`, the probability of stopping, for a
        policy that can. Raises InputError where the query cannot be shown this sequence.
        """
        rows = self._rows(query, sequence, pool=pool)
        if rows is None:
            raise InputError("the sequence holds an entry that this query cannot be shown", row=query)
        with self._lock, torch.no_grad():
            stop = self.policy.can_stop and len(rows) < max(self.manifest.shots, default=0)
            distributions, positions, listed = self._steps(query, [rows], pool=pool, stop=stop)
        return [
            self._step(distributions[0, 0, step], int(positions[0, 0, step]), listed[0, 0, step])
            for step in range(positions.shape[-1])
        ]

    def _step(self, log_probs: torch.Tensor, position: int, rows: torch.Tensor) -> dict[str, Any]:
        """From log-probabilities [M] or [M + 1] and the rows of the bank [M] that they are of."""
        values = log_probs[: len(rows)].exp()
        best = values.topk(min(ALTERNATIVES, len(rows)))
        ids = [self.data.splits.bank[int(rows[place])].id for place in best.indices]
        listed = [(one, value) for one, value in zip(ids, best.values.tolist(), strict=True) if value > 0]
        told: dict[str, Any] = {
            "choices": int((values > 0).sum()),
            "alternatives": [{"id": one, "probability": value} for one, value in listed],
        }
        if self.policy.can_stop:
            told["stop"] = float(log_probs[-1].exp())
        if position == STOP:
            return {"chosen": None, "probability": told["stop"], **told}
        own = values[position]
        chosen = self.data.splits.bank[int(rows[position])].id
        return {"chosen": chosen, "probability": float(own), "rank": int((values > own).sum()) + 1, **told}

    def _steps(
        self, query: int, sequences: Sequence[Sequence[int]], *, pool: bool, stop: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Log-probabilities [1, G, T, C], chosen positions [1, G, T] and rows of the bank [1, G, T, M].

        `sequences` are rows of the bank in the order of choice. With `stop`, one step follows in which the policy may
        stop.
        """
        longest = max(map(len, sequences)) + stop
        shown = torch.full((1, len(sequences), longest), -1, dtype=torch.int64)
        for place, rows in enumerate(sequences):
            shown[0, place, : len(rows)] = torch.tensor(rows, dtype=torch.int64)
            if stop:
                shown[0, place, len(rows)] = STOP
        vector = torch.from_numpy(np.ascontiguousarray(self.data.query_embeddings.rows(np.array([query])).joined))
        if pool:
            assert self.data.pools is not None
            candidates = torch.from_numpy(self.data.pools[query])
            mask = candidates >= 0
            inputs = Inputs(vector, self._bank.embeddings[candidates.clamp(min=0)][None], mask[None])
            places = (candidates == shown[..., None]).int().argmax(-1)
            positions = torch.where(shown < 0, shown, places)
            listed = candidates.expand(1, len(sequences), longest, -1)
            return self.policy.step_distributions(inputs, positions), positions, listed
        barred = torch.from_numpy(self.data.barred[query])[None]
        whole = BankInputs(vector, self._bank, barred)
        found = self.policy.locate(whole, shown)
        assert found.shortlists is not None
        distributions = self.policy.step_distributions(replace(whole, shortlists=found.shortlists), found.sequences)
        return distributions, found.sequences, found.shortlists

    def _rows(self, query: int, sequence: Shown, *, pool: bool) -> list[int] | None:
        """Rows of the bank in the order of choice; None where one is not there for the query, or stands twice."""
        rows = [self.data.bank_rows.get(number, -1) for number in sequence]
        there = None if not pool or self.data.pools is None else set(self.data.pools[query].tolist())
        barred = set(self.data.barred[query].tolist())
        if len(set(rows)) < len(rows) or any(
            row < 0 or row in barred or (there is not None and row not in there) for row in rows
        ):
            return None
        return rows[::-1] if self.policy.outwards else rows

    def _as_shown(self, values: list[float]) -> list[float]:
        return values[::-1] if self.policy.outwards else values
