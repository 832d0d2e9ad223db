"""Time, operations and memory of an epoch: of Shotsmith's training, and of the loop that takes one query at a time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import one_query_loop
import torch
from resident_memory import ResidentMemory
from synthetic_rollouts import SHOTS, WIDTH, Shape, draw_groups, draw_inputs
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from shotsmith.checkpoints.native import Manifest
from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.pointer import PointerPolicy, build_policy
from shotsmith.recipe import GrpoSettings, PolicySettings, RceSettings
from shotsmith.runs import Phase
from shotsmith.training.groups import Groups
from shotsmith.training.grpo import train_grpo
from shotsmith.training.imitation import train_rce
from shotsmith.training.loop import PhaseRun
from shotsmith.training.metrics_log import MetricsLog, MetricsRow
from shotsmith.training.validation import Validation

POLICY = PolicySettings.model_validate({"preset": "v3"})
LEARNING_RATE = 1e-4
QUERIES_PER_STEP = 32
TAU = 1.0
EPSILON, BETA = 0.2, 0.1
COUNTED = 16
"""Queries whose operations are counted in the loop; the others' follow from their number of sequences."""


@dataclass(frozen=True)
class Timing:
    """Of one epoch."""

    seconds: float
    operations: float
    """Floating-point operations of its matrix products, forward and backward."""
    peak_mib: float
    """The most memory that was resident."""
    peak_above_start_mib: float
    """The same, without what was resident before: libraries, data, network."""


class CountedOperations(TorchDispatchMode):
    """Counts the matrix products within, forward and backward, by PyTorch's own formulas.

    (torch.utils.flop_counter.FlopCounterMode also follows modules, which torch.autograd.grad does not allow.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result


def rce_settings(**changes: object) -> RceSettings:
    """RCE as the loop does it."""
    values = {"learning_rate": LEARNING_RATE, "queries_per_step": QUERIES_PER_STEP, "tau_start": TAU, "tau_end": TAU}
    return RceSettings.model_validate(values | {"best_by": "last"} | changes)


def grpo_settings(**changes: object) -> GrpoSettings:
    """GRPO as the loop does it: whole recorded groups, ratios of sequences against the policy it starts from."""
    values = {
        "learning_rate": LEARNING_RATE,
        "queries_per_step": QUERIES_PER_STEP,
        "steps_per_epoch": 0,
        "num_iterations": 1,
        "epsilon": EPSILON,
        "epsilon_high": EPSILON,
        "importance_level": "sequence",
        "beta": BETA,
        "entropy_coef": 0.0,
        "sampling": {"source": "recorded"},
        "advantage": {"min_std": 0.0, "zero_variance": "keep"},
        "kl": {"estimator": "k3_reversed"},
        "reference": {"old_is_reference": True},
        "best_by": "last",
    }
    return GrpoSettings.model_validate(values | changes)


def train(
    phase: Phase,
    policy: PointerPolicy,
    inputs: InputsTable,
    groups: Groups,
    folder: Path,
    supervised: PointerPolicy | None = None,
    **changes: object,
) -> list[MetricsRow]:
    """One phase by the package's own entry points; `changes` are settings. GRPO may take `supervised` as reference."""
    run = run_in(folder, phase, policy.settings)
    if phase == "rce":
        return train_rce(policy, inputs, groups, Validation(), rce_settings(**changes), run)
    return train_grpo(
        policy, inputs, ask_nothing, Validation(), grpo_settings(**changes), run, rollouts=groups, supervised=supervised
    )


def ask_nothing(_pairs: object, _origin: str) -> list[float | None]:
    raise AssertionError("recorded rollouts need no answers")


def run_in(folder: Path, phase: Phase, policy: PolicySettings) -> PhaseRun:
    """A run that keeps its checkpoints in `folder`."""
    manifest = Manifest(
        policy=policy,
        embedding_width=WIDTH,
        encoder="synthetic",
        vlm="none",
        shots=(SHOTS,),
        recipe="benchmark",
        seed=0,
        phase=phase,
        epoch=0,
    )
    return PhaseRun(folder / phase, manifest, MetricsLog(folder / "metrics.jsonl"))


def time_training(phase: Phase, shape: Shape, epochs: int) -> Timing:
    """The median of some epochs after a first one; dropout as in real training: on in RCE, off in GRPO."""
    inputs, groups, policy = draw_inputs(shape), draw_groups(shape), build_policy(POLICY, WIDTH, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        with ResidentMemory() as memory:
            rows = train(phase, policy, inputs, groups, Path(folder) / "timed", epochs=1 + epochs)
        with CountedOperations() as counted:
            train(phase, policy, inputs, groups, Path(folder) / "counted", epochs=1)
    seconds = median(float(row["time/seconds"] or 0) for row in rows[1:])
    return Timing(seconds, counted.total, memory.peak, memory.peak - memory.start)


def time_loop(phase: Phase, shape: Shape) -> Timing:
    """One epoch of the loop, after a few queries to get warm."""
    queries = as_queries(draw_inputs(shape), draw_groups(shape))
    policy = build_policy(POLICY, WIDTH, seed=0)
    epoch = loop_epoch(phase, loop_network(policy, POLICY.dropout, POLICY.attention_dropout))
    with ResidentMemory() as memory:
        epoch(queries[:COUNTED])
        started = time.perf_counter()
        epoch(queries)
        seconds = time.perf_counter() - started
    with CountedOperations() as counted:
        epoch(queries[:COUNTED])
    share = sum(len(query.rewards) for query in queries) / sum(len(query.rewards) for query in queries[:COUNTED])
    return Timing(seconds, counted.total * share, memory.peak, memory.peak - memory.start)


def loop_epoch(phase: Phase, network: one_query_loop.LoopNetwork) -> Callable[[list[one_query_loop.Query]], object]:
    """An epoch of the loop over some queries."""
    optimizer = one_query_loop.optimizer_of(network, LEARNING_RATE)
    if phase == "rce":
        return lambda queries: one_query_loop.rce_epoch(network, optimizer, queries, TAU)
    return lambda queries: one_query_loop.grpo_epoch(network, optimizer, queries, EPSILON, BETA)


def loop_network(policy: PointerPolicy, dropout: float, attention_dropout: float) -> one_query_loop.LoopNetwork:
    """The loop's network with the policy's weights."""
    temperature = policy.settings.temperature
    return one_query_loop.load(
        policy.state_dict(), WIDTH, dropout=dropout, attention_dropout=attention_dropout, temperature=temperature
    )


def as_queries(inputs: InputsTable, groups: Groups) -> list[one_query_loop.Query]:
    """The same rollouts as the loop takes them."""
    return [
        one_query_loop.Query(
            embedding=torch.from_numpy(inputs.queries[row]),
            pool=torch.from_numpy(inputs.index[inputs.pools[row]]),
            sequences=sequences[valid],
            rewards=values[valid],
        )
        for row, sequences, values, valid in zip(
            groups.rows.tolist(), groups.sequences, groups.values, groups.valid, strict=True
        )
    ]


def matmul_rate(repeats: int = 20) -> float:
    """Operations a second of the best float32 product: of the sizes that training needs, and of a large square."""
    rows = QUERIES_PER_STEP * 64
    best = 0.0
    for m, k, n in ((rows, WIDTH, 256), (WIDTH, rows, 256), (rows, 256, 256), (1024, 1024, 1024)):
        left, right, out = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
        for _ in range(repeats):
            started = time.perf_counter()
            torch.mm(left, right, out=out)
            best = max(best, 2 * m * k * n / (time.perf_counter() - started))
    return best
