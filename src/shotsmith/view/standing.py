"""Where a run stands now: its stages, what the process that works on it has noted, and how long it may take."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from shotsmith.attempts import stopped
from shotsmith.files import Row
from shotsmith.runs import PHASES, Run
from shotsmith.runs.lock import lock_holder
from shotsmith.runs.progress_note import Note, current_note
from shotsmith.runs.stages import STAGE_NAMES
from shotsmith.view.stopping import obstacle

SILENT_SECONDS = 15.0
"""A process that holds the lock and has noted nothing for so long is suspended, or waits for its disk."""
_RECENT = 5
"""Epochs of a phase that its pace is taken from."""


def standing(run: Run, epochs: Sequence[Row]) -> dict[str, Any]:
    """Everything that changes from second to second, as plain values. `epochs` are the rows of metrics so far."""
    done = run.stages()
    status = run.status()
    note = current_note(run.folder) if status == "running" else None
    holder = lock_holder(run.folder) if status == "running" else None
    return {
        "status": status,
        "stages": _stages(done, status, note),
        "stopped": stopped(run.folder, done) if status == "stopped" else None,
        "process": holder
        and {"pid": holder.pid, "host": holder.host, "obstacle": obstacle(run.folder, holder), "silent": _silent(note)},
        "now": note and _now(run, note, epochs),
    }


def _stages(done: Sequence[Row], status: str, note: Note | None) -> list[dict[str, Any]]:
    """Every stage with its state: done, running, stopped (it was under way when the run stopped) or waiting."""
    rows = {row["name"]: row for row in done}
    running = None if note is None else note.get("stage")
    next_one = next((name for name in STAGE_NAMES if name not in rows), None)
    stages = []
    for name in STAGE_NAMES:
        row = rows.get(name, {})
        state = "done" if row else "stopped" if status == "stopped" and name == next_one else "waiting"
        told = {key: row.get(key) for key in ("seconds", "vlm_calls", "cache_hits", "left_out")}
        stages.append({"name": name, "state": "running" if name == running else state} | told)
    return stages


def _silent(note: Note | None) -> bool:
    return note is not None and time.time() - note["noted"] > SILENT_SECONDS


def _now(run: Run, note: Note, epochs: Sequence[Row]) -> dict[str, Any]:
    """What the process does, with the time that its stage may still take where that can be estimated."""
    left = _training_left(run, epochs, note["noted"]) if note["stage"] == "train" else None
    kept = ("stage", "tasks", "vlm_calls", "store_hits", "prompts_per_second")
    elapsed = max(0.0, note["noted"] - note["stage_started"])
    return {key: note[key] for key in kept} | {"seconds": elapsed, "seconds_left": left}


def _training_left(run: Run, epochs: Sequence[Row], now: float) -> float | None:
    """Seconds that the epochs still planned take at the pace of the last ones; None while a phase has no pace yet.

    Early stopping can make them fewer.
    """
    left = 0.0
    for phase, missing in epochs_left(run, epochs).items():
        times = [row["time/seconds"] for row in epochs if row["phase"] == phase and row["epoch"] > 0][-_RECENT:]
        if missing and not times:
            return None
        left += missing * sum(times) / len(times) if missing else 0.0
    since = max(0.0, now - run.metrics_file.stat().st_mtime) if epochs else 0.0
    return max(0.0, left - since)


def epochs_left(run: Run, epochs: Sequence[Row]) -> Mapping[str, int]:
    """By phase, the epochs that are planned and not done, over all seeds. A phase that a later one follows is over."""
    done = {(row["seed"], row["phase"]): row["epoch"] for row in epochs}
    left: dict[str, int] = dict.fromkeys(PHASES, 0)
    for seed in run.recipe.seeds:
        begun = [number for number, phase in enumerate(PHASES) if (seed, phase) in done]
        last = begun[-1] if begun else 0
        later_seed = any(row["seed"] in run.recipe.seeds[run.recipe.seeds.index(seed) + 1 :] for row in epochs)
        for number, phase in enumerate(PHASES):
            if number >= last and not later_seed:
                left[phase] += max(0, getattr(run.recipe, phase).epochs - done.get((seed, phase), 0))
    return left
