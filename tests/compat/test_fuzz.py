"""Whatever becomes of a file, it is read or refused with its name, soon, and nothing in it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from compat.formats import EVERY_FORMAT
from compat.fuzzing import fuzz

VARIANTS = 250
"""Of each format; benchmarks/fuzz_formats.py tries 2,000."""


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_a_damaged_file_is_read_or_refused(name: str, tmp_path: Path) -> None:
    outcome = fuzz(name, range(VARIANTS), tmp_path)
    assert outcome.read + outcome.errors == VARIANTS
    assert outcome.errors > VARIANTS / 3, "the damage is none"
