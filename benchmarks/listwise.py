"""`shotsmith run` whose supervised phase learns from all scores of single demonstrations that beam search paid for.

    python benchmarks/listwise.py RECIPE --out FOLDER [--set KEY=VALUE ...] [--from RUN] [--until STAGE]

The first choice is trained by listwise cross-entropy (Cao et al. 2007, ListNet): the target is softmax(score /
TEMPERATURE) over a query's candidates. At a temperature of 1 it is proportional to the probability of the true answer
after each candidate. Candidates without a score get no weight. Give the recipe `beam.shots: 1`: longer beams are paid
for and not learned from.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from pathlib import Path

import torch

from shotsmith import experiment
from shotsmith.cli.terminal import listening
from shotsmith.experiment.adopt import adopt
from shotsmith.experiment.material import Asked
from shotsmith.experiment.parts import Parts
from shotsmith.experiment.training import train_on
from shotsmith.progress import Progress
from shotsmith.recipe import load_recipe
from shotsmith.records import Completion, Request, Rollout
from shotsmith.runs import Run
from shotsmith.runs.stages import STAGE_NAMES
from shotsmith.selectors.similar import nearest_candidates
from shotsmith.training.groups import Groups, from_rollouts

TEMPERATURE = 1.0


class Listwise(Asked):
    """Every scored candidate of a searched query, as a sequence of one demonstration with its share of the target."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.parts = parts

    def beams(self) -> Groups:
        """Groups whose values are weights; those of a query sum to 1."""
        settings, tasks = self.parts.recipe.beam, self.parts.tasks("train")
        tried = [
            (row, position)
            for row in range(min(settings.queries, len(tasks.queries)))
            for position in nearest_candidates(tasks, row, settings.candidates)
        ]
        requests = [
            Request(
                tasks.queries[row], tasks.demonstrations(row, (position,)), (tasks.queries[row].answer,), text=False
            )
            for row, position in tried
        ]
        scores: dict[int, dict[int, float]] = {}
        for (row, position), request, found in zip(tried, requests, self.parts.ask(requests, "beam"), strict=True):
            if isinstance(found, Completion):
                scores.setdefault(row, {})[position] = found.log_probs[request.answers[0]]
        rollouts = [
            Rollout(row, (position,), weight)
            for row, by_position in scores.items()
            for position, weight in zip(by_position, target(by_position.values()), strict=True)
        ]
        return from_rollouts(rollouts)


def target(scores: Iterable[float]) -> list[float]:
    """softmax(scores / TEMPERATURE)."""
    weights: list[float] = (torch.tensor(list(scores)) / TEMPERATURE).softmax(0).tolist()
    return weights


def main() -> None:
    """Do everything the recipe says that is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--from", type=Path, dest="like")
    parser.add_argument("--until", choices=STAGE_NAMES)
    options = parser.parse_args()
    recipe = load_recipe(options.recipe, options.set)
    run = Run.create(options.out, recipe)
    with run.lock(), listening(quiet=False) as progress:
        if options.like is not None:
            adopt(run, Run.open(options.like))
        experiment.run(recipe, run, progress, "beam")
        if not run.is_done("train"):
            train(run, progress)
        experiment.run(recipe, run, progress, options.until)


def train(run: Run, progress: Progress) -> None:
    """The stage `train`."""
    started = time.perf_counter()
    with Parts(run.recipe, run, progress) as parts:
        asked = train_on(parts, run.recipe, Listwise(parts))
        calls = parts.calls("seed-") + parts.calls("rollouts/")
        run.record("train", time.perf_counter() - started, calls, asked - calls)


if __name__ == "__main__":
    main()
