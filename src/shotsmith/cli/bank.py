"""`shotsmith bank`: which demonstrations of a run's bank help and harm, and which to mend, drop or collect."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shotsmith.cli.options import Json, Quiet, RunFolder, print_json
from shotsmith.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from shotsmith.cli.console import Console
    from shotsmith.runs import Run
    from shotsmith.worth.bank import BankWorth
    from shotsmith.worth.value import Value

_TITLES = {
    "mend": "Likely wrong answers",
    "drop": "Harmful, though the answer is not likely wrong",
    "useful": "Most useful",
    "most_shown": "Shown most",
}
_QUESTION = 44
"""Characters of a question in a table."""
_ANSWER = 24
_NARROW = 6
"""The least width of a column of text in a narrow terminal."""


def bank(
    run: RunFolder,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="Entries in each list.")] = 10,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.csv|.jsonl", help="Write one row per entry, all of them.")
    ] = None,
    ask: Annotated[
        int, typer.Option(min=0, help="Ask the run's VLM again without each of the N entries most in question.")
    ] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say which demonstrations help and harm: what to mend, drop or collect.

    Reads a finished run: its prompts and answers, its results, its embeddings. The value of an entry is the score with
    it minus the score without it on the same queries, with a 95 % interval; lists of useful and harmful entries are
    corrected for their number (Benjamini-Hochberg, 5 %). Training and validation queries are judged by; test queries
    only count what is shown. `--ask` calls the VLM; everything else does not.

    Example: shotsmith bank runs/demo --out bank.csv
    """
    from shotsmith.runs import Run
    from shotsmith.worth.bank import bank_worth
    from shotsmith.worth.told import overview, sentences

    if out is not None and out.suffix.lower() not in (".csv", ".jsonl"):
        raise InputError("is neither .csv nor .jsonl", file=out, field="--out")
    opened = Run.open(run)
    worth = bank_worth(opened)
    asked = _ask(opened, worth, ask, quiet or as_json) if ask else {}
    if out is not None:
        _write(worth, asked, out)
    if as_json:
        told = overview(worth, number) | {"sentences": list(sentences(worth))}
        print_json(told | ({"leave_one_out": [_asked(worth, row, one) for row, one in asked.items()]} if ask else {}))
    elif not quiet:
        _print(worth, asked, number, out)


def _ask(run: Run, worth: BankWorth, number: int, quiet: bool) -> dict[int, Value]:
    """Leave out the entries that most speaks against, then those shown most."""
    from shotsmith.cli.terminal import listening
    from shotsmith.experiment.leave_one_out import leave_one_out
    from shotsmith.experiment.parts import Parts

    if run.recipe.rollouts.imported is not None:
        raise InputError("the rollouts are imported: there is no VLM to ask", field="--ask")
    rows = list(dict.fromkeys([*worth.harmful, *worth.mend, *worth.most_shown]))
    rows = [row for row in rows if worth.shown[row].train + worth.shown[row].val > 1][:number]
    if not rows:
        raise InputError("no entry has been shown to two training or validation queries", field="--ask")
    with run.lock(), listening(quiet) as progress, Parts(run.recipe, run, progress) as parts, parts.explaining():
        return leave_one_out(parts, worth, rows)


def _asked(worth: BankWorth, row: int, value: Value) -> dict[str, Any]:
    from dataclasses import asdict

    return {"row": row, "id": worth.asked.bank[row].id, **asdict(value)}


def _write(worth: BankWorth, asked: Mapping[int, Value], out: Path) -> None:
    import csv
    import json

    from shotsmith.files import replacing
    from shotsmith.worth.told import entry, flat

    entries = [entry(worth, row) for row in range(len(worth.asked.bank))]
    if asked:
        for told in entries:
            value = asked.get(told["row"])
            told["asked_value"] = None if value is None else value.value
            told["asked_adjusted_p"] = None if value is None else value.adjusted
    with replacing(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        if out.suffix.lower() == ".jsonl":
            stream.writelines(json.dumps(told, ensure_ascii=False) + "\n" for told in entries)
        else:
            rows = [flat(told) for told in entries]
            writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in rows for key in row)))
            writer.writeheader()
            writer.writerows(rows)


def _print(worth: BankWorth, asked: Mapping[int, Value], number: int, out: Path | None) -> None:
    from shotsmith.cli.console import Console
    from shotsmith.visible import visible_line
    from shotsmith.worth.told import sentences

    console = Console(highlight=False, markup=False)
    shown = sum(1 for one in worth.shown if one.total or one.selectors)
    console.print(
        f"{worth.asked.run.folder}: a bank of {len(worth.asked.bank):,} entries, {shown:,} of them shown. "
        f"Values are estimated from {len(worth.asked.judged[0]):,} prompts of {worth.judged_on} queries.",
        soft_wrap=True,
    )
    if worth.judged_on == "test":
        console.print(
            "This run has no log of prompts, so that its test queries stand in: do not report an accuracy on the same "
            "queries after dropping entries by it.",
            style="yellow",
            soft_wrap=True,
        )
    console.print()
    for line in sentences(worth):
        console.print(visible_line(line), soft_wrap=True)
    for name, title in _TITLES.items():
        if rows := getattr(worth, name)[:number]:
            console.print()
            console.print(f"{title} ({len(getattr(worth, name)):,})", style="bold")
            console.print(_entries(worth, rows, asked, console.width, suggested=name == "mend"))
    _print_groups(worth, console)
    _print_regions(worth, number, console)
    if out is not None:
        console.print(f"\n{out}: {len(worth.asked.bank):,} rows", soft_wrap=True)


def _entries(worth: BankWorth, rows: Sequence[int], asked: Mapping[int, Value], room: int, *, suggested: bool) -> Table:
    from shotsmith.visible import visible_line
    from shotsmith.worth.told import value_text

    labels = worth.labels
    headings = ["id", "question", "answer"]
    headings += ["similar say"] if suggested and labels is not None else []
    headings += ["wrong"] if labels is not None else []
    headings += ["shown", "value [95 %]"]
    headings += ["left out [95 %]"] if asked else []
    lines = []
    for row in rows:
        example = worth.asked.bank[row]
        cells = [str(example.id), visible_line(example.question)[:_QUESTION], visible_line(example.answer)[:_ANSWER]]
        if suggested and labels is not None:
            cells.append(visible_line(labels.suggested[row])[:_ANSWER])
        if labels is not None:
            cells.append(f"{100 * labels.wrong[row]:.0f} %")
        cells += [f"{worth.shown[row].total:,}", value_text(worth.values.get(row))]
        if asked:
            cells.append(value_text(asked.get(row)))
        lines.append(cells)
    return _table(headings, lines, room, texts={"question", "answer", "similar say"})


def _table(
    headings: Sequence[str],
    lines: Sequence[Sequence[str]],
    room: int,
    *,
    texts: Collection[str],
    bold: Collection[int] = (),
) -> Table:
    """A table of at most `room` characters a line: columns of text are shortened, then left out; figures stay whole."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    widths = [max([len(heading), *(len(line[place]) for line in lines)]) for place, heading in enumerate(headings)]
    wide = [place for place, heading in enumerate(headings) if heading in texts]
    kept = list(range(len(headings)))
    while wide and sum(widths[place] + 2 for place in kept) > room:
        longest = max(wide, key=lambda place: widths[place])
        if widths[longest] > _NARROW:
            widths[longest] -= 1
        else:
            kept.remove(wide.pop())
    for place in kept:
        justify: Literal["left", "right"] = "left" if headings[place] in texts else "right"
        table.add_column(headings[place], justify=justify, overflow="ellipsis", no_wrap=True, width=widths[place])
    for number, line in enumerate(lines):
        table.add_row(*(Text(line[place]) for place in kept), style="bold" if number in bold else "")
    return table


def _print_groups(worth: BankWorth, console: Console) -> None:
    from shotsmith.visible import visible_line
    from shotsmith.worth.told import value_text

    if not worth.groups:
        return
    lines = []
    for group in worth.groups:
        wrong = "-" if group.wrong is None else f"{100 * group.wrong:.0f} %"
        name = f"{group.attribute}: {visible_line(group.name)}"
        lines.append((name, f"{group.entries:,}", wrong, value_text(group.value)))
    worse = [place for place, group in enumerate(worth.groups) if group.worse]
    console.print()
    console.print("Groups of entries", style="bold")
    console.print(
        _table(("group", "entries", "wrong", "value [95 %]"), lines, console.width, texts={"group"}, bold=worse)
    )


def _print_regions(worth: BankWorth, number: int, console: Console) -> None:
    from shotsmith.visible import visible_line

    if not worth.collect:
        return
    lines = []
    for region in worth.collect[:number]:
        score = f"{region.accuracy:.1f} [{region.low:.1f}, {region.high:.1f}]"
        asks = visible_line("; ".join(region.questions))
        lines.append((str(len(region.queries)), score, f"{region.near:.1f}", asks))
    console.print()
    console.print(f"Regions to collect examples for ({len(worth.collect):,})", style="bold")
    console.print(
        _table(("queries", "score [95 %]", "near entries", "they ask"), lines, console.width, texts={"they ask"})
    )
