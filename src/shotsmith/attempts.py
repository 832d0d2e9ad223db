"""How the last attempt to do a run ended: noted in the run folder, so that it can be said why a run has stopped."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from shotsmith.files import write_json
from shotsmith.recipe.urls import hiding_credentials
from shotsmith.visible import visible_line

ATTEMPT_FILE = "attempt.json"
"""Its name in a run folder."""
_MADE_WITH_A_RUN = frozenset({"memory.json", ATTEMPT_FILE, "recipe.yaml", "environment.json", ".lock"})
"""What a folder holds in which nothing has been done."""

How = Literal["failed", "interrupted", "killed", "finished"]


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an attempt."""

    how: How
    """`killed` also where the machine stopped: nothing could be noted. `finished`: it did what was asked for."""
    error: str | None = None
    """The line that was shown, where it failed."""


def absent_folders(folder: Path) -> tuple[Path, ...]:
    """The folder and those around it that are not there yet, the innermost first."""
    return tuple(one for one in (folder, *folder.parents) if not one.exists())


@contextlib.contextmanager
def attempt(folder: Path, made: Sequence[Path] = ()) -> Iterator[None]:
    """Note how the work in a run's folder ends, also by an exception, which is raised on.

    Where it fails before anything was done, the folders `made` for it are removed again.
    """
    file = folder / ATTEMPT_FILE
    write_json(file, {"how": "killed", "error": None})  # what holds unless something else can be noted
    ended = Ended("finished")
    try:
        yield
    except KeyboardInterrupt:
        ended = Ended("interrupted")
        raise
    except Exception as error:
        ended = Ended("failed", hiding_credentials(visible_line(str(error) or type(error).__name__)))
        raise
    finally:
        if ended.how != "finished" and folder in made and _is_empty(folder):
            _remove(folder, made)
        else:
            write_json(file, {"how": ended.how, "error": ended.error})


def last_attempt(folder: Path) -> Ended | None:
    """How the last attempt ended; None where none was made, or by a version that did not note it."""
    try:
        noted = json.loads((folder / ATTEMPT_FILE).read_text(encoding="utf-8"))
        return Ended(noted["how"], noted["error"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def stopped(folder: Path, stages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Why a run has stopped, and after which of its finished stages, as plain values; `how` is None if not noted."""
    ended = last_attempt(folder)
    after = stages[-1]["name"] if stages else None
    return {"how": ended and ended.how, "error": ended and ended.error, "after": after}


def _is_empty(folder: Path) -> bool:
    return {entry.name for entry in folder.iterdir()} <= _MADE_WITH_A_RUN


def _remove(folder: Path, made: Sequence[Path]) -> None:
    for entry in list(folder.iterdir()):
        entry.unlink()
    for one in made:
        with contextlib.suppress(OSError):  # something else has been put there
            one.rmdir()
