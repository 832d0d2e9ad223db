"""Damaged files of one format, each read, put together and audited; what came of it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from compat.damage import damaged
from compat.formats import ANNOTATIONS, QUESTIONS, Size, write_formats

from shotsmith.compat.files.assemble import assemble, read_examples, read_files
from shotsmith.compat.files.audit import audit
from shotsmith.errors import ShotsmithError

LIMIT_SECONDS = 2.0
SIZE = Size(train=70, queries=5, rows=4)


@dataclass(frozen=True)
class Outcome:
    """What became of the variants of one file."""

    errors: int
    read: int
    slowest: float
    """Seconds."""


def fuzz(name: str, seeds: Iterable[int], folder: Path) -> Outcome:
    """Anything but a clean reading or a ShotsmithError is raised."""
    files = write_formats(folder / "whole", SIZE)
    whole, variant = files[name].read_bytes(), folder / name
    beside = {QUESTIONS: files[ANNOTATIONS], ANNOTATIONS: files[QUESTIONS]}.get(name)
    errors = read = 0
    slowest = 0.0
    for seed in seeds:
        variant.write_bytes(damaged(whole, seed))
        started = time.perf_counter()
        try:
            _use([variant] if beside is None else [variant, beside])
            read += 1
        except ShotsmithError as error:
            assert str(folder) in str(error), f"seed {seed} names no file: {error}"
            errors += 1
        slowest = max(slowest, time.perf_counter() - started)
    return Outcome(errors, read, slowest)


def _use(files: list[Path]) -> None:
    sources = read_files(files)
    audit(sources, assemble(sources, read_examples(sources)))
