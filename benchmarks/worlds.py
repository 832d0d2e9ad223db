"""Whether the recommended training holds on worlds it was not tuned on: recipes/grpo.yaml, a world a run.

    python benchmarks/worlds.py [--worlds 101 102 103 104 105] [--parallel 5] [--threads 4] [--out runs/worlds] [--json]

Figures of every world: the best free selector, the trained one, and their difference with its 95 % interval, in points
of official VQA accuracy on test queries (mean over the numbers of shots, one training seed); over all worlds: the
smallest and the mean difference. A world's figures are printed, and written to OUT/rows.jsonl, as soon as its run is
done. `equal` says that no chosen epoch is below its start on validation queries. Resumable.
"""

from __future__ import annotations

from statistics import fmean

from bank_runs import RECIPES, Job, flat, headlines, parser, tell


def main() -> None:
    """Run every world, then print all figures."""
    made = parser(__doc__, "runs/worlds")
    made.add_argument("--worlds", type=int, nargs="+", default=[101, 102, 103, 104, 105], help="seeds of worlds")
    made.add_argument("--seed", type=int, default=0, help="training seed")
    options = made.parse_args()
    jobs = [
        Job(f"world-{world}", RECIPES / "grpo.yaml", [f"data.world.seed={world}", f"seeds=[{options.seed}]"])
        for world in options.worlds
    ]
    rows, equal = headlines(jobs, options)
    differences = [row["difference"] for row in rows.values()]
    smallest_and_mean = {"smallest_difference": min(differences), "mean_difference": fmean(differences)}
    tell(flat(rows) | smallest_and_mean, equal, options)


if __name__ == "__main__":
    main()
