"""The report as Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import jinja2

from shotsmith.reports.content import FOLDED, Content
from shotsmith.reports.tables import Table

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~])")


def markdown(content: Content) -> str:
    """Lay the content out. Text of others (questions, answers) is escaped, so that it cannot become markup."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("shotsmith.reports"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"plain": plain, "table": table, "plain_table": plain_table}
    template = environment.get_template("report.md.j2")
    folded = FOLDED if content.test else ()
    text = template.render(c=content, data=content.data, t=content.language, folded=folded)
    return re.sub(r"\n{3,}", "\n\n", text)


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def table(value: Table) -> str:
    """A pipe table; rows that stand out are bold."""
    return _table(value, _cell)


def plain_table(value: Table) -> str:
    """The same where the first column holds text of others."""
    return _table(value, plain)


def _table(value: Table, first: Callable[[str], str]) -> str:
    rules = (":---" if place in value.text_columns else "---:" for place in range(len(value.headings)))
    lines = [_row([_cell(heading) for heading in value.headings]), "| " + " | ".join(rules) + " |"]
    for place, (name, *cells) in enumerate(value.rows):
        written = [first(name), *(_cell(cell) for cell in cells)]
        lines.append(_row([f"**{cell}**" for cell in written] if place in value.strong else written))
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
