"""What training is made from, and where it comes from in an experiment that asks a VLM."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from typing import Protocol

from shotsmith.experiment.parts import Parts
from shotsmith.experiment.rollouts import record_rollouts, stop_below
from shotsmith.experiment.scoring import Scorer
from shotsmith.metrics.table import METRICS
from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.protocol import Policy
from shotsmith.runs import Phase, Split
from shotsmith.selectors.beam_file import read_beams
from shotsmith.selectors.beam_search import taught
from shotsmith.selectors.policy import PolicySelector
from shotsmith.training.groups import Groups, from_beams, from_rollouts
from shotsmith.training.rollouts import Rewarder

Answered = Callable[[Policy], dict[str, float]]
"""Figures of a policy that need the VLM."""


class Material(Protocol):
    """Everything the phases learn from and are judged by."""

    @property
    def encoder(self) -> str:
        """Identity of the encoder that made the embeddings."""
        ...

    @property
    def vlm(self) -> str:
        """Identity of the VLM whose answers were rewarded."""
        ...

    @property
    def shots(self) -> tuple[int, ...]:
        """Lengths of the recorded sequences."""
        ...

    @property
    def beam_shots(self) -> tuple[int, ...]:
        """Lengths of the sequences to imitate."""
        ...

    def inputs(self, split: Split) -> InputsTable:
        """The queries of a split and their pools, as a policy sees them."""
        ...

    def beams(self) -> Groups:
        """Sequences of training queries to imitate."""
        ...

    def rollouts(self, seed: int, policy: Policy) -> tuple[Groups, int]:
        """Recorded rollouts of the training queries, and how many completions they took."""
        ...

    def validation_rollouts(self, seed: int) -> tuple[Groups, int]:
        """The same of the validation queries."""
        ...

    def scorer(self) -> Rewarder:
        """Rewards sequences of training queries."""
        ...

    def answered(self, seed: int, phase: Phase) -> Answered | None:
        """Judges a policy by answers to validation queries; None where nobody answers."""
        ...


class Asked:
    """The queries of the data set, their beam data, and rollouts that a VLM answers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.inputs = parts.inputs

    @property
    def encoder(self) -> str:
        """The recipe's encoder."""
        return self._parts.encoder.identity

    @property
    def vlm(self) -> str:
        """The recipe's VLM."""
        return self._parts.collector.vlm.identity

    @property
    def shots(self) -> tuple[int, ...]:
        """As the recipe says."""
        return self._parts.recipe.rollouts.shots

    @property
    def beam_shots(self) -> tuple[int, ...]:
        """As the recipe says."""
        return (self._parts.recipe.beam.shots,)

    def beams(self) -> Groups:
        """What beam search found."""
        found = read_beams(self._parts.run.beam, self._parts.tasks("train"))
        most = stop_below(self._parts.recipe)
        width = self._parts.recipe.beam.width
        beams = {result.query: taught(result, width, most > 0) for result in found}
        return from_beams(beams, stop_below=most, outwards=self._parts.recipe.policy.order == "outwards")

    def rollouts(self, seed: int, policy: Policy) -> tuple[Groups, int]:
        """Chosen by the policy and by selectors without training."""
        return record_rollouts(self._parts, "train", f"seed-{seed}/rollouts", seed, policy=policy)

    def validation_rollouts(self, seed: int) -> tuple[Groups, int]:
        """Chosen by selectors without training: the same for every policy. None where no phase learns from rollouts."""
        if not (self._parts.recipe.supervised.epochs or self._parts.recipe.rce.epochs):
            return from_rollouts([]), 0
        return record_rollouts(self._parts, "val", "rollouts/val", seed)

    def scorer(self) -> Rewarder:
        """Asks the VLM."""
        return Scorer(self._parts, "train")

    def answered(self, seed: int, phase: Phase) -> Answered:
        """Greedy sequences at every number of shots, answered by the VLM; a failure is left out and counted."""
        parts, scorer = self._parts, Scorer(self._parts, "val")
        tasks, shots = parts.tasks("val"), parts.recipe.evaluation.shots
        before = parts.requests

        def judge(policy: Policy) -> dict[str, float]:
            nonlocal before
            selector = PolicySelector(phase, policy)
            pairs = [
                (query, sequence) for count in shots for query, sequence in enumerate(selector.select(tasks, count))
            ]
            origin = f"seed-{seed}/{phase}/validation"
            outcomes = [outcome for outcome in scorer.outcomes(pairs, origin) if outcome is not None]
            metrics = {"val/failures": float(len(pairs) - len(outcomes))}
            if outcomes:
                metrics["val/reward"] = fmean(outcome.reward for outcome in outcomes)
                accuracy = fmean(outcome.accuracy for outcome in outcomes)
                metrics[f"val/{tasks.measure.name}"] = METRICS[tasks.measure.name].scale * accuracy
            metrics["vlm/requests"] = float(parts.requests - before)
            before = parts.requests
            return metrics

        return judge
