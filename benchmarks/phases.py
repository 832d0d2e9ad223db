"""What each phase of training is worth: five ways to train, with equal numbers of VLM calls.

    python benchmarks/phases.py [--only 1,3] [--seeds 3] [--calls 60000] [--beam-queries 60] [--parallel 5]
                                [--threads 4] [--recipe recipes/demo.yaml] [--out runs/phases] [--json]

1. GRPO straight from similarity
2. supervised training on the sequences that beam search found, then GRPO
3. RCE on recorded rollouts, then GRPO
4. supervised training on all scores of single candidates (see listwise.py; beams of one demonstration, for as many
   calls as those of 2), then GRPO
5. supervised training on beams, RCE, then GRPO

All calls count: those of beams, recorded rollouts, training and validation. The first way is trained for about --calls
calls; what it really took is the budget of the others. What their first phases take is measured, and GRPO gets what is
left of the budget, at as many calls a step as the first way needed. `equal` says that every run is within 10 % of the
budget. Validation and test accuracies are means over 1-4 shots and over seeds; the intervals are over queries and
seeds. A finished run is printed, and written to OUT/rows.jsonl, at once. Resumable.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from bank_runs import (
    RECIPES,
    RUN,
    Evaluated,
    Figures,
    Job,
    finished,
    flat,
    keep,
    parser,
    tell,
    trainings,
    with_interval,
)

from shotsmith.completions.store import Store
from shotsmith.recipe import load_recipe
from shotsmith.runs import Run
from shotsmith.statistics import paired_difference

STEPS = 10
"""Of an epoch of GRPO: budgets are met to half an epoch."""
REPEATED = 1.3
"""Calls of a step over those of its groups, as first guess: groups without signal are replaced."""
WITHIN = 0.1
BEAM_SHOTS, BEAM_WIDTH, CANDIDATES = 2, 5, 64
CHEAP = ("evaluation.oracle_tries=0", "evaluation.fixed_tries=0", "evaluation.random_draws=1")
LISTWISE = (str(Path(__file__).with_name("listwise.py")),)


@dataclass(frozen=True, slots=True)
class Way:
    """A way to train: what comes before GRPO."""

    name: str
    before: Sequence[str] = ()
    script: Sequence[str] = RUN


def ways(beam_queries: int) -> dict[int, Way]:
    """The five, by number."""
    short = 1 + CANDIDATES
    long = short + (BEAM_SHOTS - 1) * BEAM_WIDTH * (CANDIDATES - 1)
    beams = [
        "supervised.epochs=12",
        f"beam={{queries: {beam_queries}, width: {BEAM_WIDTH}, shots: {BEAM_SHOTS}, candidates: {CANDIDATES}}}",
    ]
    scores = [
        "supervised.epochs=12",
        "supervised.queries_per_step=8",
        f"beam={{queries: {beam_queries * long // short}, width: 1, shots: 1, candidates: {CANDIDATES}}}",
    ]
    rce = ["rce.epochs=3", "rollouts={sampled: 4, random: 2, shots: [2]}"]
    return {
        1: Way("grpo"),
        2: Way("supervised", beams),
        3: Way("rce", rce),
        4: Way("listwise", scores, LISTWISE),
        5: Way("supervised_rce", [*beams, *rce]),
    }


def main() -> None:
    """Run what is not done yet, then print the table."""
    made = parser(__doc__, "runs/phases")
    made.add_argument("--only", default="1,2,3,4,5", help="numbers of the ways; the first is run in any case")
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--calls", type=int, default=60_000, help="VLM calls of a run, about")
    made.add_argument("--beam-queries", type=int, default=60, help="queries that beam search is run for")
    made.add_argument("--recipe", type=Path, default=RECIPES / "demo.yaml")
    options = made.parse_args()
    every = ways(options.beam_queries)
    chosen = [every[int(number)] for number in options.only.split(",") if int(number) != 1]
    _finished([_job(options, "prepared", every[1], 1, until="pools")], options)
    runs = _first_wave(options, every[1], chosen)
    budget = fmean(calls(run) for name, run in runs.items() if name.startswith("grpo-"))
    per_step = fmean(calls(run) / steps(run) for name, run in runs.items() if name.startswith("grpo-"))
    print(f"budget: {budget:.0f} VLM calls a run, {per_step:.0f} a step of GRPO", flush=True)
    runs |= _second_wave(options, chosen, runs, budget, per_step)
    by_way = {
        way.name: [runs[name] for s in range(options.seeds) if (name := f"{way.name}-{s}") in runs]
        for way in every.values()
    }
    rows = table({name: found for name, found in by_way.items() if len(found) == options.seeds})
    _print_table(rows)
    taken = [calls(run) for found in by_way.values() for run in found]
    tell(flat(rows) | {"budget": budget}, all(abs(one / budget - 1) <= WITHIN for one in taken), options)


def _first_wave(options: argparse.Namespace, straight: Way, others: Sequence[Way]) -> dict[str, Run]:
    """GRPO alone, and what the others do before GRPO."""
    recipe = load_recipe(options.recipe, [*options.set, *_job(options, "prepared", straight, 1).overrides])
    groups = recipe.grpo.queries_per_step * recipe.grpo.num_generations * STEPS * REPEATED
    validation = recipe.data.val_queries * len(recipe.evaluation.shots)
    epochs = max(1, round(options.calls / (groups + validation)))
    seeds = range(options.seeds)
    jobs = [_job(options, f"{straight.name}-{seed}", straight, epochs, seed, like="prepared") for seed in seeds]
    jobs += [
        _job(options, f"{way.name}-{seed}-start", way, 0, seed, like="prepared", until="train")
        for way in others
        for seed in seeds
    ]
    return _finished(jobs, options)


def _second_wave(
    options: argparse.Namespace, others: Sequence[Way], started: Mapping[str, Run], budget: float, per_step: float
) -> dict[str, Run]:
    """The others, each with what its first phases have left of the budget."""
    jobs = []
    for way in others:
        for seed in range(options.seeds):
            name = f"{way.name}-{seed}"
            epochs = round((budget - calls(started[f"{name}-start"])) / per_step / STEPS)
            if epochs < 1:
                print(f"{name}: nothing of the budget is left for GRPO", flush=True)
                continue
            jobs.append(_job(options, name, way, epochs, seed, like=f"{name}-start"))
    return _finished(jobs, options)


def _finished(jobs: Sequence[Job], options: argparse.Namespace) -> dict[str, Run]:
    """Finish the runs, and keep and print the figures of those that are evaluated."""
    runs = {}
    for job, run in finished(jobs, options):
        runs[job.name] = run
        if job.until is not None:
            continue
        (trained,) = trainings(run).values()
        row = {"calls": calls(run), "steps": steps(run), "validation": trained.best, "epoch": trained.epoch}
        row["test"] = Evaluated.of(run).accuracy("grpo").mean
        keep(options.out, job.name, row)
        print(f"{job.name}: " + ", ".join(f"{key} {value:.1f}" for key, value in row.items()), flush=True)
    return runs


def _job(
    options: argparse.Namespace,
    name: str,
    way: Way,
    epochs: int,
    seed: int = 0,
    *,
    like: str | None = None,
    until: str | None = None,
) -> Job:
    """A run whose completions are shared with the run of its first phases alone, NAME-start."""
    payer = name.removesuffix("-start")
    changes = [
        f"name={payer}",
        f"seeds=[{seed}]",
        f"store={options.out / payer}.sqlite",
        f"vlm.vision_cache.folder={options.out / 'vision'}",
        "supervised.epochs=0",
        "rce.epochs=0",
        *way.before,
        f"grpo.epochs={epochs}",
        f"grpo.steps_per_epoch={STEPS}",
        *CHEAP,
    ]
    taken_over = None if like is None else options.out / like
    return Job(name, options.recipe, changes, like=taken_over, until=until, script=way.script)


def calls(run: Run) -> int:
    """VLM calls of everything but the evaluation."""
    assert run.recipe.store is not None
    with Store.open(run.recipe.store) as store:
        return sum(store.count(f"{run.recipe.name}:{part}") for part in ("beam", "rollouts/", "seed-"))


def steps(run: Run) -> int:
    """Steps of GRPO."""
    return run.recipe.grpo.epochs * run.recipe.grpo.steps_per_epoch


def table(by_way: Mapping[str, Sequence[Run]]) -> dict[str, Figures]:
    """Every way's figures, and its difference from GRPO alone on the test queries."""
    evaluated = {name: Evaluated.of(*runs) for name, runs in by_way.items()}
    rows: dict[str, Figures] = {}
    for name, runs in by_way.items():
        rows[name] = {
            "calls": fmean(calls(run) for run in runs),
            "steps": fmean(steps(run) for run in runs),
            "validation": fmean(one.best for run in runs for one in trainings(run).values()),
            **with_interval("test", evaluated[name].accuracy("grpo")),
        }
        if name != "grpo":
            (a,), (b,) = (evaluated[one].table.scored(("grpo", "mean")) for one in (name, "grpo"))
            rows[name] |= with_interval("minus_grpo_alone", paired_difference(a, b, seeds="independent"))
    return rows


def _print_table(rows: Mapping[str, Figures]) -> None:
    print("| before GRPO | VLM calls | steps of GRPO | validation | test [95 %] | minus GRPO alone [95 %] |")
    print("|---|---|---|---|---|---|")
    for name, row in rows.items():
        cells = ["nothing" if name == "grpo" else name, *(f"{row[key]:.0f}" for key in ("calls", "steps"))]
        cells += [f"{row['validation']:.1f}", "{test:.1f} [{test_low:.1f}, {test_high:.1f}]".format(**row)]
        if name != "grpo":
            pattern = "{0:+.1f} [{0_low:+.1f}, {0_high:+.1f}]".replace("0", "minus_grpo_alone")
            cells.append(pattern.format(**row))
        print("| " + " | ".join(cells) + (" |  |" if name == "grpo" else " |"))


if __name__ == "__main__":
    main()
