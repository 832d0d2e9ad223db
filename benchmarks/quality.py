"""What the recommended training is worth on the built-in world: recipes/grpo.yaml against everything that is free.

    python benchmarks/quality.py [--seeds 3] [--world-seed 7] [--out runs/quality] [--set KEY=VALUE ...] [--json]

Figures are points of official VQA accuracy on test queries, averaged over training seeds; `@mean` is the mean over the
numbers of shots, `_low` and `_high` bound 95 % intervals (paired bootstrap over queries and seeds). The best free
selector is the one chosen on validation queries. `equal` says that no seed's chosen epoch is below its start on
validation queries. Resumable like any run.
"""

from __future__ import annotations

from bank_runs import (
    RECIPES,
    Evaluated,
    Figures,
    Job,
    finished,
    none_below_start,
    parser,
    tell,
    training_figures,
    with_interval,
)

from shotsmith.runs import Run

SOLVED = 95.0
"""A kind of question that the best free selector answers as well as this has nothing left to learn."""


def main() -> None:
    """Run the recipe and print its figures."""
    made = parser(__doc__, "runs/quality")
    made.add_argument("--seeds", type=int, default=3, help="training seeds")
    made.add_argument("--world-seed", type=int, help="another world than the recipe's")
    options = made.parse_args()
    overrides = [f"seeds={list(range(options.seeds))}"]
    name = "run"
    if options.world_seed is not None:
        overrides.append(f"data.world.seed={options.world_seed}")
        name = f"world-{options.world_seed}"
    ((_, run),) = finished([Job(name, RECIPES / "grpo.yaml", overrides)], options)
    tell(measure(run), none_below_start(run), options, best_free=Evaluated.of(run).best_free)


def measure(run: Run) -> Figures:
    """Every figure the product is judged by, read from a finished run."""
    evaluated = Evaluated.of(run)
    trained, best, most = evaluated.trained, evaluated.best_free, max(evaluated.shots)
    figures: Figures = {}
    for selector, by_shots in evaluated.table.by_selector.items():
        figures |= {f"{selector}@{shots}": evaluated.accuracy(selector, shots).mean for shots in by_shots}
    figures |= with_interval("best_free@mean", evaluated.accuracy(best))
    figures |= with_interval("trained@mean", evaluated.accuracy(trained))
    figures |= with_interval("grpo_minus_best_training_free", evaluated.gain())
    for shots in evaluated.shots:
        figures |= with_interval(f"grpo_minus_best_training_free@{shots}", evaluated.gain(shots))
    figures["gap_closed"] = evaluated.gap_closed()
    figures |= with_interval("headroom_oracle_minus_best_training_free", evaluated.difference("oracle", best))
    figures |= with_interval("grpo_minus_reversed", evaluated.difference(trained, f"{trained}_reversed"))
    return figures | by_kind(evaluated, most) | training_figures(run)


def by_kind(evaluated: Evaluated, shots: int) -> Figures:
    """Accuracies for every kind of question; and the gain on each kind that the best free selector does not solve."""
    figures: Figures = {}
    for kind in evaluated.kinds():
        some = evaluated.of_kind(kind)
        free = some.accuracy(some.best_free, shots).mean
        figures[f"{kind}/best_free@{shots}"] = free
        figures[f"{kind}/trained@{shots}"] = some.accuracy(some.trained, shots).mean
        figures[f"{kind}/oracle@{shots}"] = some.accuracy("oracle", shots).mean
        if free < SOLVED:
            figures |= with_interval(f"{kind}/gain@{shots}", some.gain(shots))
    gains = [value for name, value in figures.items() if name.endswith(f"/gain@{shots}")]
    lows = [value for name, value in figures.items() if name.endswith(f"/gain@{shots}_low")]
    figures["unsolved_kinds"] = len(gains)
    figures["unsolved_kinds_gained"] = sum(low > 0 for low in lows)
    return figures | ({"smallest_gain_of_a_kind": min(gains)} if gains else {})


if __name__ == "__main__":
    main()
