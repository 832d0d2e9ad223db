"""The run folder: the files of one experiment, by name, and the recipe that they belong to.

A folder is a run when it holds `recipe.yaml`. Stages and epochs are appended to JSON-lines files. A run can therefore
be killed at any moment and resumed: a line that the kill cut short is dropped.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shotsmith.environment import environment, other_version
from shotsmith.errors import DataError, InputError, RecipeError
from shotsmith.files import Row, append_row, read_json, read_rows, write_json, write_text
from shotsmith.recipe import Recipe, dump_recipe, load_recipe
from shotsmith.runs.lock import LOCK_FILE, is_locked, locked, was_locked
from shotsmith.runs.progress_note import NOTE_FILE
from shotsmith.runs.stages import LAST_STAGE, StageLog

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
Phase = Literal["supervised", "rce", "grpo"]
PHASES: tuple[Phase, ...] = ("supervised", "rce", "grpo")

EPOCH_KEYS = ("seed", "phase", "epoch")
"""What identifies a metrics row."""

_EVALUATIONS = "evaluations.jsonl"
_RECIPE_ENDS = "# end of the recipe"
"""The last line of `recipe.yaml`: YAML that lacks its last lines can still be read, and would be another recipe."""
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
        write_json(run.environment_file, environment() | {"recipe_ends": _RECIPE_ENDS})
        write_text(run.recipe_file, f"{dump_recipe(recipe)}{_RECIPE_ENDS}\n")
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """An existing run. Raises InputError where there is none."""
        if not (folder / "recipe.yaml").exists():
            why = "it has no recipe.yaml" if folder.exists() else "there is no such folder"
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
    def progress_file(self) -> Path:
        """What a process that works in the folder says of its progress; see `shotsmith.runs.progress_note`."""
        return self.folder / NOTE_FILE

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

    @property
    def prompts(self) -> Path:
        """The log of prompts: what was shown to which query."""
        return self.folder / "prompts.sqlite"

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

    @property
    def log(self) -> StageLog:
        """Which stages have finished."""
        return StageLog(self.stages_file)

    def stages(self) -> list[Row]:
        """The finished stages, in the order in which they first finished; of a repeated one, the last record."""
        return self.log.rows()

    def is_done(self, stage: str) -> bool:
        """Whether the stage has finished."""
        return self.log.is_done(stage)

    def record(
        self, stage: str, seconds: float, vlm_calls: int, cache_hits: int, **more: Mapping[str, object] | int
    ) -> None:
        """Note, durably, that a stage has finished; see `StageLog.record`."""
        self.log.record(stage, seconds, vlm_calls, cache_hits, **more)

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

    def lock(self) -> AbstractContextManager[None]:
        """Keep every other process from running this run. Raises ShotsmithError naming the one that does."""
        return locked(self.folder)

    def status(self) -> Literal["created", "running", "stopped", "done"]:
        """Where the run stands now."""
        if is_locked(self.folder):
            return "running"
        if self.is_done(LAST_STAGE):
            return "done"
        return "stopped" if was_locked(self.folder) else "created"

    def _empty(self) -> None:
        with self.lock():
            self.recipe_file.unlink()
            for entry in self.folder.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry.name not in (LOCK_FILE, _EVALUATIONS):
                    entry.unlink()


def _recipe_of(folder: Path) -> Recipe:
    file, environment_file = folder / "recipe.yaml", folder / "environment.json"
    try:
        recipe = load_recipe(file)
    except RecipeError as error:
        if (theirs := other_version(environment_file)) is not None:
            told = f"was written by shotsmith {theirs}, and this version cannot go on with it: {error.problem}"
            raise RecipeError(told, file=folder) from error
        _check_end(file, environment_file)
        raise
    _check_end(file, environment_file)
    return recipe


def _check_end(file: Path, environment_file: Path) -> None:
    """Raise DataError where the recipe of a run has lost its end. Runs made before it had a last line pass."""
    made = read_json(environment_file) if environment_file.exists() else None
    last = made.get("recipe_ends") if isinstance(made, dict) else None
    if last is not None and not file.read_bytes().rstrip().endswith(str(last).encode()):
        problem = f"has lost its end (its last line is '{last}'): restore it, or start anew from a recipe"
        raise DataError(problem, file=file)


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
