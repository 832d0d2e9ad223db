"""The stages of a run on imported rollouts: what needs a VLM is left out, and that is written down."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import torch

from shotsmith.compat.files.folder import MANIFEST, read_imported
from shotsmith.compat.training_data import TrainingData
from shotsmith.errors import InputError, ShotsmithError
from shotsmith.experiment.material import Answered
from shotsmith.experiment.parts import Parts
from shotsmith.experiment.reporting import report
from shotsmith.experiment.rollouts import stop_below
from shotsmith.experiment.training import rank, train_on
from shotsmith.files import file_digest, read_json, write_json
from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.protocol import Policy
from shotsmith.recipe import Recipe
from shotsmith.records import Sequence
from shotsmith.runs import PHASES, Phase, Run, Split
from shotsmith.training.groups import Groups

logger = logging.getLogger(__name__)

LeftOut = Mapping[str, str]
"""What is not done, and why: 'imported' (it was before), 'no_vlm', 'no_beams', 'no_rollouts', 'on_policy'."""

_FILE = "imported.json"
_UNKNOWN = "unknown (imported)"


class RecordedElsewhere:
    """Material of an import: everything as the files say, nothing asked."""

    encoder = vlm = _UNKNOWN

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        try:
            self.data = TrainingData(
                read_imported(folder), recipe.reward, stop_below(recipe), require_right=recipe.rollouts.require_right
            )
        except InputError as error:
            if error.file is not None:
                raise
            raise InputError(error.problem, file=folder) from error
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def shots(self) -> tuple[int, ...]:
        """Lengths of the imported rollouts."""
        return self.data.shots

    @property
    def beam_shots(self) -> tuple[int, ...]:
        """Lengths of the imported beams."""
        return self.data.beam_shots

    @cached_property
    def _inputs(self) -> Mapping[str, InputsTable]:
        splits = {"train": self.data.train, "val": self.data.val}
        return {name: self.data.inputs(split, self._device) for name, split in splits.items()}

    @cached_property
    def _recorded(self) -> Groups:
        return self.data.groups(self.data.train, "train")

    def inputs(self, split: Split) -> InputsTable:
        """The first four fifths of the queries by idx, or the rest."""
        return self._inputs[split]

    @cached_property
    def _beams(self) -> Groups:
        return self.data.beams()

    def beams(self) -> Groups:
        """The imported beams."""
        return self._beams

    def rollouts(self, seed: int, policy: Policy) -> tuple[Groups, int]:
        """The same for every seed and policy."""
        return self._recorded, 0

    def validation_rollouts(self, seed: int) -> tuple[Groups, int]:
        """Those of the last fifth of the queries."""
        return self.data.groups(self.data.val, "val"), 0

    def scorer(self) -> Callable[[list[tuple[int, Sequence]], str], list[float | None]]:
        """Return a function that raises ShotsmithError: no VLM answers for imported rollouts."""

        def ask(_pairs: list[tuple[int, Sequence]], origin: str) -> list[float | None]:
            raise ShotsmithError(f"{origin}: there is no VLM to answer, as the rollouts are imported")

        return ask

    def answered(self, seed: int, phase: Phase) -> Answered | None:
        """Nobody answers."""
        return None


def _data(parts: Parts) -> LeftOut:
    """See that the import can be trained on."""
    _material(parts)
    return {}


def _train(parts: Parts) -> LeftOut:
    material = _material(parts)
    left_out = _phases_left_out(parts.recipe, material.data)
    epochs = {phase: getattr(parts.recipe, phase).model_copy(update={"epochs": 0}) for phase in left_out}
    train_on(parts, parts.recipe.model_copy(update=epochs), material)
    counts = dict(sorted(material.data.counts.items()))
    _remember(parts.run, counts)
    logger.info("learned from imported data: %s", ", ".join(f"{name} {count}" for name, count in counts.items()))
    return {**left_out, "val_reward": "no_vlm"}


def _phases_left_out(recipe: Recipe, data: TrainingData) -> dict[str, str]:
    reasons: dict[Phase, str | None] = {
        "supervised": None if data.has_beams else "no_beams",
        "rce": None if data.has_rollouts else "no_rollouts",
        "grpo": None if data.has_rollouts else "no_rollouts",
    }
    if recipe.grpo.sampling.source != "recorded":
        reasons["grpo"] = "on_policy"
    return {phase: reason for phase in PHASES if (reason := reasons[phase]) and getattr(recipe, phase).epochs}


def _material(parts: Parts) -> RecordedElsewhere:
    """Raises InputError where the import is none, cannot be trained on, or has changed since the run began."""
    folder = parts.recipe.rollouts.imported
    if folder is None:
        raise InputError("names no import", field="rollouts.imported")
    material = RecordedElsewhere(parts.recipe, folder)
    made, known = file_digest(folder / MANIFEST), parts.run.folder / _FILE
    if not known.exists():
        write_json(known, {"import": made})
    elif read_json(known).get("import") != made:
        raise InputError("has changed since this run began; start the run anew with --fresh", file=folder)
    return material


def _remember(run: Run, counts: Mapping[str, int]) -> None:
    file = run.folder / _FILE
    write_json(file, {**read_json(file), "counts": dict(counts)})


def _rank(parts: Parts) -> LeftOut:
    rank(parts)
    return {}


def _report(parts: Parts) -> LeftOut:
    report(parts)
    return {}


STAGES: Mapping[str, Callable[[Parts], LeftOut]] = {
    "data": _data,
    "embed": lambda _parts: {"embed": "imported"},
    "pools": lambda _parts: {"pools": "imported"},
    "beam": lambda _parts: {"beam": "imported"},
    "train": _train,
    "rank": _rank,
    "evaluate": lambda _parts: {"evaluate": "no_vlm"},
    "report": _report,
}
"""The same stages as of any run; each returns what it left out."""
