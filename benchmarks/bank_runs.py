"""Runs of recipes that benchmarks compare: finished one after the other or side by side, and read as figures.

Every run is `shotsmith run` in a process of its own, with a folder of its own, and goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from shotsmith.checkpoints.ranking import best_checkpoint
from shotsmith.completions.store import Store
from shotsmith.evaluation.accuracies import Accuracies, Metric, Shots, accuracies
from shotsmith.evaluation.results import Result, read_results
from shotsmith.files import read_json, read_rows, write_text
from shotsmith.runs import PHASES, Phase, Run
from shotsmith.statistics import Difference, Interval, mean_interval, paired_difference

RECIPES = Path(__file__).parents[1] / "recipes"
METRIC: Metric = "vqa_accuracy"
RUN = ("-m", "shotsmith", "run")

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Job:
    """A run to be finished."""

    name: str
    """Name of its folder."""
    recipe: Path
    overrides: Sequence[str] = ()
    """Changes to the recipe, on top of those of --set."""
    _: KW_ONLY
    defaults: Sequence[str] = ()
    """Changes to the recipe that --set may change again."""
    like: Path | None = None
    """A run whose data, embeddings, pools and beam data are taken over."""
    until: str | None = None
    """The last stage; all by default."""
    script: Sequence[str] = RUN
    """What Python runs; it takes the options of `shotsmith run`."""

    def command(self, out: Path, overrides: Sequence[str]) -> list[str]:
        """The process that finishes the run."""
        command = [sys.executable, *self.script, str(self.recipe), "--out", str(out / self.name)]
        for override in (*self.defaults, *overrides, *self.overrides):
            command += ["--set", override]
        if self.like is not None:
            command += ["--from", str(self.like)]
        return command if self.until is None else [*command, "--until", self.until]


def parser(description: str | None, out: str) -> argparse.ArgumentParser:
    """A parser with the options that all of these benchmarks have."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, default=Path(out), help="folder of the runs")
    made.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="changes to the recipe"
    )
    made.add_argument("--parallel", type=int, default=1, help="runs side by side")
    made.add_argument("--threads", type=int, help="threads of each run; by default all CPUs, divided by --parallel")
    made.add_argument("--json", action="store_true")
    return made


def finished(jobs: Iterable[Job], options: argparse.Namespace) -> Iterator[tuple[Job, Run]]:
    """Finish the runs; each with its job as soon as it is done.

    What side-by-side runs write goes to OUT/NAME.log. Raises SystemExit at the end if any of them failed.
    """
    waiting, failed = list(jobs), list[str]()
    running: dict[subprocess.Popen[bytes], Job] = {}
    options.out.mkdir(parents=True, exist_ok=True)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the runs are stopped too
    try:
        while waiting or running:
            while waiting and len(running) < options.parallel:
                job = waiting.pop(0)
                running[_started(job, options)] = job
            ended = next((process for process in running if process.poll() is not None), None)
            if ended is None:
                time.sleep(0.2)
                continue
            job = running.pop(ended)
            if ended.returncode == 0:
                yield job, Run.open(options.out / job.name)
            else:
                failed.append(job.name)
                print(f"{job.name}: failed with exit code {ended.returncode}", file=sys.stderr, flush=True)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
        signal.signal(signal.SIGTERM, before)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _started(job: Job, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    threads = options.threads or max(1, (os.cpu_count() or 1) // options.parallel)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    command = job.command(options.out, options.set)
    if options.parallel == 1:
        return subprocess.Popen(command, env=environment, stdout=sys.stderr)
    with (options.out / f"{job.name}.log").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def keep(out: Path, name: str, figures: Mapping[str, Any]) -> None:
    """Write the figures of a run to OUT/rows.jsonl, in place of what it holds under that name."""
    file = out / "rows.jsonl"
    rows = {row["name"]: row for row in read_rows(file, ("name",))} | {name: {"name": name, **figures}}
    write_text(file, "".join(json.dumps(row) + "\n" for row in rows.values()))


def tell(figures: Figures, equal: bool, options: argparse.Namespace, **more: str) -> None:
    """Print every figure; with --json, a last line that holds them all."""
    for name, value in (*more.items(), *figures.items()):
        print(f"{name:52s} {value:>10}" if isinstance(value, str) else f"{name:52s} {value:10.2f}")
    if options.json:
        print(json.dumps({"figures": figures, "equal": equal, **more}))


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The evaluation on test queries of a run, or of runs that differ in their training seed only."""

    runs: Sequence[Run]
    results: Sequence[Result]
    table: Accuracies
    trained: Phase
    """The last phase of training."""
    best_free: str
    """The best free selector on validation queries."""

    @classmethod
    def of(cls, *runs: Run) -> Evaluated:
        """Read the runs, whose evaluation is done."""
        results = [result for run in runs for result in read_results(run.results)]
        names = {result.selector for result in results}
        trained = next(phase for phase in reversed(PHASES) if phase in names)
        best: str = read_json(runs[0].summary)["best_free"]["selector"]
        return cls(runs, results, accuracies(results, METRIC), trained, best)

    @property
    def shots(self) -> tuple[int, ...]:
        """The numbers of demonstrations shown."""
        return self.runs[0].recipe.evaluation.shots

    def of_kind(self, kind: str) -> Evaluated:
        """The same on questions of one kind."""
        some = [result for result in self.results if result.question_type == kind]
        return Evaluated(self.runs, some, accuracies(some, METRIC), self.trained, self.best_free)

    def kinds(self) -> list[str]:
        """The kinds of questions that have an interval (two queries or more), by name."""
        kinds = {result.query_id: result.question_type for result in self.results}
        return sorted(kind for kind, queries in Counter(kinds.values()).items() if queries > 1)

    def accuracy(self, selector: str, shots: Shots = "mean") -> Interval:
        """In percent."""
        (values,) = self.table.scored((selector, shots))
        return mean_interval(values, **self._settings())

    def difference(self, a: str, b: str, shots: Shots = "mean") -> Difference:
        """a - b on the same queries, in points."""
        return paired_difference(*self.table.scored((a, shots), (b, shots)), **self._settings())

    def gain(self, shots: Shots = "mean") -> Difference:
        """The trained selector minus the best free one."""
        return self.difference(self.trained, self.best_free, shots)

    def gap_closed(self) -> float:
        """The gain as a share of what the oracle gains; 0 where the oracle gains nothing."""
        gap = self.difference("oracle", self.best_free).difference
        return self.gain().difference / gap if gap else 0.0

    def _settings(self) -> dict[str, Any]:
        settings = self.runs[0].recipe.evaluation
        return {"resamples": settings.resamples}


def with_interval(name: str, found: Difference | Interval) -> Figures:
    """NAME, NAME_low and NAME_high."""
    value = found.mean if isinstance(found, Interval) else found.difference
    return {name: value, f"{name}_low": found.low, f"{name}_high": found.high}


@dataclass(frozen=True, slots=True)
class Trained:
    """How the training of one seed went, in its last phase."""

    start: float | None
    """Accuracy on validation queries before training, in percent; None for a policy that starts at random."""
    best: float
    """That of the epoch chosen."""
    epoch: int
    """The epoch chosen."""
    rewards: tuple[float, float]
    """Validation reward of the start (of the epoch chosen, where there is no start) and of the epoch chosen."""
    seconds: float
    """Of all phases."""
    vlm_calls: int
    """Asked for by all phases of this seed; beam data and validation rollouts, which seeds share, are left out."""


def trainings(run: Run) -> dict[int, Trained]:
    """How training went, by seed."""
    recipe, rows = run.recipe, run.epochs()
    prefix = f"{recipe.name}:" if recipe.store else ""
    found = {}
    with Store.open(recipe.store or run.completions) as store:
        for seed in recipe.seeds:
            own = [row for row in rows if row["seed"] == seed]
            phase: Phase = next(one for one in reversed(PHASES) if any(row["phase"] == one for row in own))
            best = best_checkpoint(rows, seed, phase, getattr(recipe, phase).best_by)
            start = next((row for row in own if row["phase"] == phase and row["epoch"] == 0), None)
            found[seed] = Trained(
                start=None if start is None else start[f"val/{METRIC}"],
                best=float(best[f"val/{METRIC}"]),
                epoch=int(best["epoch"]),
                rewards=(float((start or best)["val/reward"]), float(best["val/reward"])),
                seconds=sum(row["time/seconds"] for row in own),
                vlm_calls=store.count(f"{prefix}seed-{seed}/"),
            )
    return found


def none_below_start(run: Run) -> bool:
    """Whether no seed's chosen epoch has a lower validation reward than its start."""
    return all(best >= start for start, best in (one.rewards for one in trainings(run).values()))


def training_figures(run: Run) -> Figures:
    """What training did on validation queries, and what it cost, by seed."""
    figures: Figures = {}
    for seed, found in trainings(run).items():
        if found.start is not None:
            figures[f"seed_{seed}/validation_start"] = found.start
        figures[f"seed_{seed}/validation_best"] = found.best
        figures[f"seed_{seed}/best_epoch"] = found.epoch
        figures[f"seed_{seed}/training_seconds"] = found.seconds
        figures[f"seed_{seed}/training_vlm_calls"] = found.vlm_calls
    return figures


def headline(run: Run) -> Figures:
    """Best free selector, trained selector, oracle, the gain with its interval, and what training cost."""
    evaluated = Evaluated.of(run)
    found = list(trainings(run).values())
    return {
        "best_free": evaluated.accuracy(evaluated.best_free).mean,
        "trained": evaluated.accuracy(evaluated.trained).mean,
        "oracle": evaluated.accuracy("oracle").mean,
        **with_interval("difference", evaluated.gain()),
        "gap_closed": evaluated.gap_closed(),
        "training_seconds": sum(one.seconds for one in found),
        "training_vlm_calls": sum(one.vlm_calls for one in found),
    }


def headlines(jobs: Iterable[Job], options: argparse.Namespace) -> tuple[dict[str, Figures], bool]:
    """The headline of every run by name, printed and kept as soon as the run is done; and `none_below_start` of all."""
    jobs = list(jobs)
    rows: dict[str, Figures] = {}
    equal = True
    for job, run in finished(jobs, options):
        rows[job.name] = row = headline(run)
        equal = equal and none_below_start(run)
        keep(options.out, job.name, row)
        print(
            f"{job.name}: best free {row['best_free']:.1f}, trained {row['trained']:.1f}, difference "
            f"{row['difference']:+.1f} [{row['difference_low']:+.1f}, {row['difference_high']:+.1f}], "
            f"oracle {row['oracle']:.1f}; training took {row['training_seconds']:.0f} s",
            flush=True,
        )
    return {job.name: rows[job.name] for job in jobs}, equal


def flat(rows: Mapping[str, Figures]) -> Figures:
    """Every figure under NAME/FIGURE."""
    return {f"{name}/{figure}": value for name, row in rows.items() for figure, value in row.items()}
