"""The recipe of a whole experiment: its sections, and what must hold between them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from shotsmith.metrics.table import METRICS
from shotsmith.recipe.base import Seed, Settings
from shotsmith.recipe.data import DataSettings
from shotsmith.recipe.encoder import EncoderSettings
from shotsmith.recipe.evaluation import EvaluationSettings
from shotsmith.recipe.grpo import GrpoSettings
from shotsmith.recipe.models import BeamSettings, VLMSettings
from shotsmith.recipe.policy import PolicySettings
from shotsmith.recipe.pools import PoolSettings
from shotsmith.recipe.rewards import RewardSettings
from shotsmith.recipe.servers import check_backend
from shotsmith.recipe.training import RceSettings, RolloutSettings, SupervisedSettings


class Recipe(Settings):
    """A whole experiment."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=200)] = "run"
    """Name of the run folder under `runs/`."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    """Training seeds; data, pools, beam data and completions are shared by them."""
    store: Path | None = None
    """Completions store shared with other runs (a file); by default the run keeps its own."""
    start_from: Path | None = None
    """A checkpoint (a folder, or a file in another known format) whose weights training starts from; its network must
    be the one that `policy` says. By default training starts from the untrained policy."""
    data: DataSettings
    vlm: VLMSettings = VLMSettings()
    encoder: EncoderSettings = EncoderSettings()
    pools: PoolSettings | None = None
    """Restricts every query to a pool of candidates, drawn once. By default it chooses from the whole bank."""
    beam: BeamSettings = BeamSettings()
    policy: PolicySettings = PolicySettings()
    supervised: SupervisedSettings = SupervisedSettings()
    rollouts: RolloutSettings = RolloutSettings()
    reward: RewardSettings = RewardSettings()
    rce: RceSettings = RceSettings()
    grpo: GrpoSettings = GrpoSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.pools is not None and self.longest > self.pools.size:
            raise ValueError(f"{self.longest} shots cannot be taken from pools of {self.pools.size}")
        asked = self.supervised.epochs and self.beam.is_set("queries")
        if asked and self.beam.queries > self.data.train_queries:
            raise ValueError("beam.queries exceeds data.train_queries")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must differ from each other")
        if self.vlm.backend is not None:
            check_backend(self.vlm.backend.name)
        if not self.vlm.gives_log_probs and (needing := self._need_log_probs()):
            lacking = "vlm.backend.name" if self.vlm.server is None else "vlm.server.kind"
            name = self.vlm.backend.name if self.vlm.backend is not None else self.vlm.server and self.vlm.server.kind
            raise ValueError(
                f"{lacking} '{name}' has no log-probabilities of given answers, which {' and '.join(needing)} "
                "need: use vLLM and kind vllm, or do without (supervised.epochs=0, reward.answer_probability=0)"
            )
        return self

    @property
    def longest(self) -> int:
        """Demonstrations of the longest sequence that a setting names."""
        return max(self.beam.shots, *self.rollouts.shots, *self.grpo.shots, *self.evaluation.shots)

    def _need_log_probs(self) -> list[str]:
        needs = {
            "the beam data of supervised training": self.supervised.epochs,
            "the reward": self.reward.needs_log_probs,
            f"the metric {self.data.metric}": METRICS[self.data.metric].by_likelihood,
            "evaluation.beam_width": self.evaluation.beam_width,
        }
        return [name for name, needed in needs.items() if needed]
