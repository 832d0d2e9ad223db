"""The VLM calls that what a run has on record rests on, noted beside it once the disk has their completions.

A run that is taken up again asks only for what its store lacks. A store that has lost completions, as where a power
loss has cut its log short, would have some of them asked again in other batches: with other last bits, and with calls
that nobody counts.
"""

from __future__ import annotations

from pathlib import Path

from shotsmith.errors import InputError, StoreError
from shotsmith.files import read_json, write_json

PAID_FILE = "paid.json"
"""The name of the note in the folder of a run."""


def note_paid(folder: Path, calls: int) -> None:
    """Write down that the store on disk holds what so many calls of the run in `folder` have brought."""
    if calls != _noted(folder / PAID_FILE):
        write_json(folder / PAID_FILE, {"calls": calls})


def check_paid(folder: Path, store: Path, calls: int) -> None:
    """Raise StoreError where the store now holds less than was noted, InputError where the note is damaged."""
    noted = _noted(folder / PAID_FILE)
    if calls < noted:
        raise StoreError(
            f"{store}: has lost completions: of {noted:,} VLM calls that this run rests on it knows {calls:,}. Start "
            f"anew with --fresh; or delete {folder / PAID_FILE} to go on: what is lost is asked for again, and the run "
            "may end differently"
        )


def _noted(file: Path) -> int:
    noted = read_json(file) if file.exists() else {"calls": 0}
    if not isinstance(noted, dict) or type(noted.get("calls")) is not int:
        raise InputError("is no note of VLM calls", file=file)
    return int(noted["calls"])
