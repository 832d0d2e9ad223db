"""Group relative policy optimisation (arXiv 2402.03300) of a policy over sequences of demonstrations.

Updates run in eval mode, so that ratios and KL hold no dropout noise (unless a recipe asks for that mistake).
"""

from __future__ import annotations

import torch

from shotsmith.checkpoints.native import load_policy
from shotsmith.errors import InputError
from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.protocol import Policy
from shotsmith.recipe import GrpoSettings
from shotsmith.training.curriculum import difficulty, eligible
from shotsmith.training.groups import Groups
from shotsmith.training.learner import Learner
from shotsmith.training.loop import PhaseRun, run_epochs
from shotsmith.training.means import Means
from shotsmith.training.metrics_log import Row
from shotsmith.training.order import QueryOrder
from shotsmith.training.reference import Reference
from shotsmith.training.rollout_metrics import SampledMetrics, advantage_metrics
from shotsmith.training.rollouts import Scorer, Source, collect, mixture, on_policy, recorded
from shotsmith.training.seeding import generator, seeded
from shotsmith.training.truncation import kept_in_epoch
from shotsmith.training.update import prepare, update
from shotsmith.training.validation import Validation

FROZEN = ("encoder.input_proj", "encoder.query_proj", "encoder.cand_proj")
"""What `freeze_projections` leaves as it is."""


def train_grpo(
    policy: Policy,
    inputs: InputsTable,
    scorer: Scorer,
    validation: Validation,
    settings: GrpoSettings,
    run: PhaseRun,
    *,
    rollouts: Groups | None = None,
    supervised: Policy | None = None,
    highest_reward: float = 1.0,
) -> list[Row]:
    """Train on rollouts sampled from the policy, or on recorded ones (`rollouts`, whole groups) where told to.

    `supervised` is the policy after supervised training, where the reference is to be that one. A rollout counts as
    good from half of `highest_reward` on. One row of metrics per epoch (see loop.run_epochs). Raises InputError
    where there are no queries, or no recorded rollouts where needed.
    """
    if not len(inputs):
        raise InputError("there are no queries to train the grpo phase on")
    if settings.needs_recorded and not (rollouts is not None and len(rollouts)):
        raise InputError("grpo is to use recorded rollouts, but there are none")
    if settings.reference.policy == "supervised" and supervised is None:
        raise InputError("grpo.reference.policy is 'supervised', but there was no supervised training")
    start = supervised if settings.reference.policy == "supervised" and supervised is not None else policy
    phase = _Grpo(policy, inputs, scorer, settings, run, rollouts, Reference(start, settings), highest_reward)
    return run_epochs(
        policy,
        settings,
        phase.order,
        validation,
        run,
        phase.train_epoch,
        updates=sum(map(phase.steps, range(1, settings.epochs + 1))) * settings.num_iterations,
        frozen=FROZEN if settings.freeze_projections else (),
        further=phase.reference,
    )


class _Grpo:
    """One phase of GRPO."""

    def __init__(
        self,
        policy: Policy,
        inputs: InputsTable,
        scorer: Scorer,
        settings: GrpoSettings,
        run: PhaseRun,
        rollouts: Groups | None,
        reference: Reference,
        highest_reward: float,
    ) -> None:
        self.policy, self.inputs, self.scorer, self.settings, self.run = policy, inputs, scorer, settings, run
        self.rollouts, self.reference, self.highest_reward = rollouts, reference, highest_reward
        self.order = QueryOrder(len(inputs), run.phase, run.seed)
        self.usable = torch.ones(len(inputs), dtype=torch.bool)
        if settings.sampling.source == "recorded" and rollouts is not None:
            self.usable = torch.zeros_like(self.usable).index_fill(0, rollouts.rows, True)
        self.difficulty: torch.Tensor | None = None
        if rollouts is not None:
            self.difficulty = difficulty(rollouts, len(inputs), settings.curriculum, highest_reward)

    def steps(self, epoch: int) -> int:
        """Batches of an epoch: as many as set, or one pass over the queries that take part in it."""
        queries = int(self._eligible(epoch).sum())
        return self.settings.steps_per_epoch or -(-queries // self.settings.queries_per_step)

    def train_epoch(self, epoch: int, learner: Learner) -> dict[str, float]:
        settings, reference = self.settings, self.reference
        source, chosen = self._source(epoch), self._eligible(epoch)
        kept = kept_in_epoch(epoch, settings.sampling.keep_top)
        means, sampled, first_kl = Means(), SampledMetrics(self.highest_reward), None
        self._restart_where_told(epoch, learner)
        self.inputs.refresh()

        def take(count: int) -> tuple[list[int], int]:
            position = self.order.cursor
            return self.order.take(count, chosen), position

        with seeded("dropout", self.run.phase, self.run.seed, epoch, device=self.inputs.device):
            for step in range(self.steps(epoch)):
                self.policy.eval()
                collected = collect(source, take, self._wanted(step, int(chosen.sum())), settings.advantage)
                sampled.add(collected.sampled)
                if not len(collected.entering):
                    continue
                batch = prepare(self.policy, reference, self.inputs, collected.entering, settings, kept)
                means.add(advantage_metrics(batch.advantages, batch.groups.valid))
                for _ in range(settings.num_iterations):
                    metrics, batch = update(self.policy, reference, learner, batch, settings)
                    first_kl = metrics.get("kl") if first_kl is None else first_kl
                    means.add(metrics)
        self.policy.eval()
        metrics = means.means() | {"beta": reference.beta}
        metrics |= sampled.metrics()
        if "loss" in metrics:
            metrics["train_loss"] = metrics["loss"]
        if epoch == 1 and first_kl is not None:
            metrics["kl_before_first_update"] = first_kl
        return metrics

    def _restart_where_told(self, epoch: int, learner: Learner) -> None:
        curriculum = self.settings.curriculum
        if curriculum.restart_from and epoch == curriculum.epochs + 1:
            learner.restart(load_policy(self.run.epoch_folder(curriculum.restart_from))[0])

    def _source(self, epoch: int) -> Source:
        """Where the epoch's groups come from."""
        settings, kind = self.settings, self.settings.sampling.source
        draws = generator("rollouts", self.run.seed, epoch, device=self.inputs.device)
        fresh = on_policy(self.policy, self.inputs, self.scorer, settings, draws, self.run.origin(epoch))
        if kind == "on_policy" or self.rollouts is None:
            return fresh
        stored = recorded(self.rollouts)
        if kind == "recorded":
            return stored
        return mixture(fresh, stored, settings.sampling.recorded_share, frozenset(self.rollouts.rows.tolist()))

    def _eligible(self, epoch: int) -> torch.Tensor:
        """[queries] bool: those that take part in the epoch."""
        if self.difficulty is None:
            return self.usable
        return self.usable & eligible(epoch, self.settings.curriculum, self.difficulty)

    def _wanted(self, step: int, queries: int) -> int:
        """Groups of a step; in a whole pass over the queries the last step may have fewer."""
        if self.settings.steps_per_epoch:
            return self.settings.queries_per_step
        return min(self.settings.queries_per_step, queries - step * self.settings.queries_per_step)
