"""Writes a run's report: report.md and report.html."""

from __future__ import annotations

from shotsmith.files import write_text
from shotsmith.reports.content import content
from shotsmith.reports.data import ReportData
from shotsmith.reports.html import html
from shotsmith.reports.language import LANGUAGES
from shotsmith.reports.markdown import markdown
from shotsmith.runs import Run


def write_report(run: Run, data: ReportData, language: str = "en") -> None:
    """Write both forms of the report into the run's folder. Raises DataError where a gallery image is missing."""
    said = content(data, LANGUAGES[language])
    write_text(run.report_markdown, markdown(said))
    write_text(run.report_html, html(said))
