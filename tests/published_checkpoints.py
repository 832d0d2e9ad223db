"""Checkpoint files as the predecessor writes them, and the scores of a policy to be compared with its network's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from published_network import PublishedNetwork

from shotsmith.policies.pointer import PointerPolicy
from shotsmith.policies.protocol import Inputs

WIDTH, HIDDEN, POOL = 12, 16, 9
CHOICES = (4, 0, 7, 2)
PREFIX = "lever_lm.pointer_selector."
METRICS = {"train_loss": 0.5, "val_loss": 5.15152, "ppo_loss": -0.0004, "kl": 0.03565}


def network(seed: int = 0, **changes: Any) -> PublishedNetwork:
    return PublishedNetwork.drawn(seed, WIDTH, hidden=HIDDEN, **changes)


def v3_value(weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {"epoch": 2, "phase": "grpo", "model_state_dict": weights, "kl_beta": 0.001, "metrics": dict(METRICS)}


def v2_value(weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    """A Lightning checkpoint, with what Lightning adds of its own."""
    return {
        "epoch": 7,
        "global_step": 640,
        "pytorch-lightning_version": "2.0.0",
        "state_dict": {PREFIX + name: value for name, value in weights.items()},
        "loops": {"fit_loop": {"state_dict": {}}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-4}]}],
        "lr_schedulers": [],
        "hyper_parameters": {"lr": 1e-4, "weight_decay": 1e-3, "warm_steps": 0.05},
    }


def write(file: Path, value: object) -> Path:
    torch.save(value, file)
    return file


def some_inputs(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings [5, D] and [5, K, D], in double precision: what remains different is no rounding."""
    draws = torch.Generator().manual_seed(seed)
    queries = torch.randn(5, WIDTH, generator=draws, dtype=torch.float64)
    return queries, torch.randn(5, POOL, WIDTH, generator=draws, dtype=torch.float64)


def scores_of(policy: PointerPolicy, choices: Sequence[int] = CHOICES) -> torch.Tensor:
    """Scores [B, T, K] of a policy before each of the choices; -inf for what was chosen."""
    queries, candidates = some_inputs()
    policy = policy.double()
    with torch.no_grad():
        walk = policy.walk(Inputs(queries, candidates, torch.ones(candidates.shape[:2], dtype=torch.bool)))
        state, steps = walk.start(), []
        for choice in choices:
            steps.append(walk.scores(state)[1][:, 0])
            state = walk.advance(state, torch.full((len(queries), 1), choice))
    policy.float()
    return torch.stack(steps, dim=1)


def published_scores(module: PublishedNetwork, choices: Sequence[int] = CHOICES) -> torch.Tensor:
    found = module.double().logits(*some_inputs(), choices)
    module.float()
    return found.masked_fill(found == -100.0, -torch.inf)


def published(weights: dict[str, torch.Tensor], **changes: Any) -> PublishedNetwork:
    """The network with weights read from a file; every name must fit."""
    module = network(seed=99, **changes)
    module.load_state_dict(weights, strict=True)
    return module
