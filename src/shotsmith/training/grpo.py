"""Group relative policy optimisation (arXiv 2402.03300) of a policy over sequences of demonstrations.

Three policies are kept apart: the one being trained, the old one (which sampled the rollouts of the step), and the
reference (as training began). All run in eval mode, so that ratios and KL hold no dropout noise. KL and entropy are
exact: the distribution of a step is enumerated.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch

from shotsmith.errors import InputError
from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.pointer import PointerPolicy, pick
from shotsmith.policies.protocol import Inputs
from shotsmith.recipe import GrpoSettings
from shotsmith.training.advantages import Advantages, group_advantages
from shotsmith.training.groups import Groups, concatenate
from shotsmith.training.kl import exact_entropy, exact_kl
from shotsmith.training.learner import Learner
from shotsmith.training.loop import PhaseRun, run_epochs
from shotsmith.training.losses import clipped_surrogate, mean_over_sequences
from shotsmith.training.means import Means
from shotsmith.training.metrics_log import Row
from shotsmith.training.order import QueryOrder
from shotsmith.training.passes import on_device
from shotsmith.training.rollouts import Scorer, collect, on_policy, recorded
from shotsmith.training.seeding import generator
from shotsmith.training.validation import Validation


def train_grpo(
    policy: PointerPolicy,
    inputs: InputsTable,
    scorer: Scorer,
    validation: Validation,
    settings: GrpoSettings,
    run: PhaseRun,
    *,
    rollouts: Groups | None = None,
    highest_reward: float = 1.0,
) -> list[Row]:
    """Train on rollouts sampled from the policy, or on recorded ones (`rollouts`, whole groups) where told to.

    A rollout counts as good from half of `highest_reward` on (for group/* only). One row of metrics per epoch
    (see loop.run_epochs). Raises InputError where there are no queries, or no recorded rollouts where needed.
    """
    use_recorded = settings.rollouts == "recorded"
    if use_recorded and not (rollouts is not None and len(rollouts)):
        raise InputError("grpo.rollouts is 'recorded', but there are no recorded rollouts")
    if not len(inputs):
        raise InputError("there are no queries to train the grpo phase on")
    order = QueryOrder(len(rollouts) if use_recorded and rollouts is not None else len(inputs), run.phase, run.seed)
    reference = copy.deepcopy(policy).eval().requires_grad_(False)

    def train_epoch(epoch: int, learner: Learner) -> dict[str, float]:
        policy.eval()
        draws = generator("rollouts", run.seed, epoch, device=inputs.device)
        source = (
            recorded(rollouts)
            if use_recorded and rollouts is not None
            else on_policy(policy, inputs, scorer, settings, draws, run.origin(epoch))
        )
        means, kls, sampled = Means(), [], []
        for _ in range(settings.steps_per_epoch):
            collected = collect(source, order, settings)
            sampled.append(collected.sampled)
            if not len(collected.entering):
                continue
            batch = _batch(policy, reference, inputs, collected.entering, settings)
            means.add(advantage_metrics(batch.advantages, batch.groups.valid))
            for _ in range(settings.num_iterations):
                metrics = update(policy, learner, batch, settings)
                kls += [metrics["kl"]] if "kl" in metrics else []
                means.add(metrics)
        metrics = means.means() | {"beta": settings.beta} | sampled_metrics(concatenate(sampled), highest_reward)
        if "loss" in metrics:
            metrics["train_loss"] = metrics["loss"]
        if epoch == 1 and kls:
            metrics["kl_before_first_update"] = kls[0]
        return metrics

    return run_epochs(policy, settings, order, validation, run, train_epoch)


@dataclass(frozen=True, slots=True)
class Batch:
    """The groups of one step and what stays the same over its updates."""

    inputs: Inputs
    groups: Groups
    advantages: Advantages
    steps: torch.Tensor
    """[B, G, T] bool: the steps that count."""
    old_log_probs: torch.Tensor
    """[B, G, T] under the policy that sampled."""
    reference: torch.Tensor
    """[B, G, T, K] log-probabilities under the reference policy."""


@torch.no_grad()
def _batch(
    policy: PointerPolicy, reference: PointerPolicy, inputs: InputsTable, groups: Groups, settings: GrpoSettings
) -> Batch:
    embedded = inputs.batch(groups.rows.numpy())
    groups = on_device(groups, inputs.device)
    return Batch(
        inputs=embedded,
        groups=groups,
        advantages=group_advantages(groups.values, groups.valid, settings.min_std),
        steps=(groups.sequences >= 0) & groups.valid[..., None],
        old_log_probs=policy.log_prob(embedded, groups.sequences),
        reference=reference.step_distributions(embedded, groups.sequences),
    )


def update(policy: PointerPolicy, learner: Learner, batch: Batch, settings: GrpoSettings) -> dict[str, float]:
    """One update on a batch, and its metrics (as they were before the weights changed)."""
    distributions = policy.step_distributions(batch.inputs, batch.groups.sequences)
    clipped = clipped_surrogate(
        pick(distributions, batch.groups.sequences),
        batch.old_log_probs,
        batch.advantages.values,
        batch.steps,
        settings.epsilon,
        settings.epsilon_high,
    )
    kl = mean_over_sequences(exact_kl(distributions, batch.reference), batch.steps)
    entropy = mean_over_sequences(exact_entropy(distributions), batch.steps)
    loss = clipped.loss + settings.beta * kl - settings.entropy_coef * entropy
    metrics = clipped.metrics | {
        "loss": float(loss.detach()),
        "ppo_loss": float(clipped.loss.detach()),
        "kl": float(kl.detach()),
        "entropy": float(entropy.detach()),
    }
    finite = all(math.isfinite(value) for value in metrics.values())
    updated = learner.update(loss)
    return (metrics if finite else {}) | (updated or {})


def advantage_metrics(advantages: Advantages, valid: torch.Tensor) -> dict[str, float]:
    """Of the groups that enter an update. adv_std and adv_max are means over groups, as the predecessor logged them.

    advantage_* are over all their rollouts; group/frac_signal is the share of the groups that carry signal.
    """
    values = advantages.values[valid]
    spread = torch.stack([group[kept].std() for group, kept in zip(advantages.values, valid, strict=True)])
    return {
        "adv_std": float(spread.mean()),
        "adv_max": float(advantages.values.abs().amax(1).mean()),
        "advantage_mean": float(values.mean()),
        "advantage_std": float(values.std()),
        "advantage_max": float(values.max()),
        "advantage_min": float(values.min()),
        "group/frac_signal": float(advantages.signal.float().mean()),
        "group/entered": float(len(valid)),
    }


def sampled_metrics(groups: Groups, highest_reward: float) -> dict[str, float]:
    """Of all groups sampled in an epoch, entering or not; a failed rollout is counted, and is in no other figure."""
    metrics = {"failures": float((~groups.valid & (groups.sequences >= 0).any(-1)).sum())}
    answered = groups[groups.valid.any(1)]
    metrics["group/sampled"] = float(len(groups))
    if not len(answered):
        return metrics
    advantages = group_advantages(answered.values, answered.valid, min_std=0.0)
    good = (answered.values >= highest_reward / 2) & answered.valid
    all_good = (good | ~answered.valid).all(1)
    all_bad = ~good.any(1)
    return metrics | {
        "reward": float(answered.values[answered.valid].mean()),
        "reward_std": float(advantages.reward_std.mean()),
        "frac_reward_zero_std": float(advantages.zero_std.float().mean()),
        "group/frac_all_good": float(all_good.float().mean()),
        "group/frac_all_bad": float(all_bad.float().mean()),
        "group/frac_mixed": float((~all_good & ~all_bad).float().mean()),
    }
