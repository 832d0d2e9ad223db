"""`shotsmith diagnose`: what went wrong in a run or in a training log, and which setting to change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shotsmith.cli.options import Json, print_json
from shotsmith.errors import InputError

if TYPE_CHECKING:
    from shotsmith.cli.console import Console
    from shotsmith.diagnosis.finding import Finding
    from shotsmith.reports.language import Language

Source = Annotated[
    Path, typer.Argument(metavar="RUN|LOG", help="A run's folder, or a training log (text or Markdown).")
]
Against = Annotated[
    Path | None, typer.Option("--against", metavar="RUN|LOG", help="Another one, to compare signals and settings with.")
]
Lang = Annotated[str, typer.Option("--lang", help="Language of the findings.")]

_STYLES = {"fault": "bold red", "warning": "bold yellow", "note": "bold cyan"}
_INDENT = 2


def diagnose(source: Source, against: Against = None, as_json: Json = False, lang: Lang = "en") -> None:
    """Find what went wrong in training: signals, what they mean, and the setting to change.

    Example: shotsmith diagnose runs/demo --against runs/demo-slower
    """
    from shotsmith.cli.console import Console
    from shotsmith.diagnosis.diagnose import diagnose as find
    from shotsmith.diagnosis.evidence import evidence_of
    from shotsmith.reports.language import LANGUAGES

    if lang not in LANGUAGES:
        raise InputError(f"there is no language '{lang}'; there are: {', '.join(LANGUAGES)}", field="--lang")
    language = LANGUAGES[lang]
    findings = find(evidence_of(source, against))
    if as_json:
        print_json([_as_json(finding, language) for finding in findings])
    else:
        _print(findings, language, Console(highlight=False))


def _as_json(finding: Finding, language: Language) -> dict[str, object]:
    said = {part: _say(finding, part, language) for part in ("title", "evidence", "meaning", "advice")}
    settings = {"settings": dict(finding.settings), "overrides": finding.overrides}
    return {"key": finding.key, "severity": finding.severity, "values": dict(finding.values), **settings, **said}


def _print(findings: Sequence[Finding], language: Language, console: Console) -> None:
    from rich.padding import Padding
    from rich.text import Text

    if not findings:
        console.print(language.say("diagnosis.none"))
    for number, finding in enumerate(findings):
        if number:
            console.print()
        severity = Text(language.say(f"severity.{finding.severity}"), style=_STYLES[finding.severity])
        console.print(severity, Text(_say(finding, "title", language), style="bold"))
        for part, style in (("evidence", ""), ("meaning", "dim"), ("advice", "")):
            console.print(Padding(Text(_say(finding, part, language), style=style), (0, 0, 0, _INDENT)))
        for override in finding.overrides:
            console.print(Text(" " * _INDENT + f"--set {override}", style="green"), soft_wrap=True)


def _say(finding: Finding, part: str, language: Language) -> str:
    return language.say(f"finding.{finding.key}.{part}", **finding.values)
