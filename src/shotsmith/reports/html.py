"""The report as one HTML page that needs nothing beside itself."""

from __future__ import annotations

from collections import Counter
from importlib import resources

import jinja2
from markupsafe import Markup

from shotsmith.recipe import dump_recipe, parse_recipe
from shotsmith.reports import curves, tables
from shotsmith.reports.content import Content
from shotsmith.reports.data import CHANGES
from shotsmith.reports.pictures import data_url

SECTIONS = ("ran", "checkpoints", "test", "trends", "judgement", "next", "summary", "gallery", "pointing", "cost")


def html(content: Content) -> str:
    """Lay the content out as a page: styles, script, charts and images are all inside it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("shotsmith.reports"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"data_url": data_url, "svg": Markup, "tally": tally}
    facts, language, data = content.facts, content.language, content.data
    shown = facts.test
    rows = data.gallery.rows if data.gallery else ()
    return environment.get_template("report.html.j2").render(
        c=content,
        data=data,
        t=language,
        sections=SECTIONS,
        style=Markup(_asset("report.css")),
        script=Markup(_asset("report.js")),
        accuracy_wide=curves.accuracy_chart(facts, language, curves.WIDE) if shown else "",
        accuracy_narrow=curves.accuracy_chart(facts, language, curves.NARROW) if shown else "",
        best=[(criterion, tables.epochs(rows, language, tables.FEW_COLUMNS)) for criterion, rows in facts.best.items()],
        bars=curves.mean_bars(facts, language),
        curves=curves.learning_curves(facts, language),
        pointing=[curves.pointing_chart(one, language) for one in data.pointing if sum(one.counts)],
        gallery=rows,
        changes=[(change, sum(row.change == change for row in rows)) for change in CHANGES],
        recipe=dump_recipe(parse_recipe(facts.recipe)),
    )


def tally(answers: tuple[str, ...]) -> list[tuple[str, int]]:
    """Distinct answers with their counts, the most frequent first."""
    return Counter(answers).most_common()


def _asset(name: str) -> str:
    return (resources.files("shotsmith.reports") / "templates" / name).read_text(encoding="utf-8")
