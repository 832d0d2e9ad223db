"""Settings of the reward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, model_validator

from shotsmith.metrics.table import METRICS, check_metric
from shotsmith.recipe.base import NonNegative, Settings

RewardMode = Literal[
    "weighted_sum",
    "hard_plus_soft",
    "hard_plus_soft_v2",
    "separated",
    "hard_only",
    "soft_only",
    "hard01_plus_gtprob",
    "hard01_plus_gtprob_separated",
    "hard_plus_gtprob_plus_rel",
    "legacy",
]


class RewardSettings(Settings):
    """What a completion is worth: a weighted sum of pure functions, or one of the predecessor's modes."""

    mode: RewardMode = "weighted_sum"
    """The weighted sum of the functions below, or the predecessor's combination of that name."""
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
    """The predecessor's HARD_WEIGHT, in its modes: weight of a right answer."""
    soft_weight: NonNegative = 1.0
    """The predecessor's SOFT_WEIGHT, in its modes: weight of the VQA accuracy (or probability, or quality)."""
    relevance_weight: NonNegative = 0.1
    """The predecessor's REL_WEIGHT, in hard_plus_gtprob_plus_rel: weight of how near a wrong answer is."""

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
        if self.mode == "weighted_sum":
            chosen = any(weight and METRICS[name].by_likelihood for name, weight in self.metrics.items())
            return bool(self.answer_probability or self.log_prob_gain or chosen)
        return "gtprob" in self.mode or self.mode == "legacy"

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
        if self.mode == "weighted_sum" and not any(weights):
            raise ValueError("at least one reward weight must be above 0")
        if self.mode != "weighted_sum" and not any(getattr(self, name) for name in _weights_of(self.mode)):
            raise ValueError(f"at least one weight of mode {self.mode} must be above 0")
        return self


def further_metrics() -> list[str]:
    """The metrics whose weights have no setting of their own."""
    return [name for name in METRICS if name not in RewardSettings.model_fields]


def _weights_of(mode: RewardMode) -> tuple[str, ...]:
    """The weights that one of the predecessor's modes has."""
    only: dict[RewardMode, tuple[str, ...]] = {"hard_only": ("hard_weight",), "soft_only": ("soft_weight",)}
    return only.get(mode, ("hard_weight", "soft_weight"))
