"""The one exception tree. The command line maps it to exit codes: `InputError` 2, every other `ShotsmithError` 1."""

from __future__ import annotations

from pathlib import Path

_ABSENT = ("no such file", "no such image", "no such recipe", "no such folder", "no such run or log")
"""Problems of a path that names nothing."""


class ShotsmithError(Exception):
    """Anything Shotsmith can explain to its user in one line."""


class InputError(ShotsmithError):
    """The input is at fault; says which file, row and field where they are known."""

    def __init__(
        self,
        problem: str,
        *,
        file: Path | str | None = None,
        row: int | str | None = None,
        field: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = None if file is None else str(file)
        self.row = row
        self.field = field
        super().__init__(str(self))

    def __str__(self) -> str:
        place = [part for part in (self.file, _labelled("row", self.row), _labelled("field", self.field)) if part]
        told = f"{', '.join(place)}: {self.problem}" if place else self.problem
        return f"{told} (looked for from {Path.cwd()})" if self._is_absent_from_here() else told

    def _is_absent_from_here(self) -> bool:
        """Whether a relative path names nothing: then it matters where it starts."""
        return self.file is not None and self.problem in _ABSENT and not Path(self.file).is_absolute()


class RecipeError(InputError):
    """The recipe is at fault; lists every fault at once."""


class DataError(InputError):
    """A data file (questions, annotations, image, embedding) is at fault."""


class CheckpointError(InputError):
    """A checkpoint is damaged, or does not fit what it is loaded into."""


class WriteError(ShotsmithError):
    """A file or folder cannot be written: the disk is full, read-only or failing, or the name is too long."""

    def __init__(self, problem: str, *, file: Path | str) -> None:
        self.problem = problem
        self.file = str(file)
        super().__init__(f"{file}: cannot be written: {problem}")


class VLMError(ShotsmithError):
    """The VLM could not answer; the prompts concerned stay unanswered and can be asked again."""


class StoreError(ShotsmithError):
    """The completions store is damaged or cannot be written."""


class TrainingError(ShotsmithError):
    """Training cannot go on (for example: too many steps without a finite loss)."""


class PluginError(ShotsmithError):
    """What another package adds cannot be used: it cannot be imported, is of another kind, or has a name twice."""


def _labelled(label: str, value: object) -> str:
    return "" if value is None else f"{label} {value}"
