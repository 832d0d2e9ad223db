"""Imported records as training wants them: queries with pools and embeddings, rewarded rollouts, beams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from shotsmith.compat.files.records import Imported, ImportedBeam, ImportedRollout, Indices
from shotsmith.errors import InputError
from shotsmith.policies.inputs import InputsTable
from shotsmith.recipe import RewardSettings
from shotsmith.records import Rollout
from shotsmith.rewards import needed_figures, reward_of_figures
from shotsmith.training.groups import Groups, from_beams, from_rollouts

TRAIN_SHARE = 0.8
"""Queries sorted by idx: so many train, the others validate."""

FIGURES: Mapping[str, str] = {
    "correct": "correct",
    "vqa_accuracy": "vqa_accuracy",
    "gt_prob": "gt_prob",
    "relevance": "relevance",
    "answer_f1": "token_f1",
}
"""The rewards whose figures are stored, and the records' names of them."""


@dataclass(frozen=True, slots=True)
class Split:
    """Some queries, by idx."""

    queries: Indices
    pools: tuple[Indices, ...]
    """A pool for each query."""


class TrainingData:
    """The records of one import, split as Lever-Plus did it."""

    def __init__(
        self, imported: Imported, reward: RewardSettings, stop_below: int = 0, *, require_right: bool = False
    ) -> None:
        """Raises InputError where there are no embeddings, no queries, or not what the reward is made of.

        `stop_below` is the most demonstrations a policy that can stop may show; with `require_right`, training queries
        none of whose rollouts earned any accuracy are left out.
        """
        self.counts: Counter[str] = Counter()
        """What was learned from, and what was left out and why; complete once everything was asked for."""
        self._reward, self._stop_below = reward, stop_below
        _check_reward(reward)
        queries, candidates = imported.embedded("query"), imported.embedded("candidate")
        if queries is None or candidates is None:
            raise InputError("holds no embeddings: import query_embeddings.pt or the CLIP features too")
        if queries.shape != candidates.shape:
            raise InputError(f"holds embeddings of shapes {queries.shape} and {candidates.shape}")
        self._queries, self._candidates = queries, candidates
        self._rows = min(len(queries), len(candidates))
        self._rollouts, self._beams = imported.rollouts, imported.beams
        self._pools = self._known_pools(imported)
        self._right = (
            {rollout.query for rollout in imported.rollouts if rollout.vqa_accuracy} if require_right else None
        )
        self.train, self.val = self._splits()
        learned = {*self.train.queries, *self.val.queries}
        if strangers := sum(rollout.query not in learned for rollout in self._rollouts):
            self.counts["rollouts of queries without pool or embedding"] = strangers
        if not self.train.queries:
            raise InputError("holds neither RL data nor beam data to learn from")

    @property
    def has_rollouts(self) -> bool:
        """Whether there are rollouts of a training query to learn from."""
        train = set(self.train.queries)
        return any(rollout.query in train and rollout.left_out is None for rollout in self._rollouts)

    @property
    def has_beams(self) -> bool:
        """Whether there are beams of a training query to learn from."""
        train = set(self.train.queries)
        return any(beam.query in train and beam.left_out is None for beam in self._beams)

    @property
    def shots(self) -> tuple[int, ...]:
        """Lengths of the rollouts' sequences."""
        return _lengths(self._rollouts)

    @property
    def beam_shots(self) -> tuple[int, ...]:
        """Lengths of the beams."""
        return _lengths(self._beams)

    def inputs(self, split: Split, device: torch.device) -> InputsTable:
        """The split's queries; a candidate that has no embedding cannot be chosen."""
        size = max((len(pool) for pool in split.pools), default=1)
        pools = np.full((len(split.queries), max(size, 1)), -1, dtype=np.int64)
        for row, pool in enumerate(split.pools):
            pools[row, : len(pool)] = [index if index < self._rows else -1 for index in pool]
        rows = np.asarray(split.queries, dtype=np.int64)
        return InputsTable(self._queries[rows], self._candidates, pools, device)

    def groups(self, split: Split, name: str) -> Groups:
        """The split's rollouts with their rewards, counted under the split's name."""
        place_of = {query: place for place, query in enumerate(split.queries)}
        found = []
        for rollout in self._rollouts:
            place = place_of.get(rollout.query)
            if place is None:
                continue
            if split is self.train and self._right is not None and rollout.query not in self._right:
                self.counts[f"{name} rollouts left out: none of the query is right"] += 1
                continue
            positions = self._positions(rollout, split.pools[place], f"{name} rollouts")
            reward = None if positions is None else self._value(rollout, len(positions), name)
            if positions is not None and reward is not None:
                self.counts[f"{name} rollouts"] += 1
                found.append(Rollout(place, positions, reward))
        return from_rollouts(found, stop_below=self._stop_below)

    def beams(self) -> Groups:
        """The beams of training queries, all of a query of the same weight."""
        place_of = {query: place for place, query in enumerate(self.train.queries)}
        found: dict[int, list[tuple[int, ...]]] = {}
        for beam in self._beams:
            place = place_of.get(beam.query)
            if place is None:
                self.counts["beams of validation queries left out"] += 1
                continue
            positions = self._positions(beam, self.train.pools[place], "beams")
            if positions is not None:
                self.counts["beams"] += 1
                found.setdefault(place, []).append(positions)
        return from_beams(found, stop_below=self._stop_below)

    def _known_pools(self, imported: Imported) -> dict[int, Indices]:
        """As stored; else the sorted set of all that was used for the query."""
        used: dict[int, set[int]] = {}
        both: tuple[ImportedRollout | ImportedBeam, ...] = (*imported.rollouts, *imported.beams)
        for each in both:
            if each.left_out not in ("out_of_range", "outside_pool"):
                used.setdefault(each.query, set()).update(each.sequence)
        pools = {query: tuple(sorted(indices)) for query, indices in used.items()}
        return pools | {query.query: query.pool for query in imported.queries if query.pool}

    def _splits(self) -> tuple[Split, Split]:
        recorded = sorted({rollout.query for rollout in self._rollouts if rollout.query < self._rows})
        imitated = sorted({beam.query for beam in self._beams if beam.query < self._rows})
        judged = recorded or imitated
        val = judged[int(TRAIN_SHARE * len(judged)) :]
        train = sorted({*judged, *imitated} - set(val))
        return self._split(train), self._split(val)

    def _split(self, queries: Iterable[int]) -> Split:
        kept = tuple(query for query in queries if self._pools.get(query))
        return Split(kept, tuple(self._pools[query] for query in kept))

    def _positions(self, found: ImportedRollout | ImportedBeam, pool: Indices, name: str) -> tuple[int, ...] | None:
        """Where the sequence stands in the pool; None, counted, where nothing is to be learned from it."""
        reason: str | None = found.left_out
        if reason is None and not set(found.sequence) <= set(pool):
            reason = "outside_pool"
        if reason is None and not found.sequence and not self._stop_below:
            reason = "empty"
        if reason is not None:
            self.counts[f"{name} left out: {reason}"] += 1
            return None
        place_of = {index: place for place, index in enumerate(pool)}
        return tuple(place_of[index] for index in found.sequence)

    def _value(self, rollout: ImportedRollout, shots: int, name: str) -> float | None:
        figures = {figure: getattr(rollout, FIGURES[figure]) for figure in needed_figures(self._reward)}
        if missing := [figure for figure, value in figures.items() if value is None]:
            self.counts[f"{name} rollouts left out: no {missing[0]}"] += 1
            return None
        return reward_of_figures(figures, self._reward, shots)


def _lengths(found: Iterable[ImportedRollout | ImportedBeam]) -> tuple[int, ...]:
    """Different lengths, the empty sequence aside."""
    return tuple(sorted({len(each.sequence) for each in found if each.sequence and each.left_out is None}))


def _check_reward(settings: RewardSettings) -> None:
    unknown = [name for name in needed_figures(settings) if name not in FIGURES]
    if unknown:
        raise InputError(
            f"holds no {' and no '.join(unknown)}, which the reward is made of: take one of Lever-Plus's modes "
            "(reward.mode=hard_plus_soft), or weights of vqa_accuracy and answer_f1 alone"
        )
