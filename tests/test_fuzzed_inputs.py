"""Recipes, stores and tables with any fault are read or refused by name, never with a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzed_inputs import KINDS, LIMIT_SECONDS, fuzz


@pytest.mark.parametrize("kind", KINDS)
def test_every_variant_is_read_or_refused_with_its_name(tmp_path: Path, kind: str) -> None:
    outcome = fuzz(kind, range(40 if kind == "store" else 150), tmp_path)
    assert not outcome.unexplained
    assert outcome.slowest < LIMIT_SECONDS
    assert outcome.errors > 10 and outcome.read > 5, "the variants are neither all sound nor all hopeless"
