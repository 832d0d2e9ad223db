"""A task without a VLM: a demonstration is worth showing if its hidden property is that of the query.

The property is a direction in the embeddings, under noise: it has to be learned, and then generalises.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shotsmith.checkpoints.native import Manifest
from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.pointer import PointerPolicy, build_policy
from shotsmith.progress import Progress, Silent
from shotsmith.recipe import PolicySettings
from shotsmith.records import Rollout
from shotsmith.runs import Phase
from shotsmith.training.groups import Groups, from_beams, from_rollouts, located
from shotsmith.training.loop import PhaseRun
from shotsmith.training.metrics_log import MetricsLog
from shotsmith.training.validation import Validation

WIDTH = 24
SETTINGS = PolicySettings(
    start="random",
    order="inwards",
    layers=1,
    feed_forward=False,
    memory="gate",
    scorer="cosine",
    temperature=0.1,
    hidden_size=24,
    dropout=0.2,
)
"""A network near that of the predecessor: similarity says nothing about this task."""
OPTIMIZER = {"warmup_steps": 0, "schedule": "constant", "average_decay": 0.0}
"""Settings under which few updates already show."""
GRPO = OPTIMIZER | {"beta": 0.01, "entropy_coef": 0.002}
RETRIEVER = PolicySettings(hidden_size=24, shortlist=20).model_dump()
"""The default policy, with a shortlist that leaves most of a bank out."""


@dataclass
class Matching:
    """Queries, pools and what is right for them."""

    inputs: InputsTable
    queries: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]
    asked: int = 0
    """Sequences scored so far."""

    @classmethod
    def draw(cls, queries: int, seed: int, pool: int | None = 12, index: int = 300, kinds: int = 6) -> Matching:
        """`pool` None: every query chooses from the whole index, but for one row that is barred."""
        facts = np.random.default_rng(0)
        shown, sought = facts.normal(size=(kinds, WIDTH)), facts.normal(size=(kinds, WIDTH))
        rng = np.random.default_rng(seed + 1)
        query_kinds, index_kinds = rng.integers(kinds, size=queries), rng.integers(kinds, size=index)

        def seen(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
            noisy = vectors + 0.5 * rng.normal(size=vectors.shape)
            return (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)

        embedded = seen(sought[query_kinds]), seen(shown[index_kinds])
        if pool is None:
            barred = [np.array([rng.integers(index)]) for _ in range(queries)]
            return cls(InputsTable(*embedded, None, barred=barred), query_kinds, index_kinds)
        pools = np.stack([rng.choice(index, pool, replace=False) for _ in range(queries)])
        return cls(InputsTable(*embedded, pools), query_kinds, index_kinds)

    def reward(self, query: int, sequence: Sequence[int]) -> float:
        """1 if any demonstration of the sequence has the query's property."""
        if self.inputs.pools is None:
            assert self.inputs.barred[query] not in sequence
            return float(any(self.index[row] == self.queries[query] for row in sequence))
        pool = self.inputs.pools[query]
        return float(any(self.index[pool[position]] == self.queries[query] for position in sequence))

    def score(self, pairs: list[tuple[int, tuple[int, ...]]], _origin: str) -> list[float | None]:
        """The scorer GRPO is given."""
        self.asked += len(pairs)
        return [self.reward(query, sequence) for query, sequence in pairs]

    def greedy_reward(self, policy: PointerPolicy, shots: int = 1) -> float:
        """Mean reward of the greedy sequences."""
        chosen = policy.greedy(self.inputs.batch(range(len(self.queries))), shots).tolist()
        return float(np.mean([self.reward(query, sequence) for query, sequence in enumerate(chosen)]))

    def recorded(self, positions: int = 6, stop_below: int = 0, policy: PointerPolicy | None = None) -> Groups:
        """One-shot sequences of every query, from a known policy, and two-shot ones from an unknown one.

        Over a bank they are of each query's first rows that are not barred, located for `policy`.
        """
        rollouts = [
            Rollout(query, sequence, self.reward(query, sequence), -2.5 if len(sequence) == 1 else None)
            for query in range(len(self.queries))
            for p, following in itertools.pairwise(self.allowed(query)[: positions + 1])
            for sequence in ((p,), (p, following))
        ]
        groups = from_rollouts(rollouts, stop_below=stop_below, outwards=policy is not None and policy.outwards)
        return groups if policy is None else located(groups, policy, self.inputs)

    def allowed(self, query: int) -> list[int]:
        """Positions in the query's pool, or the rows that it may be shown."""
        if self.inputs.pools is not None:
            return list(range(self.inputs.pools.shape[1]))
        return [row for row in range(len(self.index)) if row not in self.inputs.barred[query]]

    def beams(self, stop_below: int = 0) -> Groups:
        """The right demonstrations of every query, to be imitated."""
        right = {q: [(p,) for p in self.allowed(q) if self.reward(q, (p,))] for q in range(len(self.queries))}
        return from_beams(right, stop_below=stop_below)

    def validation(self) -> Validation:
        """Judges a policy by its greedy reward."""
        return Validation(answered=lambda policy: {"val/reward": self.greedy_reward(policy)})


def small_policy(seed: int = 0, **changes: object) -> PointerPolicy:
    return build_policy(PolicySettings(**(SETTINGS.model_dump() | changes)), WIDTH, seed)


def small_run(
    folder: Path, phase: Phase, seed: int = 0, policy: PointerPolicy | None = None, progress: Progress | None = None
) -> PhaseRun:
    """For `policy`, or for a `small_policy` without changes."""
    manifest = Manifest(
        policy=policy.settings if policy else SETTINGS,
        embedding_width=policy.embedding_width if policy else WIDTH,
        encoder="e",
        vlm="v",
        shots=(1, 2),
        recipe="r",
        seed=seed,
        phase=phase,
        epoch=0,
    )
    return PhaseRun(
        folder / f"seed-{seed}" / phase, manifest, MetricsLog(folder / "metrics.jsonl"), progress or Silent()
    )


def without_times(rows: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    return [{name: value for name, value in row.items() if not name.startswith("time/")} for row in rows]
