"""What a report begins with: the verdict, the figures it rests on, and what a reader has to know beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass

from shotsmith.diagnosis.finding import SEVERITIES
from shotsmith.evaluation.contrasts import sign_of
from shotsmith.reports import judgement
from shotsmith.reports.data import ReportData
from shotsmith.reports.diagnosed import tally
from shotsmith.reports.facts import Facts
from shotsmith.reports.language import Language
from shotsmith.reports.numbers import duration


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline figure."""

    value: str
    label: str
    note: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The first section of a report."""

    verdict: str
    """What to do, in one sentence."""
    alternatives: tuple[str, ...]
    """The best alternative, or what else follows from the verdict."""
    tiles: tuple[Tile, ...]
    notes: tuple[str, ...]
    """What went wrong, and anything else the reader should know."""
    previews: dict[str, str]
    """What a folded section comes to, by its name."""


def overview(found: Facts, data: ReportData, language: Language) -> Overview:
    """Say what the run comes to."""
    verdict, *alternatives = (language.state(statement) for statement in judgement.verdict(found))
    return Overview(
        verdict=verdict,
        alternatives=tuple(alternatives),
        tiles=tuple(_tiles(found, language)),
        notes=tuple(_notes(found, data, language)),
        previews=dict(_previews(found, data, language)),
    )


def headline(found: Facts, language: Language) -> str:
    """The verdict with its figures in one line, selectors called as on the command line: the last line of `run`."""
    said = judgement.line(found)
    return language.sentences(language.quote(statement.key, **statement.values) for statement in said)


def _tiles(found: Facts, language: Language) -> Iterator[Tile]:
    """The difference from the best free selector first, then what it is made of."""
    accuracy, free = found.accuracy(found.trained), found.accuracy(found.best_free)
    if accuracy is None or found.trained is None:
        return
    contrast = found.contrast(found.trained, found.best_free)
    if contrast is not None:
        note = language.say("tile.interval_open" if sign_of(contrast) == "open" else "tile.interval_signed", **contrast)
        yield Tile(f"{contrast['difference']:+.1f}", language.say("tile.gain", free=found.best_free), note)
    label = language.say("tile.accuracy", policy=found.trained)
    yield Tile(language.say("tile.value", **accuracy), label, language.say("tile.interval", **accuracy))
    if free is not None:
        label = language.say("tile.free", free=found.best_free)
        yield Tile(language.say("tile.value", **free), label, language.say("tile.interval", **free))


def _notes(found: Facts, data: ReportData, language: Language) -> Iterator[str]:
    if found.is_log:
        yield from _best(found, language)
    if data.findings and any(finding.severity in SEVERITIES[:2] for finding in data.findings):
        yield tally(data.findings, language)
    if data.failures:
        yield language.say("summary.failures", failures=data.failures)
    if data.shortened is not None:
        total, left_out, without_image = astuple(data.shortened)
        values = {"left_out": left_out, "without_image": without_image, "demonstrations": total}
        yield language.say("summary.shortened", **values)
    yield from data.notes


def _previews(found: Facts, data: ReportData, language: Language) -> Iterator[tuple[str, str]]:
    for said in _best(found, language):
        yield "checkpoints", said
    if trend := next(iter(found.trends.values()), None):
        values = {"column": trend.column, "first": trend.first, "last": trend.last}
        yield "trends", language.say("trends.preview", **values)
    if not found.is_log:
        done, planned = (sum(getattr(phase, name) or 0 for phase in found.phases) for name in ("done", "planned"))
        yield "ran", language.say("summary.epochs", done=done, planned=planned, seeds=len(found.recipe["seeds"]))
    stages = data.shown["stages"]
    if stages:
        seconds, calls, hits = (sum(s[key] for s in stages) for key in ("seconds", "vlm_calls", "cache_hits"))
        yield "cost", language.say("summary.cost", duration=duration(seconds), calls=calls, hits=hits)


def _best(found: Facts, language: Language) -> Iterator[str]:
    """The best epoch of a run by validation reward; of a log by each criterion that it has."""
    for criterion, rows in found.best.items():
        if rows and (found.is_log or criterion == "val_reward"):
            values = {key: rows[0][key] for key in ("epoch", "phase", "seed")}
            yield language.say("summary.best", criterion=criterion, value=rows[0][criterion], **values)
