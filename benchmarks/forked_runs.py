"""The command line in forked processes that can be killed, and all of a run that must not depend on kills.

A fork of a process that has loaded the libraries begins at once: of a hundred attempts no time goes into loading.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

LOADED = (
    "torch",
    "torch.utils.tensorboard",
    "transformers",
    "shotsmith.cli.run",
    "shotsmith.experiment",
    "shotsmith.vlms.general",
    "shotsmith.vlms.qwen.local",
    "shotsmith.vlms.remote.server",
    "shotsmith.embeddings.image_text",
)
HUNG = 900.0
"""Seconds after which a command that nobody kills is taken to hang."""

Content = dict[str, object]
"""What each file of a run says, without times."""


def load() -> None:
    """Load what the commands need, before the first fork. Nothing is computed, so that there are no threads."""
    for module in LOADED:
        importlib.import_module(module)


def started(arguments: Sequence[str], log: Path) -> int:
    """Fork a process that does a `shotsmith` command; what it prints goes to `log`. The process's id."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.argv = ["shotsmith", *arguments]
        from shotsmith.cli import main

        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # a copy of this program must not go on in the child
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(process: int, seconds: float = HUNG) -> int | None:
    """The exit code of a process, or None if it had to be killed (SIGKILL) because it took longer than that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


def content(run: Path, store: Path | None = None) -> Content:
    """All that a finished run holds, but times, logs and what is made anew when it is lacking."""
    told: Content = {}
    for pattern in ("world/**/*", "embeddings/*", "pools/*", "seed-*/*/epoch-*/*"):
        told |= {str(file.relative_to(run)): _digest(file) for file in run.glob(pattern) if file.is_file()}
    for state in run.glob("seed-*/*/state/*"):
        told[str(state.relative_to(run))] = _digest(state, after_header=True)  # which holds times
    for name in ("barred.json", "beam.json", "evaluation/results.parquet", "evaluation/summary.json"):
        if (run / name).exists():
            told[name] = _digest(run / name)
    told["metrics.jsonl"] = _read(_metrics, run / "metrics.jsonl")
    told["ranking.json"] = _read(_ranking, run / "ranking.json")
    told["stages.jsonl"] = _read(_stages, run / "stages.jsonl")
    told["completions.sqlite"] = _read(rows, store or run / "completions.sqlite")
    return told


def loosely(told: Content) -> Content:
    """The same of a run that shares its store: without calls, and with rounded log-probabilities."""
    tables = told["completions.sqlite"]
    assert isinstance(tables, dict)
    texts = sorted(row[:2] for row in tables["completions"])
    log_probs = sorted((key, answer, round(value, 4)) for key, answer, value in tables["log_probs"])
    return {**told, "stages.jsonl": None, "completions.sqlite": (texts, log_probs)}


def differing(one: Content, other: Content) -> list[str]:
    """The names of what is not the same in two runs."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def rows(store: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of a store, table by table."""
    with closing(sqlite3.connect(store)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}


def _read(reader: Callable[[Path], object], file: Path) -> object:
    """What a file says, or why it cannot be read: nothing has to read it again once a run is past it."""
    try:
        return reader(file)
    except (ValueError, KeyError, sqlite3.Error) as error:
        return f"unreadable: {error!r}"


def _metrics(file: Path) -> object:
    return sorted(json.dumps(_timeless(row)) for row in _last(file, "seed", "phase", "epoch"))


def _ranking(file: Path) -> object:
    return {by: [_timeless(row) for row in rows] for by, rows in json.loads(file.read_text()).items()}


def _stages(file: Path) -> object:
    return [[row[key] for key in ("name", "vlm_calls", "cache_hits")] for row in _last(file, "name")]


def _last(file: Path, *keys: str) -> list[dict[str, object]]:
    """The rows of a file of JSON lines; of those with equal keys the last."""
    told = [json.loads(line) for line in file.read_text().splitlines()]
    return list({tuple(row[key] for key in keys): row for row in told}.values())


def _timeless(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if not name.startswith("time/")}


def _digest(file: Path, *, after_header: bool = False) -> str:
    """SHA-256 of a file, or of what follows the header of a safetensors file."""
    told = file.read_bytes()
    return hashlib.sha256(told[8 + int.from_bytes(told[:8], "little") :] if after_header else told).hexdigest()
