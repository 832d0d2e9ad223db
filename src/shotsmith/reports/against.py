"""The comparison with another run: what was set otherwise, and what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from shotsmith.checkpoints.ranking import rank
from shotsmith.reports.data import Against
from shotsmith.reports.facts import Facts, Row, facts
from shotsmith.reports.language import Language, Statement
from shotsmith.reports.numbers import figures, p_value, setting, short
from shotsmith.reports.tables import ALL_COLUMNS, Table
from shotsmith.runs.showing import CRITERIA


@dataclass(frozen=True, slots=True)
class Compared:
    """The section's sentences and tables; None where one of the two runs lacks what a table needs."""

    this: str
    other: str
    facts: Facts
    """Of the other run."""
    intro: str
    settings_intro: str
    settings: Table | None
    test_intro: str
    judged: tuple[str, ...]
    test: Table | None
    test_by_shots: Table | None
    best_intro: str
    best: Table | None
    trends: Table | None
    differences: tuple[Row, ...]
    """This run minus the other, of every selector of both; mean over the shots."""


def run_names(this: Facts, other: Facts) -> tuple[str, str]:
    """What the two are called: their names, or their folders where these are the same."""
    if this.name != other.name:
        return this.name, other.name
    return this.folder, other.folder if other.folder != this.folder else f"{other.folder} (2)"


def compared(found: Facts, against: Against, language: Language) -> Compared:
    """Say everything that follows from the two."""
    other = facts(against.shown)
    names = this_name, other_name = run_names(found, other)
    rows = _rows(against)
    means = [row for row in rows if row["shots"] == "mean"]
    by_shots = [row for row in rows if row["shots"] != "mean"]
    best = _best(found, other)
    settings = _settings(found, other, names, language)
    return Compared(
        this=this_name,
        other=other_name,
        facts=other,
        intro=language.say("against.intro", this=this_name, other=other_name, folder=other.folder),
        settings_intro=_settings_intro(found, other, settings, language),
        settings=settings,
        test_intro=_test_intro(rows, names, language),
        judged=tuple(language.state(_judged(row, names)) for row in means),
        test=_test(means, found, other, names, language) if means else None,
        test_by_shots=_test(by_shots, found, other, names, language) if by_shots else None,
        best_intro=language.say("against.best_intro", criterion=best[0]) if best else "",
        best=_best_table(best[1], best[2], names, language) if best else None,
        trends=_trends(found, other, names, language),
        differences=tuple(means),
    )


def _rows(against: Against) -> list[Row]:
    """The differences, with the selector on either side."""
    found = against.comparison.rows if against.comparison else ()
    return [{**asdict(row), "selector": _selector(row.a), "other_selector": _selector(row.b)} for row in found]


def _selector(name: str) -> str:
    """Of 'run: selector'."""
    return name.rpartition(": ")[2]


def _settings_intro(found: Facts, other: Facts, table: Table | None, language: Language) -> str:
    if found.is_log or other.is_log:
        return language.say("against.log_settings" if table else "against.no_settings")
    return language.say("against.settings_intro" if table else "against.same_settings")


def _settings(found: Facts, other: Facts, names: tuple[str, str], language: Language) -> Table | None:
    """Of a log only some settings are known: what the one does not know is no difference."""
    mine, others = found.settings, other.settings
    known = mine.keys() & others.keys() if found.is_log or other.is_log else mine.keys() | others.keys()
    keys = [key for key in {**mine, **others} if key in known - {"name"} and mine.get(key) != others.get(key)]
    rows = tuple((key, setting(mine.get(key)), setting(others.get(key))) for key in keys)
    return Table((language.say("configuration.column.setting"), *names), rows, frozenset({0, 1, 2})) if rows else None


def _test_intro(rows: list[Row], names: tuple[str, str], language: Language) -> str:
    if not rows:
        return language.say("against.no_test")
    return language.say("against.test_intro", this=names[0], other=names[1], n=max(row["n"] for row in rows))


def _judged(row: Row, names: tuple[str, str]) -> Statement:
    sign = "open" if not row["decided"] else "better" if row["difference"] > 0 else "worse"
    p = p_value(row["p"])
    said_p = p if p.startswith("<") else f"= {p}"
    return Statement(f"against.{sign}", {**row, "p": said_p, "this": names[0], "other": names[1]})


def _test(rows: list[Row], found: Facts, other: Facts, names: tuple[str, str], language: Language) -> Table:
    headings = ("selector", "shots", "difference", "interval", "p", "detectable")
    first, second, *rest = (language.say(f"against.column.{name}") for name in headings)
    cells = tuple(
        (
            *(_pair(row, language), language.name(str(row["shots"]))),
            _accuracy(found.accuracy(row["selector"], row["shots"])),
            _accuracy(other.accuracy(row["other_selector"], row["shots"])),
            *(f"{row['difference']:+.1f}", language.interval(row["low"], row["high"]), p_value(row["p"])),
            f"{row['detectable']:.1f}",
        )
        for row in rows
    )
    return Table((first, second, *names, *rest), cells)


def _pair(row: Row, language: Language) -> str:
    here, there = language.name(row["selector"]), language.name(row["other_selector"])
    return here if here == there else f"{here} / {there}"


def _accuracy(cell: Row | None) -> str:
    return "-" if cell is None else f"{cell['accuracy']:.1f}"


def _best(found: Facts, other: Facts) -> tuple[str, Row, Row] | None:
    """The first criterion that ranks the epochs of the last phase of both, and the best epoch of each."""
    phase = found.last_phase if found.last_phase == other.last_phase else None
    for criterion in CRITERIA:
        best = [
            rank((row for row in run.shown["epochs"] if phase in (None, row["phase"])), criterion, 1)
            for run in (found, other)
        ]
        if all(best):
            return criterion, best[0][0], best[1][0]
    return None


def _best_table(mine: Row, others: Row, names: tuple[str, str], language: Language) -> Table:
    rows = [(language.name(key), str(mine[key]), str(others[key]), "") for key in ("seed", "epoch")]
    rows.insert(1, (language.name("phase"), language.name(mine["phase"]), language.name(others["phase"]), ""))
    for column in ALL_COLUMNS[3:]:
        here, there = mine[column], others[column]
        if here is not None or there is not None:
            known = isinstance(here, int | float) and isinstance(there, int | float)
            change = short(here - there, signed=True) if known else "-"
            ours, theirs = figures((here, there))
            rows.append((language.name(column), ours, theirs, change))
    headings = (language.say("best.column.metric"), *names, language.say("against.column.change"))
    return Table(headings, tuple(rows))


def _trends(found: Facts, other: Facts, names: tuple[str, str], language: Language) -> Table | None:
    rows = tuple(
        (
            language.name(column),
            *(
                language.say(
                    "against.trend",
                    first=short(run.trends[column].first),
                    last=short(run.trends[column].last),
                    lowest=short(run.trends[column].lowest[1]),
                    highest=short(run.trends[column].highest[1]),
                )
                for run in (found, other)
            ),
        )
        for column in found.trends
        if column in other.trends
    )
    return Table((language.say("best.column.metric"), *names), rows, frozenset({0, 1, 2})) if rows else None
