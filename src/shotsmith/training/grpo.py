"""Group relative policy optimisation (GRPO, arXiv 2402.03300) of a policy over sequences of demonstrations.

Updates run in eval mode, so that ratios and KL contain no dropout noise, unless `grpo.dropout` is set. A curriculum
chooses the queries of the first epochs by the rewards of their recorded rollouts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch

from shotsmith.checkpoints.native import load_policy
from shotsmith.errors import InputError
from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.protocol import Policy
from shotsmith.recipe import CurriculumSettings, GrpoSettings
from shotsmith.training.advantages import kept_in_epoch
from shotsmith.training.choice import QueryChoice
from shotsmith.training.groups import Groups
from shotsmith.training.learner import Learner
from shotsmith.training.loop import PhaseRun, run_epochs
from shotsmith.training.metrics_log import Means, MetricsRow, SampledMetrics, advantage_metrics
from shotsmith.training.reference import Reference
from shotsmith.training.rollouts import GroupSource, Rewarder, collect, on_policy, recorded
from shotsmith.training.seeding import QueryOrder, generator, seeded
from shotsmith.training.update import prepare, update
from shotsmith.training.validation import Validation

FROZEN = ("encoder.input_proj", "encoder.query_proj", "encoder.cand_proj")
"""The modules that `freeze_projections` excludes from training."""
_CHOICE = "choice."
"""Prefix of the choice of queries in the state file."""


def train_grpo(
    policy: Policy,
    inputs: InputsTable,
    rewarder: Rewarder,
    validation: Validation,
    settings: GrpoSettings,
    run: PhaseRun,
    *,
    rollouts: Groups | None = None,
    supervised: Policy | None = None,
    highest_reward: float = 1.0,
) -> list[MetricsRow]:
    """Train `policy` on rollouts sampled from it, or on recorded `rollouts` (`settings.sampling.source`).

    `supervised` is the policy after supervised training, for `settings.reference.policy: supervised`. A rollout counts
    as good if its reward is at least half of `highest_reward`. Returns one row of metrics per epoch (see
    loop.run_epochs). Raises InputError if there are no queries, or if needed rollouts or the supervised policy are
    missing.
    """
    if not len(inputs):
        raise InputError("there are no queries to train the grpo phase on")
    if settings.needs_recorded and not (rollouts is not None and len(rollouts)):
        raise InputError("grpo is to use recorded rollouts, but there are none")
    if settings.reference.policy == "supervised" and supervised is None:
        raise InputError("grpo.reference.policy is 'supervised', but there was no supervised training")
    start = supervised if settings.reference.policy == "supervised" and supervised is not None else policy
    phase = _Grpo(policy, inputs, rewarder, settings, run, rollouts, Reference(start, settings), highest_reward)
    return run_epochs(
        policy,
        settings,
        phase.order,
        validation,
        run,
        phase.train_epoch,
        updates=sum(map(phase.steps, range(1, settings.epochs + 1))) * settings.num_iterations,
        frozen=FROZEN if settings.freeze_projections else (),
        extra=phase,
    )


class _Grpo:
    """One phase of GRPO."""

    def __init__(
        self,
        policy: Policy,
        inputs: InputsTable,
        rewarder: Rewarder,
        settings: GrpoSettings,
        run: PhaseRun,
        rollouts: Groups | None,
        reference: Reference,
        highest_reward: float,
    ) -> None:
        self.policy, self.inputs, self.rewarder, self.settings, self.run = policy, inputs, rewarder, settings, run
        self.rollouts, self.reference, self.highest_reward = rollouts, reference, highest_reward
        self.order = QueryOrder(len(inputs), run.phase, run.seed)
        self.usable = torch.ones(len(inputs), dtype=torch.bool)
        if settings.sampling.source == "recorded" and rollouts is not None:
            self.usable = torch.zeros_like(self.usable).index_fill(0, rollouts.rows, True)
        lengths = (max(settings.shots),) if policy.can_stop else settings.shots
        compete = settings.sampling.candidates if settings.sampling.source == "on_policy" else 1
        self.choice = QueryChoice(inputs, self.order, lengths, compete)
        self.difficulty: torch.Tensor | None = None
        if rollouts is not None:
            self.difficulty = difficulty(rollouts, len(inputs))

    def steps(self, epoch: int) -> int:
        """Steps of an epoch: `steps_per_epoch`, or one pass over the queries that take part in the epoch."""
        queries = int(self._eligible(epoch).sum())
        return self.settings.steps_per_epoch or -(-queries // self.settings.queries_per_step)

    def train_epoch(self, epoch: int, learner: Learner) -> dict[str, float]:
        settings, reference = self.settings, self.reference
        source, chosen = self._source(epoch), self._eligible(epoch)
        kept = kept_in_epoch(epoch, settings.sampling.keep_top)
        means, sampled, first_kl = Means(), SampledMetrics(self.highest_reward), None
        self._restart_after_curriculum(epoch, learner)
        self.inputs.refresh()

        def take(count: int) -> tuple[list[int], int]:
            return self.choice.take(count, chosen)

        with seeded("dropout", self.run.phase, self.run.seed, epoch, device=self.inputs.device):
            for step in range(self.steps(epoch)):
                self.policy.eval()
                wanted = self._wanted(step, int(chosen.sum()))
                collected = collect(source, take, wanted, settings.advantage, self.choice.observe)
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
        metrics |= sampled.metrics() | self.choice.metrics.epoch()
        if "loss" in metrics:
            metrics["train_loss"] = metrics["loss"]
        if epoch == 1 and first_kl is not None:
            metrics["kl_before_first_update"] = first_kl
        return metrics

    def state(self) -> tuple[Mapping[str, torch.Tensor], Mapping[str, float]]:
        """What resuming needs of the reference and of the choice of queries."""
        tensors, numbers = self.reference.state()
        return {**tensors, **{_CHOICE + name: value for name, value in self.choice.state().items()}}, numbers

    def restore(self, tensors: Mapping[str, torch.Tensor], numbers: Mapping[str, float]) -> None:
        """Restore what `state` returned."""
        self.choice.restore({name.removeprefix(_CHOICE): tensors[name] for name in tensors if name.startswith(_CHOICE)})
        self.reference.restore({name: tensors[name] for name in tensors if not name.startswith(_CHOICE)}, numbers)

    def _restart_after_curriculum(self, epoch: int, learner: Learner) -> None:
        curriculum = self.settings.curriculum
        if curriculum.restart_from and epoch == curriculum.epochs + 1:
            learner.restart(load_policy(self.run.epoch_folder(curriculum.restart_from))[0])

    def _source(self, epoch: int) -> GroupSource:
        """The source of the groups of an epoch."""
        settings, kind = self.settings, self.settings.sampling.source
        draws = generator("rollouts", self.run.seed, epoch, device=self.inputs.device)
        fresh = on_policy(self.policy, self.inputs, self.rewarder, settings, draws, self.run.origin(epoch))
        if kind == "on_policy" or self.rollouts is None:
            return fresh
        return recorded(self.rollouts)

    def _eligible(self, epoch: int) -> torch.Tensor:
        """Mask [queries] of the queries that take part in the epoch."""
        if self.difficulty is None:
            return self.usable
        return self.usable & eligible(epoch, self.settings.curriculum, self.difficulty)

    def _wanted(self, step: int, queries: int) -> int:
        """The number of groups of a step; the last step of a pass over the queries may have fewer."""
        if self.settings.steps_per_epoch:
            return self.settings.queries_per_step
        return min(self.settings.queries_per_step, queries - step * self.settings.queries_per_step)


def difficulty(groups: Groups, queries: int) -> torch.Tensor:
    """How early each query takes part: the contrast of its recorded rollouts, [queries] float64, the highest first.

    The contrast is the highest minus the lowest reward of the valid rollouts; NaN for a query without any.
    """
    group, rollout = groups.valid.nonzero(as_tuple=True)
    rows, rewards = groups.rows[group], groups.values[group, rollout].double()
    unknown = torch.full((queries,), math.nan, dtype=torch.float64)
    highest, lowest = (unknown.scatter_reduce(0, rows, rewards, kind, include_self=False) for kind in ("amax", "amin"))
    return highest - lowest


def eligible(epoch: int, settings: CurriculumSettings, measured: torch.Tensor) -> torch.Tensor:
    """Mask [queries] of the queries that take part in `epoch` (from 1), by their `difficulty`, here `measured`.

    At least one query takes part, the highest values first; earlier queries win ties. Queries without recorded rollouts
    join once all queries take part. Raises InputError if a curriculum finds no recorded rollouts at all.
    """
    share = CURRICULUM_SHARES[settings.kind](epoch, settings)
    if share >= 1:
        return torch.ones(len(measured), dtype=torch.bool)
    known = int((~measured.isnan()).sum())
    if not known:
        raise InputError("a curriculum needs recorded rollouts of the training queries")
    number = max(1, round(share * known))
    highest_first = measured.nan_to_num(nan=-math.inf).argsort(descending=True, stable=True)
    return torch.zeros(len(measured), dtype=torch.bool).index_fill(0, highest_first[:number], True)


CURRICULUM_SHARES: dict[str, Callable[[int, CurriculumSettings], float]] = {
    "none": lambda _epoch, _settings: 1.0,
    "staged": lambda epoch, settings: settings.share if epoch <= settings.epochs else 1.0,
    "continuous": lambda epoch, settings: settings.share + (1 - settings.share) * (epoch - 1) / settings.epochs,
}
"""Curricula: (epoch from 1, settings) -> the share of the queries that take part; all of them at 1 and above."""
