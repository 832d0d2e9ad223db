"""Whatever a server replies to one prompt, that prompt fails or is answered, and the others are kept."""

from __future__ import annotations

from pathlib import Path

from damaged_replies import fuzz

REPLIES = 150
"""benchmarks/fuzz_replies.py tries 10,000."""


def test_damaged_replies_fail_their_prompt_alone(tmp_path: Path) -> None:
    outcome = fuzz(range(REPLIES), tmp_path)
    assert outcome.failures + outcome.answers + outcome.errors == REPLIES
    assert outcome.failures > REPLIES / 3, "the damage is none"
    assert outcome.errors < REPLIES / 5, "only what servers are asked at the start may stop a run"
