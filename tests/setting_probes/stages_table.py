"""Settings of the stages around training, and what shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from setting_probes import OTHERS, rewarding, stages

TABLE: Mapping[str, tuple[Any, ...]] = {
    "beam.queries": (4, stages.beams),
    "beam.width": (3, stages.beams),
    "beam.shots": (1, stages.beams),
    "beam.candidates": (5, stages.beams, {"pools": None}),
    "rollouts.imported": (
        "{here}/imported",
        stages.trained_seeds,
        {"reward.mode": "hard_plus_soft", "supervised.epochs": 0, "rce.epochs": 1, "grpo.epochs": 0},
    ),
    "rollouts.beam": (2, stages.recorded),
    "rollouts.sampled": (4, stages.recorded),
    "rollouts.random": (3, stages.recorded),
    "rollouts.require_right": (True, stages.recorded),
    "rollouts.shots": ([1], stages.recorded),
    "reward.mode": (OTHERS, rewarding.rewards),
    "reward.vqa_accuracy": (0.5, rewarding.rewards),
    "reward.answer_probability": (0.5, rewarding.rewards),
    "reward.log_prob_gain": (0.5, rewarding.rewards),
    "reward.answer_f1": (0.5, rewarding.rewards),
    "reward.answer_rouge_l": (0.5, rewarding.rewards),
    "reward.cider": (0.5, rewarding.rewards),
    "reward.metrics": ({"anls": 0.5}, rewarding.rewards),
    "reward.demonstration_cost": (0.1, rewarding.rewards),
    "reward.hard_weight": (0.5, rewarding.rewards, {"reward.mode": "hard_only"}),
    "reward.soft_weight": (0.5, rewarding.rewards, {"reward.mode": "soft_only"}),
    "reward.relevance_weight": (0.5, rewarding.rewards, {"reward.mode": "hard_plus_gtprob_plus_rel"}),
    "evaluation.shots": ([1, 3], stages.evaluated),
    "evaluation.random_draws": (2, stages.evaluated),
    "evaluation.oracle_tries": (6, stages.evaluated),
    "evaluation.fixed_tries": (3, stages.evaluated),
    "evaluation.controls": (["blank_image"], stages.evaluated),
    "evaluation.beam_width": (2, stages.evaluated),
    "evaluation.resamples": (200, stages.evaluated),
}
"""Setting -> (another value, the probe that shows it, and what else must be set for it to matter)."""
