"""Writes reports: report.md and report.html; in a language other than English report.zh.md and report.zh.html."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

from shotsmith.files import write_text
from shotsmith.reports.content import Content, content
from shotsmith.reports.data import ReportData
from shotsmith.reports.html import html
from shotsmith.reports.language import LANGUAGES
from shotsmith.reports.markdown import markdown
from shotsmith.visible import visible

Format = Literal["md", "html"]
FORMATS: Mapping[Format, Callable[[Content], str]] = {"html": html, "md": markdown}


def write_report(
    folder: Path,
    data: ReportData,
    language: str = "en",
    formats: Iterable[Format] = tuple(FORMATS),
    stem: str = "report",
) -> dict[Format, Path]:
    """Write the report into a folder, a file per format, and say where.

    The files of different languages have different names, so that one does not replace the other. Raises DataError
    where an image of the gallery is missing.
    """
    said = content(data, LANGUAGES[language])
    name = stem if language == "en" else f"{stem}.{language}"
    written = {form: folder / f"{name}.{form}" for form in formats}
    for form, path in written.items():
        write_text(path, visible(FORMATS[form](said)))
    return written
