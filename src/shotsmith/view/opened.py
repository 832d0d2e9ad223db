"""The runs that a page shows, by the names under which it addresses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fastapi import HTTPException

from shotsmith.errors import InputError
from shotsmith.runs import Run


class OpenedRuns(Mapping[str, Run]):
    """Runs by name, in the order in which their folders were given.

    A name is that of the folder; of several alike, the second is NAME-2. A run is read again once its recipe has
    changed, as after `--fresh`.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        """Raises InputError for a folder that is no run."""
        self._folders: dict[str, Path] = {}
        for folder in dict.fromkeys(path.resolve() for path in folders):
            self._folders[self._free_name(folder.name or "run")] = folder
        self._opened = {name: (_stamp(folder), Run.open(folder)) for name, folder in self._folders.items()}

    def __getitem__(self, name: str) -> Run:
        stamp, run = self._opened[name]
        if (now := _stamp(run.folder)) != stamp and now is not None:
            try:
                run = Run.open(run.folder)
            except InputError:
                return run  # it is being made anew
            self._opened[name] = now, run
        return run

    def __iter__(self) -> Iterator[str]:
        return iter(self._folders)

    def __len__(self) -> int:
        return len(self._folders)

    def _free_name(self, name: str) -> str:
        number, free = 1, name
        while free in self._folders:
            number += 1
            free = f"{name}-{number}"
        return free


def run_of(runs: Mapping[str, Run], name: str) -> Run:
    """The run of that name. Raises HTTPException (404) where there is none."""
    if name not in runs:
        raise HTTPException(404, "no run of this page has that name")
    return runs[name]


def _stamp(folder: Path) -> tuple[int, int] | None:
    try:
        status = (folder / "recipe.yaml").stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
