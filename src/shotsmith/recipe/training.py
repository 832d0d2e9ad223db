"""Settings of supervised training, of the recorded rollouts, and of RCE."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from shotsmith.recipe.base import Count, Epochs, Lengths, Natural, Positive, Settings, Share


class OptimizerSettings(Settings):
    """What all three phases share."""

    epochs: Epochs = 10
    """Passes of this phase; one checkpoint and one metrics row each. 0 skips the phase."""
    learning_rate: Positive = 1e-3
    """Peak learning rate of AdamW."""
    warmup_steps: Natural = 20
    """Steps over which the learning rate rises linearly from 0."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """How the learning rate falls after the warm-up, over all updates of the phase."""
    final_learning_rate_share: Share = 0.1
    """What is left of the peak at the last update of a linear or cosine schedule."""
    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.95
    """The policy that is validated and saved is the exponential moving average of the weights, with this decay an
    update (Polyak averaging): single updates are noisy. 0: the weights as they are."""
    queries_per_step: Count = 32
    """Queries (groups) in one update."""
    patience: Natural = 0
    """Stop after this many epochs in a row without a better validation reward; 0 never stops early."""
    best_by: Literal["val_reward", "val_loss", "last"] = "val_reward"
    """Which epoch goes on to the next phase and into the evaluation."""


class SupervisedSettings(OptimizerSettings):
    """Cross-entropy on the sequences that beam search found."""

    epochs: Epochs = 0
    """Passes of this phase; one checkpoint and one metrics row each. 0 skips the phase."""


class RolloutSettings(Settings):
    """The recorded rollouts of each training query, for RCE (and for GRPO where it is told to use them).

    A text is short for `imported` alone.
    """

    imported: Path | None = None
    """Folder that `shotsmith import` has written. Training then learns from its rollouts, beams, pools and embeddings,
    validates on the last fifth of its queries, and no VLM is loaded; the settings below (but `require_right`) mean
    nothing, nor do those of data, vlm, encoder, pools, beam and evaluation."""
    beam: Natural = 0
    """Sequences found by beam search under the supervised policy."""
    sampled: Natural = 6
    """Sequences sampled from the supervised policy; their probabilities are kept."""
    random: Natural = 4
    """Sequences drawn at random. Those of the image-similar, text-similar and mixed selectors are always there."""
    require_right: bool = False
    """Leave out the training queries none of whose rollouts earned any accuracy (REQUIRE_POSITIVE_QUERY)."""
    shots: Lengths = (2,)
    """Lengths of the sequences. A fixed-length policy's groups have one length each, taken in turn; where the
    policy can stop, every sequence of a group takes the next length."""

    @model_validator(mode="before")
    @classmethod
    def _folder_alone(cls, value: object) -> object:
        return {"imported": value} if isinstance(value, str) else value


class RceSettings(OptimizerSettings):
    """Reward-weighted cross-entropy: weights softmax(reward / tau) in each group."""

    epochs: Epochs = 0
    """Passes of this phase; one checkpoint and one metrics row each. 0 skips the phase."""
    tau_start: Positive = 2.0
    """Temperature of the weights at the first step; it falls linearly."""
    tau_end: Positive = 0.5
    """Temperature at the last step."""
    raw_rewards: bool = False
    """Weigh by raw rewards; otherwise by rewards standardised in their group (clamped to +-3)."""


class CurriculumSettings(Settings):
    """Which queries GRPO trains on while it begins: always whole groups, never the best sequences of one.

    Queries come in the order of the contrast of their recorded rollouts: the highest reward minus the lowest.
    """

    kind: Literal["none", "staged", "continuous"] = "none"
    """All queries from the start; only the chosen share at first, then all; or a share that grows to all."""
    share: Share = 0.5
    """Share of the queries at the first epoch."""
    epochs: Count = 5
    """Epochs until all queries take part."""
    restart_from: Natural = 0
    """Staged: once all queries take part, go back to the weights of this epoch, with a new optimizer. 0: go on with the
    weights as they are."""

    @model_validator(mode="after")
    def _some_queries(self) -> CurriculumSettings:
        if not self.share:
            raise ValueError("a curriculum begins with a share above 0")
        if self.restart_from and (self.kind != "staged" or self.restart_from > self.epochs):
            raise ValueError("restart_from is an epoch of the first stage of a staged curriculum")
        return self
