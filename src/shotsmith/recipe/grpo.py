"""Settings of GRPO. The defaults are what we recommend; the others reproduce what was tried elsewhere."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from shotsmith.recipe.base import Count, Epochs, Lengths, Natural, NonNegative, Positive, Settings, Several
from shotsmith.recipe.training import CurriculumSettings, OptimizerSettings

BETA_BOUNDS = (0.001, 10.0)
"""Floor and ceiling of a controlled beta."""


class SamplingSettings(Settings):
    """Where the sequences of a group come from."""

    source: Literal["on_policy", "recorded"] = "on_policy"
    """Sampled from the current policy, or the recorded rollouts."""
    candidates: Count = 1
    """Queries that compete for each place of a step: the one whose group is most likely to carry signal takes it, by
    what groups of similar queries showed. 1: queries come in turn."""
    probe: Natural = 0
    """Sequences of a group that are answered first; where they carry no signal, the others are not asked for. 0: whole
    groups at once."""
    temperature: Positive = 1.0
    """Of the sampling distribution (the behaviour policy)."""
    distinct: bool = False
    """No sequence twice in a group: sampled without replacement, weighted by importance (arXiv 1903.06059)."""
    keep_top: tuple[Several, ...] = ()
    """Cut each group to its best rollouts: so many in the first epoch, the second, ...; the last number stays."""


class AdvantageSettings(Settings):
    """How much better than its group a rollout did."""

    estimator: Literal["group", "centered", "batch", "rank", "rloo"] = "group"
    """z-score in the group; mean taken off only (Dr. GRPO); over the batch's deviation; ranks; leave-one-out."""
    min_std: NonNegative = 0.05
    """Least standard deviation that is divided by (group, batch)."""
    clip: NonNegative = 0.0
    """Advantages are clipped to +- this; 0 does not clip."""
    signal_std: NonNegative = 0.25
    """A group whose rewards spread no more than this carries no signal."""
    zero_variance: Literal["keep", "skip", "resample"] = "resample"
    """Groups without signal are kept, left out, or left out and replaced by groups of other queries."""
    max_resamples: Natural = 3
    """How often per step they are replaced."""
    standardise_rewards: bool = False
    """First standardise the rewards of each whole group (clamped to +-3), before groups are cut."""


class KlSettings(Settings):
    """The KL divergence from the reference policy."""

    estimator: Literal["exact", "k1", "k2", "k3", "k3_reversed"] = "exact"
    """Summed over all candidates at every step, or estimated from the sampled ones (Schulman 2020)."""
    placement: Literal["loss", "reward"] = "loss"
    """Added to the loss, or taken off each rollout's reward (there k1 to k3: the exact KL of a first step is the same
    for every sequence of a group)."""
    controller: Literal["fixed", "multiplicative"] = "fixed"
    """`beta` stays; or is multiplied or divided by 1.5 after every update, where KL is above 0.1 or below 0.01."""


class ReferenceSettings(Settings):
    """The policy that KL is measured from, and the old policy of the ratio."""

    policy: Literal["start", "supervised"] = "start"
    """The policy GRPO starts from, or the supervised one even where RCE came between."""
    old_is_reference: bool = False
    """Form ratios with the reference, instead of with the policy as it was when the step began."""


class GrpoSettings(OptimizerSettings):
    """Group relative policy optimisation (arXiv 2402.03300) with the names of TRL and verl."""

    epochs: Epochs = 6
    """Passes of this phase; one checkpoint and one metrics row each. 0 skips the phase."""
    learning_rate: Positive = 5e-4
    """Peak learning rate of AdamW."""
    steps_per_epoch: Natural = 30
    """Batches of rollouts in an epoch; 0 for one pass over the queries."""
    num_generations: Several = 8
    """Sequences sampled per query (G)."""
    num_iterations: Count = 2
    """Updates per batch of rollouts (mu)."""
    shots: Lengths = (1, 2, 3, 4)
    """Lengths of the sampled sequences; a group has one length, taken in turn (the most, where the policy can stop)."""
    epsilon: Positive = 0.2
    """Lower clip of the ratio, 1 - epsilon."""
    epsilon_high: Positive = 0.28
    """Upper clip of the ratio, 1 + epsilon_high (DAPO)."""
    importance_level: Literal["step", "sequence"] = "step"
    """Ratio of every step, or one of the whole sequence."""
    beta: NonNegative = 0.0
    """Coefficient of the KL divergence, at the start."""
    entropy_coef: NonNegative = 0.02
    """Coefficient of the entropy bonus."""
    dropout: bool = False
    """Train mode in the updates: dropout then is in the ratio and in the KL, which is a mistake."""
    freeze_projections: bool = False
    """Leave the projections of embeddings, query and candidates as they are."""
    sampling: SamplingSettings = SamplingSettings()
    advantage: AdvantageSettings = AdvantageSettings()
    kl: KlSettings = KlSettings()
    reference: ReferenceSettings = ReferenceSettings()
    curriculum: CurriculumSettings = CurriculumSettings()

    @model_validator(mode="after")
    def _recorded_groups_are_whole(self) -> GrpoSettings:
        if self.sampling.distinct and self.sampling.keep_top:
            raise ValueError("distinct sampling weighs whole groups; keep_top cuts them")
        return self

    @model_validator(mode="after")
    def _a_probe_is_part_of_a_group(self) -> GrpoSettings:
        if self.sampling.probe and self.advantage.zero_variance == "keep":
            raise ValueError(
                "sampling.probe leaves groups without signal; advantage.zero_variance: keep trains on them"
            )
        if self.sampling.probe and self.sampling.distinct:
            raise ValueError("distinct sampling weighs whole groups; sampling.probe cuts them")
        if self.sampling.probe >= self.num_generations:
            raise ValueError(f"sampling.probe must be below num_generations ({self.num_generations})")
        return self

    @property
    def needs_recorded(self) -> bool:
        """Whether there must be recorded rollouts."""
        return self.sampling.source != "on_policy" or self.curriculum.kind != "none"
