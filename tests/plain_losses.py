"""The losses of the three phases written plainly: one query, one sequence, one step at a time.

What the batched losses must equal, forward and gradient. A rollout is known by (query, number in its group); every
step it takes is a dict from each possible choice to its log-probability.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean, stdev

import torch
from plain_policy import Known, encoded, step

from shotsmith.policies.pointer import PointerPolicy
from shotsmith.policies.protocol import Inputs
from shotsmith.recipe import AdvantageSettings, GrpoSettings
from shotsmith.training.groups import Groups

Step = dict[int, torch.Tensor]
Key = tuple[int, int]


@dataclass
class Plain:
    """Groups without tensors; only rollouts that are there and did not fail."""

    chosen: dict[Key, list[int]]
    rewards: dict[Key, float]
    weights: dict[Key, float]
    behaviour: dict[Key, float]

    @classmethod
    def of(cls, groups: Groups) -> Plain:
        keys = [(b, g) for b, g in groups.valid.nonzero().tolist()]
        return cls(
            {key: [choice for choice in groups.sequences[key].tolist() if choice != -1] for key in keys},
            {key: float(groups.values[key]) for key in keys},
            {key: float(groups.weights[key]) for key in keys},
            {key: float(groups.behaviour[key]) for key in keys},
        )

    def only(self, queries: Iterable[int]) -> Plain:
        """The groups of some queries."""
        kept = set(queries)
        parts = ({key: one for key, one in part.items() if key[0] in kept} for part in vars(self).values())
        return Plain(*parts)


def plain_steps(policy: PointerPolicy, inputs: Inputs, groups: Groups) -> dict[Key, list[Step]]:
    """What the policy says at every step of every rollout. Made once for what is the same: the graph is kept."""

    @functools.cache
    def after(query: int, chosen: tuple[int, ...]) -> Step:
        return step(policy, of_query(query), list(chosen))

    @functools.cache
    def of_query(query: int) -> Known:
        return encoded(policy, inputs.queries[query], inputs.candidates[query][inputs.mask[query]])

    return {
        (b, g): [after(b, tuple(chosen[:number])) for number in range(len(chosen))]
        for (b, g), chosen in Plain.of(groups).chosen.items()
    }


def plain_group_loss(
    now: dict[Key, list[Step]],
    began: dict[Key, list[Step]],
    reference: dict[Key, list[Step]],
    groups: Groups,
    settings: GrpoSettings,
    kept: int | None = None,
) -> dict[str, torch.Tensor]:
    """The loss of an update and what it is made of, under the policy `now`; the step began with `began`."""
    plain = Plain.of(groups)
    rewards = dict(plain.rewards)
    if settings.advantage.standardise_rewards:
        rewards = standardised(rewards)
    if settings.kl.placement == "reward":
        for key in rewards:
            kl = sum(divergences(began[key], reference[key], plain.chosen[key], settings))
            rewards[key] -= settings.beta * float_of(kl)
    if kept is not None:
        best_first = sorted(rewards, key=lambda key: (-rewards[key], key))
        rewards = {key: rewards[key] for key in rewards if [k for k in best_first if k[0] == key[0]].index(key) < kept}
    advantages = plain_advantages(rewards, plain.weights, settings.advantage)
    old = reference if settings.reference.old_is_reference else began
    terms: dict[Key, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}
    for key in rewards:
        chosen = plain.chosen[key]
        objective = clipped(now[key], old[key], chosen, advantages[key], settings)
        if not math.isnan(plain.behaviour[key]):
            before = sum(float_of(log_probs[choice]) for log_probs, choice in zip(old[key], chosen, strict=True))
            objective = objective * min(math.exp(before - plain.behaviour[key]), 2.0)
        kl = mean(divergences(now[key], reference[key], chosen, settings))
        entropy = mean([-sum(p.exp() * p for p in log_probs.values()) for log_probs in now[key]])
        terms[key] = (objective, kl, entropy)
    weights = plain.weights if settings.sampling.distinct else None
    surrogate, kl, entropy = (over_groups({key: term[i] for key, term in terms.items()}, weights) for i in range(3))
    in_loss = settings.beta if settings.kl.placement == "loss" else 0.0
    loss = -surrogate + in_loss * kl - settings.entropy_coef * entropy
    return {"loss": loss, "ppo_loss": -surrogate, "kl": kl, "entropy": entropy}


def clipped(
    now: list[Step], old: list[Step], chosen: list[int], advantage: float, settings: GrpoSettings
) -> torch.Tensor:
    """PPO's objective of one rollout."""
    ratios = [(a[choice] - b[choice]).exp() for a, b, choice in zip(now, old, chosen, strict=True)]
    if settings.importance_level == "sequence":
        ratios = [torch.stack(ratios).prod()]
    objectives = []
    for ratio in ratios:
        inside = ratio.clamp(1 - settings.epsilon, 1 + settings.epsilon_high)
        objective = min(ratio * advantage, inside * advantage, key=float_of)
        objectives.append(objective)
    return mean(objectives)


def divergences(
    now: list[Step], reference: list[Step], chosen: list[int], settings: GrpoSettings
) -> list[torch.Tensor]:
    """The KL of every step, or one of the whole sequence."""
    pairs = list(zip(now, reference, chosen, strict=True))
    if settings.kl.estimator == "exact":
        return [sum(p.exp() * (p - q[choice]) for choice, p in log_probs.items()) for log_probs, q, _ in pairs]
    moved = [log_probs[choice] - q[choice] for log_probs, q, choice in pairs]
    if settings.importance_level == "sequence":
        moved = [sum(moved)]
    return [ESTIMATORS[settings.kl.estimator](x) for x in moved]


ESTIMATORS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "k1": lambda x: x,
    "k2": lambda x: x**2 / 2,
    "k3": lambda x: (-x).exp() - 1 + x,
    "k3_reversed": lambda x: x.exp() - 1 - x,
}


def plain_advantages(
    rewards: dict[Key, float], weights: dict[Key, float], settings: AdvantageSettings
) -> dict[Key, float]:
    """The advantage of every rollout, by the estimator."""
    found: dict[Key, float] = {}
    centred: dict[Key, float] = {}
    shares: dict[Key, float] = {}
    for group in by_query(rewards):
        total = sum(weights[key] for key in group)
        shares |= {key: weights[key] * len(group) / total for key in group}
        average = sum(shares[key] * rewards[key] for key in group) / len(group)
        centred |= {key: rewards[key] - average for key in group}
    for group in by_query(rewards):
        if settings.estimator in ("group", "batch"):
            over = group if settings.estimator == "group" else list(rewards)
            squares = sum(shares[key] * centred[key] ** 2 for key in over)
            spread = math.sqrt(squares / max(len(over) - 1, 1))
            values = {key: centred[key] / max(spread, settings.min_std) for key in group}
        elif settings.estimator == "centered":
            values = {key: centred[key] for key in group}
        elif settings.estimator == "rank":
            beaten = {
                key: sum((rewards[key] > rewards[k]) - (rewards[key] < rewards[k]) for k in group) / (len(group) - 1)
                for key in group
            }
            average = sum(shares[key] * beaten[key] for key in group) / len(group)
            values = {key: beaten[key] - average for key in group}
        else:
            values = {}
            for key in group:
                others = [k for k in group if k != key]
                weight = sum(weights[k] for k in others)
                values[key] = rewards[key] - sum(weights[k] * rewards[k] for k in others) / weight
        tied = len({rewards[key] for key in group}) == 1
        found |= {key: 0.0 if tied else value for key, value in values.items()}
    if settings.clip:
        found = {key: min(max(value, -settings.clip), settings.clip) for key, value in found.items()}
    return found


def standardised(rewards: dict[Key, float]) -> dict[Key, float]:
    """z-scores in each group, clamped to +-3; 0 where all are the same."""
    found = {}
    for group in by_query(rewards):
        values = [rewards[key] for key in group]
        spread = stdev(values) if len(set(values)) > 1 else math.inf
        found |= {key: min(max((rewards[key] - fmean(values)) / spread, -3.0), 3.0) for key in group}
    return found


def over_groups(terms: dict[Key, torch.Tensor], weights: dict[Key, float] | None) -> torch.Tensor:
    """The mean over rollouts; with weights the weighted mean of each group, then the mean over groups."""
    if weights is None:
        return mean(list(terms.values()))
    groups = by_query(terms)
    return mean(
        [
            sum(weights[key] * terms[key] for key in group) / sum(weights[key] for key in group)
            for group in groups
            if any(weights[key] for key in group)
        ]
    )


def plain_rce(steps: dict[Key, list[Step]], plain: Plain, tau: float) -> torch.Tensor:
    """Reward-weighted cross-entropy."""
    losses = []
    for group in by_query(plain.rewards):
        rewards = plain.rewards
        total = sum(math.exp(rewards[key] / tau) for key in group)
        weights = {key: math.exp(rewards[key] / tau) / total for key in group}
        losses.append(sum(weights[key] * sum(cross_entropies(steps[key], plain.chosen[key])) for key in group))
    return mean(losses)


def plain_supervised(steps: dict[Key, list[Step]], plain: Plain) -> torch.Tensor:
    """The weighted mean over sequences of the mean cross-entropy of their steps."""
    losses = {key: mean(cross_entropies(steps[key], chosen)) for key, chosen in plain.chosen.items()}
    return sum(plain.rewards[key] * loss for key, loss in losses.items()) / sum(plain.rewards.values())


def cross_entropies(steps: list[Step], chosen: list[int]) -> list[torch.Tensor]:
    """Of every step."""
    return [-log_probs[choice] for log_probs, choice in zip(steps, chosen, strict=True)]


def by_query(keyed: dict[Key, object]) -> list[list[Key]]:
    """The keys of every query."""
    return [[key for key in keyed if key[0] == query] for query in sorted({query for query, _ in keyed})]


def mean(values: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(values).mean()


def float_of(value: torch.Tensor) -> float:
    return float(value.detach())
