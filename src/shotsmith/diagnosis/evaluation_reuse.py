"""Test queries that were answered more than once."""

from __future__ import annotations

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding


def evaluated_again(evidence: Evidence) -> Finding | None:
    """Every look at the test queries that is followed by a change makes their figures a little too good."""
    if evidence.evaluations < 2:
        return None
    return Finding("test_evaluated_again", "warning", {"times": evidence.evaluations})
