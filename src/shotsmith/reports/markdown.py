"""The report as Markdown."""

from __future__ import annotations

import re

import jinja2

from shotsmith.reports.content import Content
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
    environment.filters |= {"plain": plain, "table": table}
    text = environment.get_template("report.md.j2").render(c=content, data=content.data, t=content.language)
    return re.sub(r"\n{3,}", "\n\n", text)


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def table(value: Table) -> str:
    """A pipe table; rows that stand out are bold."""
    rules = (":---" if place in value.text_columns else "---:" for place in range(len(value.headings)))
    rows = [_row(value.headings), "| " + " | ".join(rules) + " |"]
    for place, cells in enumerate(value.rows):
        strong = place in value.strong
        rows.append(_row(tuple(f"**{cell}**" if strong else cell for cell in cells), escape=not strong))
    return "\n".join(rows)


def _row(cells: tuple[str, ...], escape: bool = True) -> str:
    return "| " + " | ".join(_cell(cell) if escape else cell for cell in cells) + " |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
