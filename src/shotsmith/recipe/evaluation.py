"""Settings of the final comparison."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shotsmith.recipe.base import MANY, Count, Lengths, Natural, Settings

Control = Literal["blank_image", "shuffled_labels", "shuffled_order"]

ORACLE_NEAREST = 64
"""Most similar entries of a whole bank that the oracle tries for a query, besides what any selector showed."""
CONFIDENCE = 0.95
"""Level of the intervals."""


class EvaluationSettings(Settings):
    """The final comparison on test queries."""

    shots: Lengths = (1, 2, 3, 4)
    """Numbers of demonstrations shown."""
    random_draws: Count = 3
    """Draws of the random selector per query; their mean is reported."""
    oracle_tries: Natural = 64
    """Sequences the oracle tries per query and number of shots (fewer where the ceiling is reached); 0: no oracle."""
    fixed_tries: Natural = 12
    """Sequences tried for the `fixed` selector, per number of shots, on validation queries; 0: no fixed selector."""
    controls: tuple[Control, ...] = ()
    """Controls: the sequences of the last trained phase and of the best free selector, shown again with the query's
    images grey (`blank_image`), with the demonstrations' answers permuted (`shuffled_labels`), or in random order
    (`shuffled_order`). Each has rows of its own, such as `grpo_blank_image`, and is no competitor."""
    beam_width: Natural = 0
    """Width of a beam search that knows the true answers, evaluated as a bound like the oracle; 0: none. It costs
    about pool size x longest sequence x width VLM calls per query."""
    resamples: Annotated[int, Field(strict=True, ge=100, le=MANY)] = 2000
    """Bootstrap resamples."""
