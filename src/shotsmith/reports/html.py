"""The report as one HTML page that needs nothing beside itself."""

from __future__ import annotations

from collections import Counter
from importlib import resources

import jinja2
from markupsafe import Markup

from shotsmith.recipe import dump_recipe, parse_recipe
from shotsmith.reports import curves, tables
from shotsmith.reports.content import FOLDED, Content
from shotsmith.reports.data import CHANGES
from shotsmith.reports.dumbbells import dumbbells
from shotsmith.reports.forest import Forest, forest
from shotsmith.reports.pictures import data_url

FIRST_ROWS = 6
"""Queries of the gallery that are shown before it is unfolded."""


def html(content: Content) -> str:
    """Lay the content out as a page: styles, script, charts and images are all inside it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("shotsmith.reports"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"data_url": data_url, "svg": Markup, "tally": tally, "interval_apart": interval_apart}
    facts, language, data = content.facts, content.language, content.data
    shown = facts.test
    few = tables.columns(facts, tables.EPOCH_COLUMNS if facts.is_log else tables.FEW_COLUMNS)
    names = (content.against.this, content.against.other) if content.against else ("", "")
    rows = data.gallery.rows if data.gallery else ()
    return environment.get_template("report.html.j2").render(
        c=content,
        data=data,
        t=language,
        style=Markup(_asset("report.css")),
        script=Markup(_asset("report.js")),
        accuracy_wide=curves.accuracy_chart(facts, language, curves.WIDE) if shown else "",
        accuracy_narrow=curves.accuracy_chart(facts, language, curves.NARROW) if shown else "",
        best=[(criterion, tables.epochs(facts.best[criterion], language, few)) for criterion, _ in content.best_ten],
        contrasts=_contrasts(content),
        differences=_differences(content),
        both_curves=curves.both_curves(facts, content.against.facts, names, language) if content.against else [],
        kinds=dumbbells(data.kinds, language),
        curves=curves.learning_curves(facts, language),
        pointing=[curves.pointing_chart(one, language) for one in data.pointing if sum(one.counts)],
        gallery=rows,
        first_rows=FIRST_ROWS,
        count_text=tables.count_text,
        changes=[(change, sum(row.change == change for row in rows)) for change in CHANGES],
        folded=FOLDED if content.test else (),
        recipe="" if facts.is_log else dump_recipe(parse_recipe(facts.recipe)),
    )


def tally(answers: tuple[str, ...]) -> list[tuple[str, int]]:
    """Distinct answers with their counts, the most frequent first."""
    return Counter(answers).most_common()


def interval_apart(cell: str) -> Markup | str:
    """A cell with its interval in an element of its own, which a narrow page puts below the figure."""
    if not cell.endswith("]") or " [" not in cell:
        return cell
    value, interval = cell.split(" [", 1)
    return Markup('{} <span class="within">[{}</span>').format(value, interval)


def _contrasts(content: Content) -> Forest | None:
    language = content.language
    rows = [
        (language.say("contrasts.chart.pair", a=row["a"], b=row["b"]), row)
        for row in content.data.shown["contrasts"]
        if row["shots"] == "mean"
    ]
    return forest(rows, language.say("contrasts.chart"), language)


def _differences(content: Content) -> Forest | None:
    if content.against is None:
        return None
    language = content.language
    rows = [(language.name(row["selector"]), row) for row in content.against.differences]
    caption = language.say("against.difference_chart", this=content.against.this, other=content.against.other)
    return forest(rows, caption, language)


def _asset(name: str) -> str:
    return (resources.files("shotsmith.reports") / "templates" / name).read_text(encoding="utf-8")
