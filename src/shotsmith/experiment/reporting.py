"""The report stage: everything measured, as Markdown and as one page."""

from __future__ import annotations

from shotsmith.experiment.parts import Parts
from shotsmith.reports.gather import gather
from shotsmith.reports.write import write_report


def report(parts: Parts) -> int:
    """Write report.md and report.html from what is in the run folder."""
    write_report(parts.run.folder, gather(parts.run.folder))
    return 0
