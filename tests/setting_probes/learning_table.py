"""Settings of policy and training, and what shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from setting_probes import OTHERS, learning


def shared_by_phases(phase: str) -> dict[str, tuple[Any, ...]]:
    """What all phases have."""
    train = getattr(learning, phase)
    return {
        f"{phase}.epochs": (1, train),
        f"{phase}.learning_rate": (1e-4, train),
        f"{phase}.warmup_steps": (50, train),
        f"{phase}.schedule": (OTHERS, train),
        f"{phase}.final_learning_rate_share": (0.5, train, {f"{phase}.schedule": "linear"}),
        f"{phase}.average_decay": (0.5, train),
        f"{phase}.queries_per_step": (3, train),
        f"{phase}.patience": (1, train, {f"{phase}.epochs": 3}),
        f"{phase}.best_by": (OTHERS, learning.chosen_epoch(phase)),
    }


RECORDED = {"grpo.sampling.source": "recorded"}
STAGED = {"grpo.curriculum.kind": "staged", "grpo.curriculum.share": 0.3, "grpo.curriculum.epochs": 1}

SEARCHED = {"policy.shortlist": 3, "policy.index.probes": 2}

TABLE: Mapping[str, tuple[Any, ...]] = {
    "start_from": ("{here}/policy", learning.first),
    "policy.start": (OTHERS, learning.policy),
    "policy.order": (OTHERS, learning.over_bank),
    "policy.shortlist": (8, learning.over_bank),
    "policy.index.kind": (OTHERS, learning.over_bank, SEARCHED | {"policy.index.kind": "hnsw"}),
    "policy.index.probes": (1, learning.over_bank, SEARCHED | {"policy.index.kind": "ivf"}),
    "policy.prior": (False, learning.policy),
    "policy.hidden_size": (8, learning.policy),
    "policy.layers": (2, learning.policy),
    "policy.heads": (2, learning.policy, {"policy.layers": 1}),
    "policy.candidate_encoder": (OTHERS, learning.policy),
    "policy.feed_forward": (False, learning.policy),
    "policy.projections": (OTHERS, learning.policy, {"policy.start": "random"}),
    "policy.dropout": (0.5, learning.policy),
    "policy.attention_dropout": (0.5, learning.policy, {"policy.layers": 1}),
    "policy.memory": (OTHERS, learning.policy),
    "policy.step_embedding": (True, learning.policy),
    "policy.scorer": (OTHERS, learning.policy),
    "policy.temperature": (0.2, learning.policy),
    "policy.gains": (["mmr"], learning.policy),
    "policy.gain_options": ({"recent": {"strength": 3.0}}, learning.policy, {"policy.gains": ["recent"]}),
    "policy.topics": (5, learning.policy, {"policy.gains": ["coverage"]}),
    "policy.dpp_rank": (3, learning.policy, {"policy.gains": ["dpp"]}),
    "policy.decoding": (OTHERS, learning.policy, {"policy.memory": "none"}),
    "policy.top_m": (3, learning.policy, {"policy.decoding": "two_stage"}),
    "policy.length": (OTHERS, learning.policy),
    **shared_by_phases("supervised"),
    **shared_by_phases("rce"),
    "rce.tau_start": (1.0, learning.rce),
    "rce.tau_end": (0.1, learning.rce),
    "rce.raw_rewards": (True, learning.rce),
    **shared_by_phases("grpo"),
    "grpo.steps_per_epoch": (1, learning.grpo),
    "grpo.num_generations": (5, learning.grpo),
    "grpo.num_iterations": (1, learning.grpo),
    "grpo.shots": ([2], learning.grpo),
    "grpo.epsilon": (0.01, learning.grpo),
    "grpo.epsilon_high": (0.01, learning.grpo),
    "grpo.importance_level": (OTHERS, learning.grpo),
    "grpo.beta": (0.5, learning.grpo),
    "grpo.entropy_coef": (0.5, learning.grpo),
    "grpo.dropout": (True, learning.grpo),
    "grpo.freeze_projections": (True, learning.grpo),
    "grpo.sampling.source": (OTHERS, learning.grpo),
    "grpo.sampling.candidates": (3, learning.grpo),
    "grpo.sampling.probe": (2, learning.grpo),
    "grpo.sampling.temperature": (2.0, learning.grpo),
    "grpo.sampling.distinct": (True, learning.grpo),
    "grpo.sampling.keep_top": ([3], learning.grpo, RECORDED),
    "grpo.advantage.estimator": (OTHERS, learning.grpo),
    "grpo.advantage.min_std": (0.9, learning.grpo),
    "grpo.advantage.clip": (0.5, learning.grpo),
    "grpo.advantage.signal_std": (0.55, learning.grpo),
    "grpo.advantage.zero_variance": (OTHERS, learning.grpo),
    "grpo.advantage.max_resamples": (0, learning.grpo),
    "grpo.advantage.standardise_rewards": (True, learning.grpo, {"grpo.advantage.estimator": "centered"}),
    "grpo.kl.estimator": (OTHERS, learning.grpo, {"grpo.beta": 0.5}),
    "grpo.kl.placement": (OTHERS, learning.grpo, {"grpo.beta": 0.5}),
    "grpo.kl.controller": (OTHERS, learning.grpo),
    "grpo.reference.policy": (OTHERS, learning.grpo, {"grpo.beta": 0.5}),
    "grpo.reference.old_is_reference": (True, learning.grpo),
    "grpo.curriculum.kind": (OTHERS, learning.grpo, {"grpo.curriculum.share": 0.3}),
    "grpo.curriculum.share": (0.6, learning.grpo, STAGED),
    "grpo.curriculum.restart_from": (1, learning.grpo, STAGED),
    "grpo.curriculum.epochs": (2, learning.grpo, STAGED),
}
"""Setting -> (another value, the probe that shows it, and what else must be set for it to matter)."""
