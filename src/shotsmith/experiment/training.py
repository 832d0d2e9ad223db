"""The training stage: supervised, RCE, GRPO, for every seed; each phase goes on from the best epoch before it."""

from __future__ import annotations

import copy
from statistics import fmean

from shotsmith.checkpoints.native import Manifest, load_policy
from shotsmith.checkpoints.ranking import best_checkpoint
from shotsmith.checkpoints.ranking import rank as best_epochs
from shotsmith.experiment.parts import Parts
from shotsmith.experiment.rollouts import record_rollouts, stop_below
from shotsmith.experiment.scoring import Scorer
from shotsmith.files import digest, write_json
from shotsmith.policies.pointer import PointerPolicy, build_policy
from shotsmith.recipe import dump_recipe
from shotsmith.rewards import highest_reward
from shotsmith.runs import Phase
from shotsmith.selectors.beam_file import read_beams
from shotsmith.selectors.beam_search import taught
from shotsmith.selectors.policy import PolicySelector
from shotsmith.training.groups import Groups, from_beams
from shotsmith.training.grpo import train_grpo
from shotsmith.training.loop import PhaseRun
from shotsmith.training.metrics_log import MetricsLog
from shotsmith.training.rce import train_rce
from shotsmith.training.supervised import SupervisedData, train_supervised
from shotsmith.training.validation import Validation


def train(parts: Parts) -> int:
    """Train every seed; finished epochs are only loaded. Returns the completions asked for by all epochs so far."""
    val_rollouts, asked = record_rollouts(parts, "val", "rollouts/val", parts.recipe.seeds[0])
    for seed in parts.recipe.seeds:
        with MetricsLog(parts.run.metrics_file, parts.run.tensorboard(seed)) as log:
            asked += _Seed(parts, seed, log, val_rollouts).train()
    return asked


def rank(parts: Parts) -> int:
    """Write down the ten best epochs, by validation reward and by validation loss."""
    rows = parts.run.epochs()
    write_json(parts.run.ranking, {by: best_epochs(rows, by) for by in ("val_reward", "val_loss")})
    return 0


def best_policy(parts: Parts, seed: int, phase: Phase) -> PointerPolicy:
    """The policy of the epoch a phase goes on with. Raises InputError where the phase has no epoch."""
    row = best_checkpoint(parts.run.epochs(), seed, phase, getattr(parts.recipe, phase).best_by)
    policy, _ = load_policy(parts.run.epoch(seed, phase, int(str(row["epoch"]))))
    return policy


class _Seed:
    """One seed's way through the phases."""

    def __init__(self, parts: Parts, seed: int, log: MetricsLog, val_rollouts: Groups) -> None:
        self.parts, self.seed, self.log = parts, seed, log
        self.inputs = parts.inputs("train")
        self.val_rollouts = val_rollouts

    def train(self) -> int:
        """All phases. Returns the completions asked for."""
        recipe = self.parts.recipe
        policy = build_policy(recipe.policy, self.inputs.embedding_width, self.seed).to(self.inputs.device)
        supervised = policy = self._supervised(policy)
        rollouts, asked = None, 0
        if recipe.rce.epochs or recipe.grpo.needs_recorded:
            rollouts, asked = record_rollouts(
                self.parts, "train", f"seed-{self.seed}/rollouts", self.seed, policy=policy
            )
        if recipe.rce.epochs and rollouts is not None:
            policy = copy.deepcopy(policy)
            run = self._phase("rce", recipe.rollouts.shots)
            train_rce(policy, self.inputs, rollouts, self._validation("rce"), recipe.rce, run)
            policy = best_policy(self.parts, self.seed, "rce").to(self.inputs.device)
        if recipe.grpo.epochs:
            train_grpo(
                policy,
                self.inputs,
                Scorer(self.parts, "train"),
                self._validation("grpo"),
                recipe.grpo,
                self._phase("grpo", recipe.grpo.shots),
                rollouts=rollouts,
                supervised=supervised,
                highest_reward=highest_reward(recipe.reward),
            )
        return asked + sum(int(row["vlm/requests"]) for row in self.parts.run.epochs() if row["seed"] == self.seed)

    def _supervised(self, policy: PointerPolicy) -> PointerPolicy:
        recipe = self.parts.recipe
        if not recipe.supervised.epochs:
            return policy
        found = read_beams(self.parts.run.beam, self.parts.tasks("train"))
        most = stop_below(recipe)
        beams = from_beams(
            {result.query: taught(result, recipe.beam.width, most > 0) for result in found}, stop_below=most
        )
        run = self._phase("supervised", (recipe.beam.shots,))
        data = SupervisedData(self.inputs, beams)
        train_supervised(policy, data, self._validation("supervised"), recipe.supervised, run)
        return best_policy(self.parts, self.seed, "supervised").to(self.inputs.device)

    def _phase(self, phase: Phase, shots: tuple[int, ...]) -> PhaseRun:
        recipe = self.parts.recipe
        manifest = Manifest(
            policy=recipe.policy,
            embedding_width=self.inputs.embedding_width,
            encoder=self.parts.encoder.identity,
            vlm=self.parts.collector.vlm.identity,
            shots=shots,
            recipe=digest(dump_recipe(recipe)),
            seed=self.seed,
            phase=phase,
            epoch=0,
        )
        return PhaseRun(self.parts.run.phase(self.seed, phase), manifest, self.log, self.parts.progress)

    def _validation(self, phase: Phase) -> Validation:
        scorer = Scorer(self.parts, "val")
        tasks, shots = self.parts.tasks("val"), self.parts.recipe.evaluation.shots
        before = self.parts.requests

        def answered(policy: PointerPolicy) -> dict[str, float]:
            """Greedy sequences at every number of shots, answered by the VLM; a failure is left out and counted."""
            nonlocal before
            selector = PolicySelector(phase, policy)
            pairs = [
                (query, sequence) for count in shots for query, sequence in enumerate(selector.select(tasks, count))
            ]
            origin = f"seed-{self.seed}/{phase}/validation"
            outcomes = [outcome for outcome in scorer.outcomes(pairs, origin) if outcome is not None]
            metrics = {"val/failures": float(len(pairs) - len(outcomes))}
            if outcomes:
                metrics["val/reward"] = fmean(outcome.reward for outcome in outcomes)
                metrics["val/vqa_accuracy"] = 100 * fmean(outcome.accuracy for outcome in outcomes)
            metrics["vlm/requests"] = float(self.parts.requests - before)
            before = self.parts.requests
            return metrics

        return Validation(self.parts.inputs("val"), self.val_rollouts, answered)
