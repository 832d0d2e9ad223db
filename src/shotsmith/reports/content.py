"""Everything a report says, in one language, before it is laid out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shotsmith.evaluation.copying import copying_statements
from shotsmith.recipe.evaluation import CONFIDENCE, ORACLE_NEAREST
from shotsmith.reports import judgement, steps, tables
from shotsmith.reports.against import Compared, compared
from shotsmith.reports.data import Pointing, ReportData, ShownMost
from shotsmith.reports.diagnosed import Diagnosed, diagnosed, tally
from shotsmith.reports.facts import Facts, Row, Trend, facts
from shotsmith.reports.kinds import MOST_KINDS
from shotsmith.reports.language import Language, Statement
from shotsmith.reports.overview import Overview, overview
from shotsmith.reports.tables import Table
from shotsmith.runs import PHASES

SECTIONS = (
    *("summary", "test", "kinds", "against", "gallery", "pointing", "diagnosis", "judgement", "next"),
    *("checkpoints", "metrics", "trends", "ran", "cost"),
)
"""Of a whole report, in order."""

FOLDED = ("checkpoints", "metrics", "trends", "ran", "cost")
"""Those that are folded as soon as the test queries are answered: until then training is all there is to read."""


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
    sections: tuple[str, ...]
    """Those of SECTIONS that this report has."""
    overview: Overview
    ran: str
    phases: Table
    configuration: Table | None
    best_ten: tuple[tuple[str, Table], ...]
    best: Table | None
    best_checkpoint: str
    test_intro: str
    test_notes: tuple[str, ...]
    """How often the test queries were looked at, how many demonstrations a policy that may stop shows, and which
    metrics give the same figures."""
    test: Table | None
    other_metrics: tuple[tuple[str, Table], ...]
    kinds: Table | None
    kinds_intro: str
    recall_intro: str
    recall: tuple[tuple[str, Table], ...]
    """Headings and tables of where points are lost: by selector, and by kind of question."""
    contrasts: Table | None
    """The means over the shots."""
    contrasts_by_shots: Table | None
    against: Compared | None
    trends_intro: str
    trends: tuple[str, ...]
    diagnosis: tuple[Diagnosed, ...] | None
    """None where it was not asked for."""
    diagnosis_tally: str
    strengths: tuple[str, ...]
    weaknesses: tuple[str, ...]
    steps: tuple[Step, ...]
    gallery_intro: str
    shown_most_intro: str
    shown_most: Table | None
    copying: tuple[str, ...]
    """How often answers repeat a demonstration, and whether the last one counts more."""
    pointing: tuple[str, ...]
    cost: Table | None
    environment: str
    epochs: Table | None


def content(data: ReportData, language: Language) -> Content:
    """Say everything that follows from the data."""
    found = facts(data.shown)
    language = language.measured_by(found.metric)
    best = found.best["val_reward"] or found.best["val_loss"]
    means = [row for row in data.shown["contrasts"] if row["shots"] == "mean"]
    by_shots = [row for row in data.shown["contrasts"] if row["shots"] != "mean"]
    findings = None if data.findings is None else diagnosed(data.findings, language)
    strengths, weaknesses = (_beside_verdict(said, found) for said in judgement.judge(found, data.findings or ()))
    test = tables.test(found, found.test, language) if found.test else None
    others = {metric: tables.test(found, cells, language) for metric, cells in found.other_metrics.items()}
    same = [metric for metric, table in others.items() if test and table.rows == test.rows]
    return Content(
        facts=found,
        data=data,
        language=language,
        sections=_sections(found, data, bool(strengths or weaknesses)),
        overview=overview(found, data, language),
        ran=_ran(found, language),
        phases=tables.phases(found, language),
        configuration=tables.configuration(found, language),
        best_ten=tuple(
            (criterion, tables.epochs(rows, language, tables.columns(found, tables.EPOCH_COLUMNS)))
            for criterion, rows in _ranked(found)
        ),
        best=tables.best(best[0], language, not found.is_log) if best else None,
        best_checkpoint=_checkpoint(found.folder, best[0]) if best and not found.is_log else "",
        test_intro=_test_intro(found, language),
        test_notes=(
            *_test_notes(found, language),
            *(language.say("test.same_figures", metric=metric) for metric in same),
        ),
        test=test,
        other_metrics=tuple((language.name(metric), others[metric]) for metric in others if metric not in same),
        kinds=tables.kinds(data.kinds, found, language) if data.kinds else None,
        kinds_intro=language.say("kinds.intro", free=found.best_free, policy=found.trained)
        if data.kinds
        else language.say("kinds.none"),
        recall_intro=_recall_intro(found, language),
        recall=tuple(_recall(found, language)),
        contrasts=tables.contrasts(means, language) if means else None,
        contrasts_by_shots=tables.contrasts(by_shots, language) if by_shots else None,
        against=compared(found, data.against, language) if data.against else None,
        trends_intro=_trends_intro(found, language),
        trends=tuple(_trend(trend, language, not found.is_log) for trend in found.trends.values()),
        diagnosis=findings,
        diagnosis_tally=tally(data.findings, language) if data.findings is not None else "",
        strengths=tuple(language.state(statement) for statement in strengths),
        weaknesses=tuple(language.state(statement) for statement in weaknesses),
        steps=tuple(
            Step(language.state(step.why), step.command) for step in steps.next_steps(found, data.findings or ())
        ),
        gallery_intro=_gallery_intro(data, language),
        shown_most_intro=_shown_most_intro(data.shown_most, language),
        shown_most=tables.shown_most(data.shown_most, language) if data.shown_most else None,
        copying=_copying(data, language),
        pointing=tuple(_pointing(pointing, language) for pointing in data.pointing if sum(pointing.counts)),
        cost=tables.cost(found, language) if data.shown["stages"] else None,
        environment=_environment(data.environment, language),
        epochs=tables.epochs(data.shown["epochs"], language, tables.columns(found, tables.ALL_COLUMNS))
        if data.shown["epochs"]
        else None,
    )


def pointing_band(pointing: Pointing) -> int:
    """How many counts the sentence on a pointing speaks of: an eighth of the pool, or the first part of a bank."""
    return 1 if pointing.candidates else max(1, len(pointing.counts) // 8)


def _sections(found: Facts, data: ReportData, judged: bool) -> tuple[str, ...]:
    """A run's report says of every section what is still missing; a log's has only those that it can fill."""
    absent = set()
    if data.against is None:
        absent.add("against")
    if data.findings is None:
        absent.add("diagnosis")
    if not data.kinds and not found.shown.get("recall"):
        absent.add("kinds")
    if not any(found.best.values()):
        absent.add("metrics")
    if found.is_log:
        absent |= {"test", "gallery", "pointing", "cost"} | (set() if judged else {"judgement"})
    return tuple(name for name in SECTIONS if name not in absent)


def _beside_verdict(said: list[Statement], found: Facts) -> list[Statement]:
    """Without the comparison with the best free selector, with which every report begins."""
    return [one for one in said if not (one.key.startswith("contrast.") and one.values.get("b") == found.best_free)]


def _ranked(found: Facts) -> list[tuple[str, tuple[Row, ...]]]:
    return [(criterion, rows) for criterion, rows in found.best.items() if rows or not found.is_log]


def _ran(found: Facts, language: Language) -> str:
    if found.is_log:
        return language.quote("ran.log", file=found.folder)
    said = [language.say("ran.unfinished" if found.unfinished else "ran.finished")]
    return language.sentences([*said, *_left_out(found, language)])


def _left_out(found: Facts, language: Language) -> Iterator[str]:
    for name, why in found.left_out.items():
        yield language.say(f"left_out.{why}", column=name)


def _test_notes(found: Facts, language: Language) -> Iterator[str]:
    times = len(found.shown.get("evaluations", ()))
    if found.test and times > 1:
        yield language.say("test.evaluated", times=times)
    for selector, cells in found.test.items():
        if selector not in PHASES:
            continue
        shown = {shots: row.get("demonstrations", shots) for shots, row in cells.items() if shots != "mean"}
        if any(number < shots for shots, number in shown.items()):
            numbers = (language.say("test.stops.part", shown=n, shots=shots) for shots, n in sorted(shown.items()))
            yield language.say("test.stops", policy=selector, numbers=language.say("list.comma").join(numbers))


def _recall_intro(found: Facts, language: Language) -> str:
    missed = found.recall_of(found.trained or "mixed")
    if missed is None:
        return ""
    key = "test.recall_pools" if found.recipe["pools"] else "test.recall"
    return language.say(key, selector=missed["selector"], **_points(missed, found))


def _recall(found: Facts, language: Language) -> Iterator[tuple[str, Table]]:
    means = [row for row in found.shown.get("recall", ()) if row["shots"] == "mean"]
    if means:
        named = {language.name(row["selector"]): row for row in means}
        yield language.say("heading.recall"), tables.recall(named, language.say("test.column.selector"), language)
    kinds = (found.recall_of(found.trained) or {}).get("kinds", {})
    if 1 < len(kinds) <= MOST_KINDS:
        heading = language.say("heading.recall_kinds", policy=found.trained)
        yield heading, tables.recall(kinds, language.say("recall.column.kind"), language)


def _points(missed: Row, found: Facts) -> dict[str, float]:
    names = ("accuracy", "oracle", "retrieval", "choice")
    return {**{name: missed[name] for name in names}, "size": ORACLE_NEAREST}


def _checkpoint(folder: str, row: Row) -> str:
    return f"{folder}/seed-{row['seed']}/{row['phase']}/epoch-{row['epoch']:03d}"


def _test_intro(found: Facts, language: Language) -> str:
    if found.metric is None and "evaluate" in found.left_out:
        return language.say(f"left_out.{found.left_out['evaluate']}", column="evaluate")
    if found.metric is None:
        return language.say("test.none")
    queries = max(row["n"] for cells in found.test.values() for row in cells.values())
    return language.say("test.intro", metric=found.metric, n=queries, confidence=100 * CONFIDENCE)


def _trends_intro(found: Facts, language: Language) -> str:
    if found.last_phase is None:
        return language.say("trends.none")
    seeds = sorted({row["seed"] for row in found.shown["epochs"] if row["phase"] == found.last_phase})
    key = "trends.intro" if len(seeds) > 1 else "trends.intro_one"
    return language.say(key, phase=found.last_phase, seeds=", ".join(str(seed) for seed in seeds))


def _trend(trend: Trend, language: Language, noted: bool) -> str:
    key = f"trend.{trend.direction}" if len(trend.values) > 1 else "trend.one"
    said = [language.say(key, column=trend.column, first=trend.first, last=trend.last)]
    (lowest_epoch, lowest), (highest_epoch, highest) = trend.lowest, trend.highest
    if not {lowest_epoch, highest_epoch} <= {trend.values[0][0], trend.values[-1][0]}:
        values = {"lowest": lowest, "highest": highest, "lowest_epoch": lowest_epoch, "highest_epoch": highest_epoch}
        said.append(language.say("trend.range", **values))
    note = language.text.get(f"trend.note.{trend.column}") if noted else None
    return language.sentences([*said, note] if note else said)


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


def _shown_most_intro(shown: ShownMost | None, language: Language) -> str:
    if shown is None:
        return language.say("pointing.none")
    values = {name: getattr(shown, name) for name in ("shots", "distinct", "bank", "queries")}
    return language.say("shown_most.intro", policy=shown.selector, **values)


def _copying(data: ReportData, language: Language) -> tuple[str, ...]:
    if data.shown_most is None:
        return ()
    said = copying_statements(data.shown.get("copying", ()), data.shown_most.selector)
    return tuple(language.say(key, **values) for key, values in said)


def _pointing(pointing: Pointing, language: Language) -> str:
    size, band, total = len(pointing.counts), pointing_band(pointing), sum(pointing.counts)
    values = {"top": 100 * sum(pointing.counts[:band]) / total, "chance": 100 * band / size}
    band, size = (round(number * pointing.per_count) for number in (band, size))
    return language.say("pointing.sentence", measure=pointing.measure, band=band, size=size, **values)


def _environment(environment: Mapping[str, object] | None, language: Language) -> str:
    if environment is None:
        return ""
    line = language.say("environment.line", **{key: environment[key] for key in ("python", "platform", "cpus")})
    commit = environment.get("git_commit")
    return language.sentences([line, language.say("environment.commit", commit=commit)]) if commit else line
