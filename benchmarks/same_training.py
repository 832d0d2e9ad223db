"""Whether training in batches computes what the loop over single queries does: loss and gradients of every update."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import one_query_loop
import torch
from one_query_loop import LoopNetwork, Query
from synthetic_rollouts import WIDTH, Shape, draw_groups, draw_inputs
from timed_training import BETA, EPSILON, LEARNING_RATE, POLICY, TAU, as_queries, loop_network, train
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from shotsmith.policies.pointer import PointerPolicy, build_policy
from shotsmith.runs import Phase

QUERIES, UPDATES = 8, 3
NOISE = 0.01
"""By how much the weights that GRPO's ratios are formed with differ from those it starts from."""

Update = dict[str, torch.Tensor]
"""The loss and the gradients of one update, by the loop's names."""


def largest_difference(phase: Phase) -> float:
    """Of any loss, and of any entry of a gradient in proportion to the gradient's norm; dropout is off."""
    policy = build_policy(POLICY.model_copy(update={"dropout": 0.0, "attention_dropout": 0.0}), WIDTH, seed=0)
    reference = slightly_moved(policy)
    pairs = zip(updates_of_loop(phase, policy, reference), updates_of_training(phase, policy, reference), strict=True)
    return max(difference(one, other) for one, other in pairs)


def slightly_moved(policy: PointerPolicy) -> PointerPolicy:
    moved = copy.deepcopy(policy)
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter += NOISE * torch.randn(parameter.shape, generator=draws)
    return moved


def updates_of_training(phase: Phase, policy: PointerPolicy, reference: PointerPolicy) -> list[Update]:
    """Every epoch is one batch of all queries."""
    shape = Shape(QUERIES)
    changes = {} if phase == "rce" else {"reference": {"policy": "supervised", "old_is_reference": True}}
    with tempfile.TemporaryDirectory() as folder, caught_gradients(policy) as caught:
        rows = train(
            phase, policy, draw_inputs(shape), draw_groups(shape), Path(folder), reference, epochs=UPDATES, **changes
        )
    return [update | {"loss": torch.tensor(row["loss"])} for update, row in zip(caught, rows, strict=True)]


def updates_of_loop(phase: Phase, policy: PointerPolicy, reference: PointerPolicy) -> list[Update]:
    """The losses of all queries, one at a time: in RCE queries count alike, in GRPO sequences do."""
    shape = Shape(QUERIES)
    queries = as_queries(draw_inputs(shape), draw_groups(shape))
    shares = torch.tensor([1.0 if phase == "rce" else len(query.rewards) for query in queries])
    network, supervised = loop_network(policy, 0.0, 0.0), loop_network(reference, 0.0, 0.0)
    optimizer = one_query_loop.optimizer_of(network, LEARNING_RATE)
    losses = []
    with caught_gradients(network) as caught:
        for _ in range(UPDATES):
            each = torch.stack([loss_of(phase, network, supervised, query) for query in queries])
            losses.append(one_query_loop.update(network, optimizer, (shares / shares.sum() * each).sum()))
    return [update | {"loss": torch.tensor(loss)} for update, loss in zip(caught, losses, strict=True)]


@contextmanager
def caught_gradients(network: nn.Module) -> Iterator[list[Update]]:
    """The gradients of every update, clipped, as the optimizer gets them."""
    caught: list[Update] = []

    def catch(_optimizer: torch.optim.Optimizer, _arguments: object, _named: object) -> None:
        named = network.named_parameters()
        caught.append({one_query_loop.loop_name(name): parameter.grad.clone() for name, parameter in named})

    handle = register_optimizer_step_pre_hook(catch)
    try:
        yield caught
    finally:
        handle.remove()


def loss_of(phase: Phase, network: LoopNetwork, supervised: LoopNetwork, query: Query) -> torch.Tensor:
    if phase == "rce":
        return one_query_loop.rce_loss(network, query, TAU)
    return one_query_loop.grpo_loss(network, supervised, query, EPSILON, BETA)


def difference(one: Update, other: Update) -> float:
    if one.keys() != other.keys():
        return float("inf")
    norm = torch.stack([value.norm() for name, value in one.items() if name != "loss"]).norm()
    apart = [((value - other[name]).abs().max() / (1 if name == "loss" else norm)) for name, value in one.items()]
    return float(torch.stack(apart).max())
