"""The training stage: supervised, RCE, GRPO, for every seed; each phase goes on from the best epoch before it."""

from __future__ import annotations

import copy

from shotsmith.checkpoints.native import UNKNOWN, Manifest, load_policy, load_weights, read_policy
from shotsmith.checkpoints.ranking import best_checkpoint
from shotsmith.checkpoints.ranking import rank as best_epochs
from shotsmith.errors import InputError
from shotsmith.experiment.material import Asked, Material
from shotsmith.experiment.parts import Parts
from shotsmith.files import digest, write_json
from shotsmith.policies.parts import STEPS
from shotsmith.policies.pointer import build_policy
from shotsmith.policies.protocol import Policy
from shotsmith.recipe import Recipe, dump_recipe
from shotsmith.rewards import highest_reward
from shotsmith.runs import PHASES, Phase, Run
from shotsmith.training.groups import Groups, located
from shotsmith.training.grpo import train_grpo
from shotsmith.training.imitation import SupervisedData, train_rce, train_supervised
from shotsmith.training.loop import STATE, PhaseRun
from shotsmith.training.metrics_log import MetricsLog
from shotsmith.training.state import state_values
from shotsmith.training.validation import Validation


def train(parts: Parts) -> int:
    """Train every seed; finished epochs are only loaded. Returns the completions asked for by all epochs so far."""
    return train_on(parts, parts.recipe, Asked(parts))


def train_on(parts: Parts, recipe: Recipe, material: Material) -> int:
    """The same on any material, by the epochs of a recipe. Returns the completions asked for by all epochs so far."""
    val_rollouts, asked = material.validation_rollouts(recipe.seeds[0])
    for seed in recipe.seeds:
        with MetricsLog(parts.run.metrics_file, parts.run.tensorboard(seed)) as log:
            asked += _Seed(parts, recipe, material, seed, log, val_rollouts).train()
    return asked


def rank(parts: Parts) -> int:
    """Write down the ten best epochs, by validation reward and by validation loss."""
    rows = parts.run.epochs()
    write_json(parts.run.ranking, {by: best_epochs(rows, by) for by in ("val_reward", "val_loss")})
    return 0


def restore_metrics(run: Run) -> None:
    """Write rows of metrics again that the state of a phase holds and the file has lost, as by a power loss."""
    log = MetricsLog(run.metrics_file)
    for seed in run.recipe.seeds:
        for state in (run.state(seed, phase) / STATE for phase in PHASES):
            for row in state_values(state)["rows"] if state.exists() else ():
                log.append(row)


def best_policy(parts: Parts, seed: int, phase: Phase) -> Policy:
    """The policy of the epoch a phase goes on with. Raises InputError where the phase has no epoch."""
    row = best_checkpoint(parts.run.epochs(), seed, phase, getattr(parts.recipe, phase).best_by)
    policy, _ = load_policy(parts.run.epoch(seed, phase, int(str(row["epoch"]))))
    return policy


def first_policy(recipe: Recipe, width: int, encoder: str, seed: int) -> Policy:
    """The policy that training starts from: untrained, or with the weights of the recipe's `start_from`.

    Raises CheckpointError where that checkpoint is of another network, InputError where it reads other embeddings.
    """
    policy = build_policy(recipe.policy, width, seed, recipe.longest)
    if recipe.start_from is None:
        return policy
    trained, manifest = read_policy(recipe.start_from)
    if manifest.embedding_width != width:
        raise InputError(
            f"reads embeddings of width {manifest.embedding_width}; those of {encoder} have {width}",
            file=recipe.start_from,
        )
    if "encoder" not in manifest.unknown and UNKNOWN not in encoder and manifest.encoder != encoder:
        raise InputError(f"was trained with the encoder {manifest.encoder}, not {encoder}", file=recipe.start_from)
    load_weights(policy, trained.state_dict(), recipe.start_from)
    return policy


class _Seed:
    """One seed's way through the phases."""

    def __init__(
        self, parts: Parts, recipe: Recipe, material: Material, seed: int, log: MetricsLog, val_rollouts: Groups
    ) -> None:
        self.parts, self.recipe, self.material, self.seed, self.log = parts, recipe, material, seed, log
        self.inputs, self.val_inputs = material.inputs("train"), material.inputs("val")
        self.val_rollouts = val_rollouts

    def train(self) -> int:
        """All phases. Returns the completions asked for."""
        recipe = self.recipe
        policy = first_policy(recipe, self.inputs.embedding_width, self.material.encoder, self.seed)
        policy = policy.to(self.inputs.device)
        self.val_rollouts = located(self.val_rollouts, policy, self.val_inputs)
        supervised = policy = self._supervised(policy)
        rollouts, asked = None, 0
        if recipe.rce.epochs or recipe.grpo.needs_recorded:
            rollouts, asked = self.material.rollouts(self.seed, policy)
            rollouts = located(rollouts, policy, self.inputs)
        if recipe.rce.epochs and rollouts is not None:
            policy = copy.deepcopy(policy)
            run = self._phase("rce", self.material.shots)
            train_rce(policy, self.inputs, rollouts, self._validation("rce"), recipe.rce, run)
            policy = best_policy(self.parts, self.seed, "rce").to(self.inputs.device)
        if recipe.grpo.epochs:
            train_grpo(
                policy,
                self.inputs,
                self.material.scorer(),
                self._validation("grpo"),
                recipe.grpo,
                self._phase("grpo", recipe.grpo.shots),
                rollouts=rollouts,
                supervised=supervised,
                highest_reward=highest_reward(recipe.reward),
            )
        rows = [row for row in self.parts.run.epochs() if row["seed"] == self.seed]
        return asked + sum(int(row.get("vlm/requests", 0)) for row in rows)

    def _supervised(self, policy: Policy) -> Policy:
        recipe = self.recipe
        if not recipe.supervised.epochs:
            return policy
        run = self._phase("supervised", self.material.beam_shots)
        data = SupervisedData(self.inputs, located(self.material.beams(), policy, self.inputs))
        train_supervised(policy, data, self._validation("supervised"), recipe.supervised, run)
        return best_policy(self.parts, self.seed, "supervised").to(self.inputs.device)

    def _phase(self, phase: Phase, shots: tuple[int, ...]) -> PhaseRun:
        manifest = Manifest(
            policy=self.recipe.policy,
            embedding_width=self.inputs.embedding_width,
            encoder=self.material.encoder,
            vlm=self.material.vlm,
            encoder_settings=self.recipe.encoder.without_cluster,
            vlm_settings=self.recipe.vlm,
            shots=shots,
            steps=max(self.parts.recipe.longest, STEPS),
            recipe=digest(dump_recipe(self.parts.recipe)),
            seed=self.seed,
            phase=phase,
            epoch=0,
        )
        folder = self.parts.run.phase(self.seed, phase)
        return PhaseRun(folder, manifest, self.log, self.parts.progress, self.parts.sync)

    def _validation(self, phase: Phase) -> Validation:
        answered = self.material.answered(self.seed, phase)
        return Validation(self.val_inputs, self.val_rollouts, answered)
