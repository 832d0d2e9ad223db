"""A pilot: part of a recipe's work on some of its validation queries, to measure what its plan can only bound.

The untrained policy samples groups as the first step of GRPO does, then every selector that needs no training answers
and the oracle searches, as the evaluation does. Test queries are never asked about. What is not tried here (the epochs
of the policy, recorded rollouts, trained selectors) stays at its bound.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from shotsmith import experiment
from shotsmith.completions.store import Store
from shotsmith.completions.summary import failed_prompts
from shotsmith.errors import InputError, VLMError
from shotsmith.evaluation.evaluate import evaluate_oracle
from shotsmith.evaluation.free import evaluate_free
from shotsmith.evaluation.majority_vote import MAJORITY_VOTE
from shotsmith.experiment.headroom import first_queries
from shotsmith.experiment.parts import Parts
from shotsmith.experiment.scoring import Scorer
from shotsmith.experiment.training import first_policy
from shotsmith.planning import bounds as at_most
from shotsmith.planning.bounds import Part, bounds, draws_per_step
from shotsmith.planning.measured import Measured, seconds_by_stage
from shotsmith.planning.sizes import Sizes
from shotsmith.progress import Progress
from shotsmith.recipe import Recipe
from shotsmith.runs import Run
from shotsmith.selectors.fixed import choose_fixed
from shotsmith.selectors.named import AT_BANK
from shotsmith.selectors.protocol import Tasks
from shotsmith.training.rollouts import collect, on_policy
from shotsmith.training.seeding import generator

_TRAIN, _FIXED, _FREE, _ORACLE = "train", "evaluate/fixed", "evaluate/free", "evaluate/oracle"
"""Origins of the pilot's completions."""


def run_pilot(recipe: Recipe, queries: int, sizes: Sizes, progress: Progress) -> Measured:
    """Measure on the first `queries` validation queries (all, where there are fewer), in a temporary run.

    Raises InputError where there are none, VLMError where no prompt could be answered, and what the stages up to
    `pools` raise.
    """
    wanted = min(queries, recipe.data.val_queries, sizes.val)
    if wanted < 1:
        raise InputError("there are no validation queries to ask about", field="data.val_queries")
    if recipe.rollouts.imported is not None:
        raise InputError("the rollouts are imported: there is no VLM to ask", field="rollouts.imported")
    alone = recipe.model_copy(update={"store": None})
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "pilot", alone)
        experiment.run(alone, run, progress, until="pools")
        with Parts(alone, run, progress) as parts, parts.explaining():
            tasks = first_queries(parts.tasks("val"), wanted)
            store = parts.collector.store  # loads the VLM before anything is timed
            seconds, groups = {}, 0
            for stage, work in (("train", _sample), ("evaluate", _evaluate)):
                started = time.perf_counter()
                groups += work(parts, tasks)
                seconds[stage] = time.perf_counter() - started
            return _measured(recipe, sizes, store, len(tasks.queries), groups, seconds)


def _sample(parts: Parts, tasks: Tasks) -> int:
    """Draw groups until so many carry signal that no query is met twice. Returns the most groups that may be drawn."""
    recipe, settings = parts.recipe, parts.recipe.grpo
    if not settings.epochs or settings.sampling.source == "recorded":
        return 0
    inputs, queries = parts.inputs("val"), len(tasks.queries)
    policy = (
        first_policy(recipe, inputs.embedding_width, parts.encoder.identity, recipe.seeds[0]).to(inputs.device).eval()
    )
    draws = generator("pilot", recipe.seeds[0], device=inputs.device)
    source = on_policy(policy, inputs, Scorer(parts, "val"), settings, draws, _TRAIN)
    taken = 0

    def take(count: int) -> tuple[list[int], int]:
        nonlocal taken
        rows = [row % queries for row in range(taken, taken + count)]
        taken += count
        return rows, rows[0]

    wanted = max(1, queries // draws_per_step(settings))
    collect(source, take, wanted, settings.advantage)
    return wanted * draws_per_step(settings)


def _evaluate(parts: Parts, tasks: Tasks) -> int:
    """Ask what the evaluation asks about queries before any policy answers them."""
    settings, fixed = parts.recipe.evaluation, None
    if settings.fixed_tries:
        fixed = choose_fixed(tasks, settings.shots, parts.ask, tries=settings.fixed_tries, origin=_FIXED)
    free = evaluate_free(tasks, settings, fixed, parts.ask, origin=_FREE)
    if settings.oracle_tries:
        evaluate_oracle(
            tasks,
            [one for one in free if not one.selector.startswith(MAJORITY_VOTE) and not one.selector.endswith(AT_BANK)],
            settings.shots,
            settings.oracle_tries,
            parts.ask,
            log_probs=parts.collector.vlm.gives_log_probs,
            origin=_ORACLE,
            progress=parts.progress,
        )
    return 0


def _measured(
    recipe: Recipe, sizes: Sizes, store: Store, queries: int, groups: int, seconds: dict[str, float]
) -> Measured:
    """Calls over the bounds of a recipe with as many queries as the pilot had."""
    failed = failed_prompts(store)
    if failed is not None and failed.failed == failed.asked:
        raise VLMError(str(failed))
    data = recipe.data.model_copy(update={"val_queries": queries, "test_queries": queries})
    most: dict[Part, float] = {at_most.GROUPS: groups * recipe.grpo.num_generations}
    for each in bounds(recipe.model_copy(update={"data": data}), sizes):
        if each.part in (at_most.FIXED, at_most.FREE, at_most.ORACLE):
            most[each.part] = most.get(each.part, 0.0) + each.calls
    shares = {}
    for part, origin in (
        (at_most.GROUPS, _TRAIN),
        (at_most.FIXED, _FIXED),
        (at_most.FREE, _FREE),
        (at_most.ORACLE, _ORACLE),
    ):
        if most.get(part):
            shares[part] = _asked(store, origin) / most[part]
    if at_most.FREE in shares:
        shares[at_most.SELECTORS] = shares[at_most.FREE]
    took = {stage: (spent, asked) for stage, spent in seconds.items() if (asked := _asked(store, stage))}
    source = f"a pilot on {queries} validation queries"
    return Measured(source, shares, seconds_by_stage(took), failed)


def _asked(store: Store, origin: str) -> int:
    """Prompts that the VLM was asked for under an origin, failed ones included."""
    failed = failed_prompts(store, origin)
    return store.count(origin) if failed is None else failed.asked
