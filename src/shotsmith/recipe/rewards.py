"""Settings of the reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, model_validator

from shotsmith.metrics.table import METRICS, check_metric
from shotsmith.plugins import Table
from shotsmith.recipe.base import NonNegative, Settings

WEIGHTED_SUM = "weighted_sum"
_LIMIT = 5.0
_BY_LOG_PROB = frozenset({"answer_probability", "log_prob_gain", "gt_prob"})
"""The rewards that need the log-probability of true answers."""


@dataclass(frozen=True, slots=True)
class Mode:
    """A way to combine rewards into one number that is no weighted sum of all."""

    rewards: tuple[str, ...]
    """Names of the rewards that it combines (rewards.REWARDS)."""
    formula: Callable[..., float]
    """Of the settings, which hold the weights, and of those rewards in their order."""
    weights: tuple[str, ...] = ("hard_weight", "soft_weight")
    """The settings of which one must be above 0."""

    def combine(self, settings: RewardSettings, *values: float) -> float:
        """The formula's value, clipped to -5 .. 5."""
        return max(-_LIMIT, min(_LIMIT, self.formula(settings, *values)))


MODES: Table[Mode] = Table("shotsmith.reward_modes", Mode)
"""Every mode but the weighted sum, by name."""


def _check_mode(name: str) -> str:
    if name != WEIGHTED_SUM and name not in MODES:
        raise ValueError(f"no mode is called '{name}'; there are {', '.join([WEIGHTED_SUM, *MODES])}")
    return name


class RewardSettings(Settings):
    """What a completion is worth: a weighted sum of pure functions, or a mode that combines some in another way."""

    mode: Annotated[str, AfterValidator(_check_mode)] = WEIGHTED_SUM
    """The weighted sum of the functions below, or the combination of that name, clipped to -5 .. 5."""
    vqa_accuracy: NonNegative = 1.0
    """Weight of the official VQA accuracy of the generated answer (0 to 1)."""
    answer_probability: NonNegative = 1.0
    """Weight of the probability of the most common true answer (0 to 1)."""
    log_prob_gain: NonNegative = 0.0
    """Weight of the gain in log-probability of the most common true answer over no demonstrations, in nats: dense."""
    answer_f1: NonNegative = 0.0
    """Weight of the token F1 of the generated answer with the nearest true answer (0 to 1)."""
    answer_rouge_l: NonNegative = 1.0
    """Weight of ROUGE-L of the generated answer with the nearest true answer (0 to 1): half an answer earns something,
    so that groups without a right answer can differ."""
    cider: NonNegative = 0.0
    """Weight of CIDEr of the generated caption (0 to 10)."""
    metrics: Mapping[Annotated[str, AfterValidator(check_metric)], NonNegative] = {}
    """Weights of further metrics, by name; `anls: 1` in this section stands for `metrics: {anls: 1}`. A metric that is
    no score of one answer enters with its stand-in: the mean absolute error with closeness, macro F1 with exact
    match."""
    demonstration_cost: NonNegative = 0.0
    """Taken off for every demonstration shown, in any mode: of two equally good sequences the shorter wins."""
    hard_weight: NonNegative = 1.0
    """In a mode that has it: weight of a right answer."""
    soft_weight: NonNegative = 1.0
    """In a mode that has it: weight of the VQA accuracy, of the true answers' probability, or of their gain."""
    relevance_weight: NonNegative = 0.1
    """In a mode that has it: weight of how near a wrong answer is to a true one."""

    @model_validator(mode="before")
    @classmethod
    def _named_metrics(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        named = {name: weight for name, weight in value.items() if name in further_metrics()}
        if not named:
            return value
        others = {name: weight for name, weight in value.items() if name not in named}
        return others | {"metrics": {**(others.get("metrics") or {}), **named}}

    def weight(self, name: str) -> float:
        """The weight of a function of the weighted sum; 0 where it has none."""
        return float(self.metrics.get(name, 0.0) if name in further_metrics() else getattr(self, name, 0.0))

    @property
    def needs_log_probs(self) -> bool:
        """Whether completions must come with log-probabilities of true answers, or of options."""
        if self.mode == WEIGHTED_SUM:
            chosen = any(weight and METRICS[name].by_likelihood for name, weight in self.metrics.items())
            return bool(self.answer_probability or self.log_prob_gain or chosen)
        return any(name in _BY_LOG_PROB for name in MODES[self.mode].rewards)

    @model_validator(mode="after")
    def _some_weight(self) -> RewardSettings:
        weights = (
            self.vqa_accuracy,
            self.answer_probability,
            self.log_prob_gain,
            self.answer_f1,
            self.answer_rouge_l,
            self.cider,
            *self.metrics.values(),
        )
        if self.mode == WEIGHTED_SUM and not any(weights):
            raise ValueError("at least one reward weight must be above 0")
        if self.mode != WEIGHTED_SUM and not any(getattr(self, name) for name in MODES[self.mode].weights):
            raise ValueError(f"at least one weight of mode {self.mode} must be above 0")
        return self


def further_metrics() -> list[str]:
    """The metrics whose weights have no setting of their own."""
    return [name for name in METRICS if name not in RewardSettings.model_fields]
