"""What a finished run tells about the next: its speed, and how far its own plan was from what it asked for."""

from __future__ import annotations

from shotsmith.completions.store import Store
from shotsmith.planning.behaviour import USUAL
from shotsmith.planning.plan import Corrections, fitted, prompts_of
from shotsmith.planning.sizes import Sizes
from shotsmith.planning.training import GROUPS
from shotsmith.runs import PHASES, Run


def corrections_of(run: Run, sizes: Sizes) -> Corrections:
    """Calls that a finished run paid for over calls that its plan expects, by part; `sizes` are those of its recipe.

    The parts of the evaluation share one factor: the store does not tell them apart. A run that took over its beam
    data, or found completions of others in a shared store, paid for less.
    """
    planned: dict[tuple[str, str], float] = {}
    for prompts in prompts_of(fitted(run.recipe, sizes), sizes, USUAL):
        planned[prompts.stage, prompts.part] = planned.get((prompts.stage, prompts.part), 0.0) + prompts.calls
    paid = _paid(run)
    factors = {key: paid[key] / calls for key, calls in planned.items() if calls and key in paid}
    compared = {key: calls for key, calls in planned.items() if key[0] == "evaluate"}
    if (asked := paid.get(("evaluate", ""))) and compared:
        factors |= dict.fromkeys(compared, asked / sum(compared.values()))
    return factors


def _paid(run: Run) -> dict[tuple[str, str], float]:
    """(stage, part) -> calls."""
    recipe = run.recipe
    name = f"{recipe.name}:" if recipe.store else ""
    with Store.open(recipe.store or run.completions) as store:
        seeds = [f"{name}seed-{seed}/" for seed in recipe.seeds]
        paid = {
            ("train", "validation rollouts"): store.count(f"{name}rollouts/val"),
            ("train", "rollouts"): sum(store.count(f"{seed}rollouts") for seed in seeds),
            ("train", GROUPS): sum(store.count(f"{seed}grpo/epoch") for seed in seeds),
            ("evaluate", ""): store.count(f"{name}evaluation"),
        }
        for phase in PHASES:
            paid["train", f"{phase} validation"] = sum(store.count(f"{seed}{phase}/validation") for seed in seeds)
    return {key: float(calls) for key, calls in paid.items()}
