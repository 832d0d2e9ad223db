"""Supervised training: cross-entropy on the sequences that beam search found."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.protocol import Policy, taken
from shotsmith.recipe import SupervisedSettings
from shotsmith.training.groups import Groups
from shotsmith.training.loop import PhaseRun
from shotsmith.training.losses import cross_entropy
from shotsmith.training.metrics_log import Row
from shotsmith.training.passes import train_on_groups
from shotsmith.training.validation import Validation


@dataclass(frozen=True, slots=True)
class SupervisedData:
    """Queries, and the weighted sequences to imitate."""

    inputs: InputsTable
    """The training queries."""
    beams: Groups
    """Sequences of some of them; the values are weights (see groups.from_beams)."""


def train_supervised(
    policy: Policy,
    data: SupervisedData,
    validation: Validation,
    settings: SupervisedSettings,
    run: PhaseRun,
) -> list[Row]:
    """Teacher-forced training with dropout; one row of metrics per epoch (see loop.run_epochs)."""

    def batch_loss(distributions: torch.Tensor, batch: Groups, _step: int) -> torch.Tensor:
        return weighted_cross_entropy(distributions, batch, settings.label_smoothing)

    return train_on_groups(policy, data.inputs, data.beams, validation, settings, run, batch_loss)


def weighted_cross_entropy(distributions: torch.Tensor, batch: Groups, label_smoothing: float) -> torch.Tensor:
    """The weighted mean, over sequences, of the mean cross-entropy of their steps (STOP is one)."""
    losses = cross_entropy(distributions, batch.sequences, label_smoothing)
    steps = taken(batch.sequences).sum(-1).clamp(min=1)
    weights = batch.values * batch.valid
    return (weights * losses.sum(-1) / steps).sum() / weights.sum()
