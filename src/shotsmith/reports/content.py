"""Everything a report says, in one language, before it is laid out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shotsmith.reports import findings, tables
from shotsmith.reports.data import Pointing, ReportData
from shotsmith.reports.facts import Facts, Row, Trend, facts
from shotsmith.reports.language import Language
from shotsmith.reports.numbers import duration
from shotsmith.reports.tables import Table


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline figure."""

    value: str
    label: str
    note: str


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next, and the command."""

    why: str
    command: str


@dataclass(frozen=True, slots=True)
class Content:
    """The report's sentences and tables. A table is None where there is nothing to put into it yet."""

    facts: Facts
    data: ReportData
    language: Language
    verdict: str
    tiles: tuple[Tile, ...]
    ran: str
    phases: Table
    configuration: Table
    best_ten: tuple[tuple[str, Table], ...]
    best: Table | None
    best_checkpoint: str
    test_intro: str
    test: Table | None
    other_metrics: tuple[tuple[str, Table], ...]
    contrasts: Table | None
    """The means over the shots."""
    contrasts_by_shots: Table | None
    trends_intro: str
    trends: tuple[str, ...]
    strengths: tuple[str, ...]
    weaknesses: tuple[str, ...]
    steps: tuple[Step, ...]
    summary: tuple[str, ...]
    gallery_intro: str
    pointing: tuple[str, ...]
    cost: Table | None
    environment: str
    epochs: Table | None


def content(data: ReportData, language: Language) -> Content:
    """Say everything that follows from the data."""
    found = facts(data.shown)
    best = found.best["val_reward"] or found.best["val_loss"]
    means = [row for row in data.shown["contrasts"] if row["shots"] == "mean"]
    by_shots = [row for row in data.shown["contrasts"] if row["shots"] != "mean"]
    return Content(
        facts=found,
        data=data,
        language=language,
        verdict=language.state(findings.verdict(found)),
        tiles=tuple(_tiles(found, language)),
        ran=_ran(found, language),
        phases=tables.phases(found, language),
        configuration=tables.configuration(found, language),
        best_ten=tuple((criterion, tables.epochs(rows, language)) for criterion, rows in found.best.items()),
        best=tables.best(best[0], language) if best else None,
        best_checkpoint=_checkpoint(found.folder, best[0]) if best else "",
        test_intro=_test_intro(found, language),
        test=tables.test(found, found.test, language) if found.test else None,
        other_metrics=tuple(
            (language.name(metric), tables.test(found, cells, language))
            for metric, cells in found.other_metrics.items()
        ),
        contrasts=tables.contrasts(means, language) if means else None,
        contrasts_by_shots=tables.contrasts(by_shots, language) if by_shots else None,
        trends_intro=_trends_intro(found, language),
        trends=tuple(_trend(trend, language) for trend in found.trends.values()),
        strengths=tuple(language.state(statement) for statement in findings.strengths(found)),
        weaknesses=tuple(language.state(statement) for statement in findings.weaknesses(found)),
        steps=tuple(Step(language.state(step.why), step.command) for step in findings.next_steps(found)),
        summary=tuple(_summary(found, data, language)),
        gallery_intro=_gallery_intro(data, language),
        pointing=tuple(_pointing(pointing, language) for pointing in data.pointing if sum(pointing.counts)),
        cost=tables.cost(found, language) if data.shown["stages"] else None,
        environment=_environment(data.environment, language),
        epochs=tables.epochs(data.shown["epochs"], language, tables.ALL_COLUMNS) if data.shown["epochs"] else None,
    )


def pointing_band(pointing: Pointing) -> int:
    """How many of the most similar candidates the sentence on a pointing speaks of: an eighth of the pool."""
    return max(1, len(pointing.counts) // 8)


def _tiles(found: Facts, language: Language) -> list[Tile]:
    accuracy = found.accuracy(found.trained)
    if accuracy is None or found.trained is None:
        return []
    label = language.say("tile.accuracy", policy=found.trained)
    tiles = [Tile(f"{accuracy['accuracy']:.1f} %", label, language.say("tile.interval", **accuracy))]
    for key, other in (("tile.gain", found.best_training_free), ("tile.supervised", "supervised")):
        contrast = found.contrast(found.trained, other)
        if contrast is not None:
            note = language.say("tile.interval_signed", **contrast)
            tiles.append(Tile(f"{contrast['difference']:+.1f}", language.say(key, free=other), note))
    if found.headroom and found.gain is not None:
        note = language.say("tile.headroom_note", gain=found.gain, headroom=found.headroom)
        tiles.append(Tile(f"{100 * found.gain / found.headroom:.0f} %", language.say("tile.headroom"), note))
    return tiles


def _ran(found: Facts, language: Language) -> str:
    done = all(phase.done >= phase.planned for phase in found.phases)
    return language.say("ran.finished" if done else "ran.unfinished")


def _checkpoint(folder: str, row: Row) -> str:
    return f"{folder}/seed-{row['seed']}/{row['phase']}/epoch-{row['epoch']:03d}"


def _test_intro(found: Facts, language: Language) -> str:
    if found.metric is None:
        return language.say("test.none")
    queries = max(row["n"] for cells in found.test.values() for row in cells.values())
    confidence = 100 * found.recipe["evaluation"]["confidence"]
    return language.say("test.intro", metric=found.metric, n=queries, confidence=confidence)


def _trends_intro(found: Facts, language: Language) -> str:
    if found.last_phase is None:
        return language.say("trends.none")
    seeds = sorted({row["seed"] for row in found.shown["epochs"] if row["phase"] == found.last_phase})
    key = "trends.intro" if len(seeds) > 1 else "trends.intro_one"
    return language.say(key, phase=found.last_phase, seeds=", ".join(str(seed) for seed in seeds))


def _trend(trend: Trend, language: Language) -> str:
    key = f"trend.{trend.direction}" if len(trend.values) > 1 else "trend.one"
    said = [language.say(key, column=trend.column, first=trend.first, last=trend.last)]
    (lowest_epoch, lowest), (highest_epoch, highest) = trend.lowest, trend.highest
    if not {lowest_epoch, highest_epoch} <= {trend.values[0][0], trend.values[-1][0]}:
        values = {"lowest": lowest, "highest": highest, "lowest_epoch": lowest_epoch, "highest_epoch": highest_epoch}
        said.append(language.say("trend.range", **values))
    note = language.text.get(f"trend.note.{trend.column}")
    return " ".join([*said, note] if note else said)


def _summary(found: Facts, data: ReportData, language: Language) -> list[str]:
    done, planned = (sum(getattr(phase, name) for phase in found.phases) for name in ("done", "planned"))
    said = [language.say("summary.epochs", done=done, planned=planned, seeds=len(found.recipe["seeds"]))]
    if found.best["val_reward"]:
        best = found.best["val_reward"][0]
        values = {key: best[key] for key in ("epoch", "phase", "seed")}
        said.append(language.say("summary.best", value=best["val_reward"], **values))
    said.append(language.state(findings.verdict(found)))
    if found.headroom is not None and found.gain is not None:
        values = {"headroom": found.headroom, "gain": found.gain, "policy": found.trained}
        said.append(language.say("summary.headroom", **values))
    stages = data.shown["stages"]
    if stages:
        seconds, calls, hits = (sum(s[key] for s in stages) for key in ("seconds", "vlm_calls", "cache_hits"))
        said.append(language.say("summary.cost", duration=duration(seconds), calls=calls, hits=hits))
    if data.failures:
        said.append(language.say("summary.failures", failures=data.failures))
    return [*said, *data.notes]


def _gallery_intro(data: ReportData, language: Language) -> str:
    if data.gallery is None:
        return language.say("gallery.none")
    first, counts = data.gallery.rows[0], data.gallery.counts
    return language.say(
        "gallery.intro",
        count=len(data.gallery.rows),
        total=sum(counts.values()),
        shots=data.gallery.shots,
        before=first.before.selector,
        after=first.after.selector,
        **{str(change): number for change, number in counts.items()},
    )


def _pointing(pointing: Pointing, language: Language) -> str:
    size, band, total = len(pointing.counts), pointing_band(pointing), sum(pointing.counts)
    values = {"top": 100 * sum(pointing.counts[:band]) / total, "chance": 100 * band / size}
    return language.say("pointing.sentence", measure=pointing.measure, band=band, size=size, **values)


def _environment(environment: Mapping[str, object] | None, language: Language) -> str:
    if environment is None:
        return ""
    line = language.say("environment.line", **{key: environment[key] for key in ("python", "platform", "cpus")})
    commit = environment.get("git_commit")
    return f"{line} {language.say('environment.commit', commit=commit)}" if commit else line
