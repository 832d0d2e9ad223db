"""What a finished run tells about another: the share of the bound that it asked for, and the seconds of a call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shotsmith.completions.store import Store
from shotsmith.completions.summary import FailedPrompts, origin_prefix
from shotsmith.errors import InputError
from shotsmith.planning import bounds as at_most
from shotsmith.planning.bounds import STAGES, Part, Prompts, Stage, validation_of
from shotsmith.runs import PHASES, Run


@dataclass(frozen=True, slots=True)
class Measured:
    """What an estimate is made from."""

    source: str
    """Where it was measured, in words."""
    shares: Mapping[Part, float]
    """Calls as a share of the most calls, by part; a part that is missing was not measured."""
    seconds: Mapping[Stage, float]
    """Seconds of a call, by stage."""
    failed: FailedPrompts | None = None
    """Prompts that failed while it was measured."""


def measured_in(run: Run, prompts: Iterable[Prompts]) -> Measured:
    """Measure a finished run; `prompts` are the bounds of its own recipe.

    The test queries' selectors, beam search and oracle share one figure: the store does not tell them apart. A run that
    took completions from a shared store, or stages from another run, paid for fewer than it used. Raises InputError
    where it has asked for nothing yet.
    """
    took = {row["name"]: (float(row["seconds"]), int(row["vlm_calls"])) for row in run.stages() if row["vlm_calls"]}
    if not took:
        raise InputError("no stage of it has asked the VLM for anything", file=run.folder)
    most: dict[Part, float] = {}
    for each in prompts:
        most[each.part] = most.get(each.part, 0.0) + each.calls
    shares: dict[Part, float] = {}
    for parts, calls in _paid(run):
        if bound := sum(most.get(part, 0.0) for part in parts):
            shares |= dict.fromkeys(parts, calls / bound)
    return Measured(f"the run {run.folder}", shares, seconds_by_stage(took))


def seconds_by_stage(took: Mapping[str, tuple[float, int]]) -> dict[Stage, float]:
    """Seconds of a call by stage, from (seconds, calls) of some; the mean of them for the others."""
    mean = sum(seconds for seconds, _ in took.values()) / sum(calls for _, calls in took.values())
    return {stage: took[stage][0] / took[stage][1] if stage in took else mean for stage in STAGES}


def _paid(run: Run) -> list[tuple[tuple[Part, ...], int]]:
    """Calls that the run paid for, by the parts that the store keeps apart."""
    recipe, name = run.recipe, origin_prefix(run)
    with Store.open(recipe.store or run.completions) as store:

        def of_seeds(origin: str) -> int:
            return sum(store.count(f"{name}seed-{seed}/{origin}") for seed in recipe.seeds)

        free, fixed = store.count(f"{name}evaluation/validation"), store.count(f"{name}evaluation/fixed")
        controls = store.count(f"{name}evaluation/controls")
        others = store.count(f"{name}evaluation") - free - fixed - controls
        return [
            ((at_most.SEARCH,), store.count(f"{name}beam")),
            ((at_most.VALIDATION_ROLLOUTS,), store.count(f"{name}rollouts/val")),
            ((at_most.ROLLOUTS,), of_seeds("rollouts")),
            ((at_most.GROUPS,), of_seeds("grpo/epoch")),
            *(((validation_of(phase),), of_seeds(f"{phase}/validation")) for phase in PHASES),
            ((at_most.FREE,), free),
            ((at_most.FIXED,), fixed),
            ((at_most.CONTROLS,), controls),
            ((at_most.SELECTORS, at_most.TRAINED, at_most.BEAM, at_most.ORACLE), others),
        ]
