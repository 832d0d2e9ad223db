from __future__ import annotations

import math
from pathlib import Path

import pytest

from shotsmith.metrics.cider import CiderScorer
from shotsmith.records import Completion, Example
from shotsmith.rewards import Answered

ANSWERS = ("jar",) * 5 + ("glass bowl",) * 3 + ("vase",) * 2
CAPTIONS = CiderScorer([ANSWERS, ("a red bus",), ("a cat",)])


@pytest.fixture
def query() -> Example:
    return Example(7, (Path("x.png"),), 1, "what is it?", ANSWERS)


@pytest.fixture
def answered(query: Example) -> Answered:
    """All that any reward needs: of its true answers, `jar` has probability 0.25, without demonstrations 0.05."""
    log_probs = {"jar": math.log(0.25), "glass bowl": math.log(0.5), "vase": math.log(0.03)}
    return Answered(query, Completion("vase", log_probs), 2, zero_shot=math.log(0.05), captions=CAPTIONS)
