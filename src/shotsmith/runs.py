"""The run folder: where everything one recipe gives is kept, and what is already done.

A folder is a run when it holds `recipe.yaml`. Stages and epochs are appended to JSON-lines files, so that a run
can be killed at any moment and taken up again: a line cut short by the kill is dropped, as if it had not begun.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from shotsmith.attempts import stopped
from shotsmith.environment import environment, other_version
from shotsmith.errors import InputError, RecipeError, ShotsmithError, WriteError
from shotsmith.files import read_json, write_json, write_text
from shotsmith.recipe import Recipe, dump_recipe, load_recipe
from shotsmith.temporary import clear_all_leftovers

Row = dict[str, Any]
"""One line of a JSON-lines file."""

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
Phase = Literal["supervised", "rce", "grpo"]
PHASES: tuple[Phase, ...] = ("supervised", "rce", "grpo")

EPOCH_KEYS = ("seed", "phase", "epoch")
"""What identifies a metrics row."""

LAST_STAGE = "report"
"""The stage whose end makes a run done."""

ORIGINS: Mapping[str, tuple[str, ...]] = {
    "beam": ("beam",),
    "train": ("seed-", "rollouts/"),
    "evaluate": ("evaluation",),
}
"""What the completions of a stage are asked for under."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "train_loss": ("loss",),
    "val_loss": ("val/loss",),
    "ppo_loss": (),
    "kl": (),
    "adv_std": (),
    "adv_max": (),
    "beta": (),
    "reward": (),
    "frac_reward_zero_std": (),
    "entropy": (),
    "val_reward": ("val/reward",),
}
"""The columns every epoch row of `show` has (null where a phase has no such figure), and their other names."""

CRITERIA: tuple[Literal["val_reward", "val_loss"], ...] = ("val_reward", "val_loss")
"""What epochs are ranked by."""

_EVALUATIONS = "evaluations.jsonl"
_BEFORE_RECIPE = {"environment.json", _EVALUATIONS}


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its folder and its resolved recipe. Make one with `Run.create` or `Run.open`."""

    folder: Path
    recipe: Recipe

    @classmethod
    def create(cls, folder: Path, recipe: Recipe, *, fresh: bool = False) -> Run:
        """The run in `folder`, made if it is not there yet; `fresh` first deletes what it holds.

        Which checkpoints the test queries have been shown to is remembered even then: that cannot be undone.
        Raises InputError where the folder holds another recipe's run, or something that is no run;
        ShotsmithError where `fresh` meets a run that is being run.
        """
        run = cls(folder, recipe)
        if folder.exists() and not folder.is_dir():
            raise InputError("is a file; a run needs a folder", file=folder)
        if run.recipe_file.exists():
            if not fresh:
                _same_recipe(_recipe_of(folder), recipe, run)
                return run
            if not run.environment_file.exists():
                problem = "holds a recipe.yaml, but is no run that could be started anew; choose another folder (--out)"
                raise InputError(problem, file=folder)
            run._empty()
        elif folder.is_dir() and (strangers := _visible(folder) - _BEFORE_RECIPE):
            raise InputError(f"is not a run, and not empty (it holds '{min(strangers)}'); choose another", file=folder)
        write_json(run.environment_file, environment())
        write_text(run.recipe_file, dump_recipe(recipe))
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """An existing run. Raises InputError where there is none."""
        if not (folder / "recipe.yaml").exists():
            why = "it has no recipe.yaml" if folder.exists() else "there is no such folder, with a recipe.yaml"
            raise InputError(f"is not a run folder ({why})", file=folder)
        return cls(folder, _recipe_of(folder))

    @property
    def recipe_file(self) -> Path:
        """The resolved recipe, every default written out."""
        return self.folder / "recipe.yaml"

    @property
    def environment_file(self) -> Path:
        """Versions and machine at the time the run was made."""
        return self.folder / "environment.json"

    @property
    def image_ids(self) -> Literal["content", "place"]:
        """What the ids of images follow from where the data set gives none: in runs made before, from their place."""
        if not self.environment_file.exists():
            return "content"
        made = read_json(self.environment_file)
        return "content" if isinstance(made, dict) and made.get("image_ids") == "content" else "place"

    @property
    def stages_file(self) -> Path:
        """One line per finished stage."""
        return self.folder / "stages.jsonl"

    @property
    def memory_file(self) -> Path:
        """The most memory that each stage has held, in bytes, attempts that were killed included."""
        return self.folder / "memory.json"

    @property
    def world(self) -> Path:
        """The built data set, where the recipe asks for one."""
        return self.folder / "world"

    @property
    def skipped(self) -> Path:
        """What `data.skip_bad` has left out, and why."""
        return self.folder / "skipped.jsonl"

    def embeddings(self, split: str) -> Path:
        """Embeddings of all examples of a split, or of the bank."""
        return self.folder / "embeddings" / f"{split}.safetensors"

    def pools(self, split: Split) -> Path:
        """Pools of the queries of a split."""
        return self.folder / "pools" / f"{split}.safetensors"

    @property
    def barred(self) -> Path:
        """By split, how many entries of the bank were kept from its queries, and why."""
        return self.folder / "barred.json"

    @property
    def beam(self) -> Path:
        """The sequences beam search found."""
        return self.folder / "beam.json"

    @property
    def completions(self) -> Path:
        """The completions store."""
        return self.folder / "completions.sqlite"

    def phase(self, seed: int, phase: Phase) -> Path:
        """The checkpoints of one phase of one seed."""
        return self.folder / f"seed-{seed}" / phase

    def epoch(self, seed: int, phase: Phase, epoch: int) -> Path:
        """One checkpoint: policy.safetensors and manifest.json."""
        return self.phase(seed, phase) / f"epoch-{epoch:03d}"

    def state(self, seed: int, phase: Phase) -> Path:
        """What training needs to resume a phase."""
        return self.phase(seed, phase) / "state"

    @property
    def metrics_file(self) -> Path:
        """One line per epoch of every seed and phase."""
        return self.folder / "metrics.jsonl"

    def tensorboard(self, seed: int) -> Path:
        """TensorBoard's event files of one seed."""
        return self.folder / "tensorboard" / f"seed-{seed}"

    @property
    def ranking(self) -> Path:
        """The best epochs."""
        return self.folder / "ranking.json"

    @property
    def results(self) -> Path:
        """The evaluation, one row per query, shots, selector and seed."""
        return self.folder / "evaluation" / "results.parquet"

    @property
    def summary(self) -> Path:
        """The evaluation's accuracies and contrasts."""
        return self.folder / "evaluation" / "summary.json"

    @property
    def evaluations_file(self) -> Path:
        """One line for every look at the test queries."""
        return self.folder / _EVALUATIONS

    @property
    def report_markdown(self) -> Path:
        """The report as Markdown."""
        return self.folder / "report.md"

    @property
    def report_html(self) -> Path:
        """The report as one self-contained page."""
        return self.folder / "report.html"

    def stages(self) -> list[Row]:
        """The finished stages, in the order in which they first finished; of a repeated one, the last record."""
        return list({row["name"]: row for row in read_rows(self.stages_file, ("name",))}.values())

    def is_done(self, stage: str) -> bool:
        """Whether the stage has finished."""
        return any(row["name"] == stage for row in self.stages())

    def record(
        self, stage: str, seconds: float, vlm_calls: int, cache_hits: int, **more: Mapping[str, object] | int
    ) -> None:
        """Note, durably, that a stage has finished.

        `more`, where neither empty nor 0: `left_out`, what was not done, and why (a word); `work`, what a VLM here did;
        `budget`, what became of the demonstrations of prompts that exceeded theirs; `peak_memory`, the most bytes that
        the process of any attempt had held by its end.
        """
        row: Row = {"name": stage, "seconds": round(seconds, 3), "vlm_calls": vlm_calls, "cache_hits": cache_hits}
        append_row(self.stages_file, row | {name: value for name, value in more.items() if value})

    def evaluations(self) -> list[Row]:
        """The looks at the test queries so far; see `shotsmith.evaluation.looks`."""
        return read_rows(self.evaluations_file, ("time", "queries", "checkpoints"))

    def epochs(self) -> list[Row]:
        """The metrics rows as logged; of an epoch that was replayed after a kill, the last row."""
        rows = read_rows(self.metrics_file, EPOCH_KEYS)
        return list({tuple(row[key] for key in EPOCH_KEYS): row for row in rows}.values())

    def record_epoch(self, metrics: Mapping[str, object]) -> None:
        """Append an epoch's row, durably. ValueError where it holds a NaN or an infinity."""
        append_row(self.metrics_file, metrics)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other process from running this run. Raises ShotsmithError naming the one that does."""
        with (self.folder / ".lock").open("a+", encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                stream.seek(0)
                owner = stream.read().strip() or "unknown"
                raise ShotsmithError(
                    f"{self.folder} is in use by another process ({owner}); wait or stop it"
                ) from error
            stream.truncate(0)
            stream.write(f"pid {os.getpid()} on {socket.gethostname()}")
            stream.flush()
            clear_all_leftovers(self.folder)
            yield

    def status(self) -> Literal["created", "running", "stopped", "done"]:
        """Where the run stands now."""
        if not (lock_file := self.folder / ".lock").exists():
            return "done" if self.is_done(LAST_STAGE) else "created"
        with lock_file.open(encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return "running"
        return "done" if self.is_done(LAST_STAGE) else "stopped"

    def _empty(self) -> None:
        with self.lock():
            self.recipe_file.unlink()
            for entry in self.folder.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry.name not in (".lock", _EVALUATIONS):
                    entry.unlink()


def show(run: Run) -> dict[str, Any]:
    """Everything a script may want to know of a run; the stable form printed by `shotsmith show RUN --json`."""
    epochs = [columns(row) for row in run.epochs()]
    summary = read_json(run.summary) if run.summary.exists() else {}
    return {
        "run": str(run.folder),
        "status": (status := run.status()),
        "stopped": stopped(run.folder, run.stages()) if status == "stopped" else None,
        "recipe": run.recipe.model_dump(mode="json"),
        "stages": run.stages(),
        "epochs": epochs,
        "best": {criterion: _best(epochs, criterion) for criterion in CRITERIA},
        "test": summary.get("test", []),
        "contrasts": summary.get("contrasts", []),
        "evaluations": run.evaluations(),
        "best_free": summary.get("best_free"),
        "validation": summary.get("validation", []),
        "recall": summary.get("recall", []),
        "sole_answer": summary.get("sole_answer"),
        "nothing_right": summary.get("nothing_right", False),
        "barred": read_json(run.barred) if run.barred.exists() else {},
    }


def append_row(path: Path, row: Mapping[str, object]) -> None:
    """Append one JSON line durably; what a kill left of an unfinished line is cut off first.

    Raises WriteError where the disk does not take it.
    """
    line = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as stream:
            stream.seek(0)
            written = stream.read()
            stream.truncate(written.rfind(b"\n") + 1)
            stream.write(line.encode())
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise WriteError(error.strerror or str(error), file=path) from error


def read_rows(path: Path, required: tuple[str, ...] = ()) -> list[Row]:
    """The whole lines of a JSON-lines file; none where it is absent.

    Raises InputError naming the line that is damaged or lacks a required field.
    """
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError("is not a line of JSON", file=path, row=number) from error
        if not isinstance(row, dict):
            raise InputError("is not a JSON object", file=path, row=number)
        if missing := [key for key in required if key not in row]:
            raise InputError("is missing", file=path, row=number, field=missing[0])
        rows.append(row)
    return rows


def columns(row: Row) -> Row:
    """The row with the stable columns first after seed, phase and epoch; every other figure follows."""
    known: Row = {key: row[key] for key in EPOCH_KEYS}
    for column, others in COLUMNS.items():
        known[column] = next((row[name] for name in (column, *others) if name in row), None)
    return known | {key: value for key, value in row.items() if key not in known}


def _best(epochs: Sequence[Row], column: Literal["val_reward", "val_loss"]) -> Row | None:
    """The row with the highest val_reward or the lowest val_loss; of equals the one trained first."""
    sign = -1 if column == "val_reward" else 1
    scored = [row for row in epochs if isinstance(row[column], int | float)]
    return min(scored, key=lambda row: (sign * row[column], PHASES.index(row["phase"]), row["epoch"]), default=None)


def _recipe_of(folder: Path) -> Recipe:
    try:
        return load_recipe(folder / "recipe.yaml")
    except RecipeError as error:
        if (theirs := other_version(folder / "environment.json")) is None:
            raise
        told = f"was written by shotsmith {theirs}, and this version cannot go on with it: {error.problem}"
        raise RecipeError(told, file=folder) from error


def _same_recipe(there: Recipe, now: Recipe, run: Run) -> None:
    old, new = (flat(recipe.model_dump(mode="json")) for recipe in (there, now))
    absent = object()
    if differing := [key for key in {**old, **new} if old.get(key, absent) != new.get(key, absent)]:
        changes = "; ".join(f"{key}: {_said(old, key)} there, {_said(new, key)} now" for key in differing)
        raise InputError(
            f"holds the run of a different recipe ({changes}). Give this one another name (--set name=...) "
            "or folder (--out), or start anew with --fresh, which deletes what is there",
            file=run.folder,
        )


def flat(value: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested settings as 'section.key': value."""
    settings: dict[str, object] = {}
    for key, item in value.items():
        settings |= flat(item, f"{prefix}{key}.") if isinstance(item, Mapping) else {f"{prefix}{key}": item}
    return settings


def _said(settings: Mapping[str, object], key: str) -> str:
    return json.dumps(settings[key], ensure_ascii=False) if key in settings else "not set"


def _visible(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir() if not entry.name.startswith(".")}
