"""The recommended training in the settings of the first version: random pools of 64, and its world.

    python benchmarks/pools_and_old_world.py [--only pools whole_bank] [--seeds 3] [--parallel 2] [--threads 4]
                                             [--out runs/old_world] [--json]

`pools`: every query chooses from 64 of 20,000 examples drawn at random, in the world of the first version, whose own
recommended training reached 71.4 % there (same world, queries and pools). Selectors that choose from all 20,000 stand
beside, as NAME@bank. `whole_bank`: the same world with a bank of 5,000, apart from the training queries, which are
asked like test queries; the goal is 95 %.

Figures are official VQA accuracies in percent on 800 test queries, mean over 1-4 shots and training seeds, and
differences with 95 % intervals (paired bootstrap over queries and seeds). `equal` says that no seed's chosen epoch is
below its start on validation queries. What a run found is printed, and written to OUT/rows.jsonl, as soon as it is
done. Resumable.
"""

from __future__ import annotations

from bank_runs import (
    RECIPES,
    Evaluated,
    Figures,
    Job,
    finished,
    flat,
    keep,
    none_below_start,
    parser,
    tell,
    training_figures,
    with_interval,
)

from shotsmith.runs import Run

POOLS, WHOLE_BANK = "pools", "whole_bank"
FIRST_VERSION = 71.4
GOAL = 95.0
QUERIES = "val_queries: 300, test_queries: 800, balance_train_queries: true"
DATA = {
    POOLS: f"{{world: {{preset: first, train: 20000, val: 400, test: 1600}}, train_queries: 5000, {QUERIES}}}",
    WHOLE_BANK: "{world: {preset: first, bank: 5000, train: 4000, val: 400, test: 1600}, train_queries: 4000, "
    f"{QUERIES}}}",
}
CHOSEN_FROM = {POOLS: "pools={sampler: random, size: 64}", WHOLE_BANK: "pools=null"}


def main() -> None:
    """Run what is not done yet, then print all figures."""
    made = parser(__doc__, "runs/old_world")
    made.add_argument("--only", nargs="+", choices=tuple(DATA), default=tuple(DATA))
    made.add_argument("--seeds", type=int, default=3, help="training seeds")
    options = made.parse_args()
    fixed = [f"seeds={list(range(options.seeds))}"]
    jobs = [
        Job(
            name,
            RECIPES / "grpo.yaml",
            [f"name={name}", CHOSEN_FROM[name], *fixed],
            defaults=[f"data={DATA[name]}"],
        )
        for name in options.only
    ]
    rows: dict[str, Figures] = {}
    equal = True
    for job, run in finished(jobs, options):
        rows[job.name] = measure(run, job.name)
        equal = equal and none_below_start(run)
        keep(options.out, job.name, rows[job.name])
        print(f"{job.name}: trained {rows[job.name]['trained']:.1f}", flush=True)
    tell(flat({name: rows[name] for name in options.only}), equal, options)


def measure(run: Run, name: str) -> Figures:
    """The figures of one setting."""
    evaluated = Evaluated.of(run)
    trained = evaluated.trained
    figures = {f"{selector}@mean": evaluated.accuracy(selector).mean for selector in evaluated.table.by_selector}
    figures |= with_interval("trained", evaluated.accuracy(trained))
    figures |= with_interval("trained_minus_mixed", evaluated.difference(trained, "mixed"))
    figures |= with_interval("trained_minus_best_free", evaluated.gain())
    if name == POOLS:
        figures |= with_interval("trained@bank_minus_mixed@bank", evaluated.difference(f"{trained}@bank", "mixed@bank"))
        figures["trained_minus_first_version"] = figures["trained"] - FIRST_VERSION
    else:
        figures["trained_minus_goal"] = figures["trained"] - GOAL
    return figures | training_figures(run)


if __name__ == "__main__":
    main()
