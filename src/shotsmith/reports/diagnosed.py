"""What the diagnosis found, said in the report's language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from shotsmith.diagnosis.finding import SEVERITIES, Finding
from shotsmith.reports.language import Language

PARTS = ("title", "evidence", "meaning", "advice")
"""The sentences of a finding."""


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """One finding: how grave it is, what was seen, what it means, what to do."""

    severity: str
    """fault, warning or note."""
    title: str
    evidence: str
    meaning: str
    advice: str


def diagnosed(findings: Iterable[Finding], language: Language) -> tuple[Diagnosed, ...]:
    """Say the findings, the gravest first."""
    return tuple(
        Diagnosed(
            finding.severity,
            *(language.say(f"finding.{finding.key}.{part}", **finding.values) for part in PARTS),
        )
        for finding in sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
    )


def tally(found: Iterable[Finding], language: Language) -> str:
    """How many findings of each kind there are, in a sentence."""
    counts = Counter(finding.severity for finding in found)
    if not counts:
        return language.say("diagnosis.clean")
    return language.say("diagnosis.tally", **{name: counts[name] for name in SEVERITIES})
