"""Evidence from a training log of Lever-Plus: a table of epochs, as text or Markdown, and whatever is around it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.errors import InputError
from shotsmith.files import Row
from shotsmith.runs.showing import columns

COLUMNS: Mapping[str, str] = {
    "epoch": "epoch",
    "train loss": "train_loss",
    "val loss": "val_loss",
    "ppo loss": "ppo_loss",
    "kl": "kl",
    "adv std": "adv_std",
    "adv max": "adv_max",
    "beta": "beta",
    "reward": "reward",
    "val reward": "val_reward",
    "entropy": "entropy",
}
"""Headings in lower case, and our names; other columns are passed over."""

OF_GRPO = frozenset({"ppo loss", "kl", "adv std", "adv max", "beta"})
"""Columns that only GRPO has."""

MISSING = {"", "-", "--", "—", "–", "...", "…", "n/a", "none"}
"""Cells that hold no figure."""

Phase = Literal["rce", "grpo"]

_HEADING = re.compile("|".join(sorted(COLUMNS, key=len, reverse=True)))
_RULE = re.compile(r"[\s|:+=─━-]+")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STAMP = re.compile(
    r"\s*(?:(?:\[[^\]]*\]|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*|\b(?:DEBUG|INFO|WARNING)\b)[\s:]*(?:[|-]\s+)?)+"
)
"""What a logging library puts before a line."""
_PROGRESS = re.compile(r"\d%\s*\|")

_NUMBER = r"[-+\N{MINUS SIGN}]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf(?:inity)?)"
_SIGN = "(?:[\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\ufe0f\U0001f000-\U0001faff]|[-=]>|<[-=])"
"""Arrows, and signs such as stars and check marks."""
_REMARK = rf"(?:\s*{_SIGN}.*|\s+[^\s\d.+\N{{MINUS SIGN}}-].*)?"
_FIGURE = re.compile(rf"(?:{_SIGN}|\s)*({_NUMBER}){_REMARK}", re.IGNORECASE)
_PLAIN = re.compile(_NUMBER, re.IGNORECASE)
_EPOCH = re.compile(rf"(?:{_SIGN}|\s)*(?:epoch\s*)?(\d+)(?:\s*/\s*\d+)?{_REMARK}", re.IGNORECASE)
_SEVERAL = re.compile(r"\d+\s*(?:[-~–—]|to)\s*\d+")


@dataclass(slots=True)
class _Table:
    """The table that is being read."""

    names: list[str]
    phase: Phase
    cells: Literal["|", ",", " "]
    """What stands between its cells; a tab counts as a comma."""
    stamped: bool
    """Whether a logging library has put something before each line."""
    rows: int = 0
    ruled_off: bool = False
    """Whether a rule stands under its rows: the next line that is no row ends it."""


def read_tables(lines: Iterable[str], path: Path) -> Iterator[tuple[Phase, Row]]:
    """Every row of every table, with the phase it belongs to. Raises InputError naming file and row (the line)."""
    table: _Table | None = None
    told: Phase = "grpo"
    for number, coloured in enumerate(lines, start=1):
        line = _COLOUR.sub("", coloured)
        if (found := _heading(line, told)) is not None:
            table = found
            continue
        told = _phase_told(line) or told
        if table is None:
            continue
        said = _unstamped(line) if table.stamped else line
        if not said.strip():
            table = None
        elif _RULE.fullmatch(said):
            table.ruled_off = table.rows > 0 and table.cells == " "
        elif (cells := _row_cells(said, table)) is not None:
            table.rows += 1
            phase, row = _row(cells, table, path, number)
            if row is not None:
                yield phase, row
        elif table.ruled_off:
            table = None


def _unstamped(line: str) -> str:
    stamp = _STAMP.match(line)
    return line[stamp.end() :] if stamp else line


def _phase_told(line: str) -> Phase | None:
    """The phase that a line of text names, where it names one of the two."""
    words = set(re.findall(r"[a-z]+", line.lower()))
    if ("rce" in words) == ("grpo" in words) or re.search(r"[A-Z]_[A-Z]", line):
        return None
    return "rce" if "rce" in words else "grpo"


def _heading(line: str, told: Phase) -> _Table | None:
    """The table that a heading begins; None where the line is no heading."""
    for stamped, text in ((False, line), (True, _unstamped(line))):
        lowered = text.replace("_", " ").lower().strip()
        cells: Literal["|", ",", " "] = "|" if "|" in lowered else "," if re.search("[\t,]", lowered) else " "
        if cells == " ":
            joined = " ".join(_words(lowered).split())
            names = _HEADING.findall(joined)
            if joined != " ".join(names):
                continue
        else:
            names = [_words(cell) for cell in _cells(lowered, cells)]
        if "epoch" in names and len(COLUMNS.keys() & names) > 1:
            phase: Phase = "grpo" if OF_GRPO.intersection(names) else told
            return _Table(names, phase, cells, stamped)
    return None


def _words(cell: str) -> str:
    """A heading without emphasis and arrows."""
    return " ".join(re.sub(r"[^\w\s]", " ", cell).split())


def _cells(line: str, between: str) -> list[str]:
    line = line.strip()
    if between == "|":
        cells = line.removeprefix("|").removesuffix("|").split("|")
    else:
        cells = re.split(r"[\t,]", line) if between == "," else line.split()
    return [re.sub(r"[*`~]|(?<!\w)_+|_+(?!\w)", "", cell).strip() for cell in cells]


def _row_cells(line: str, table: _Table) -> list[str] | None:
    """The cells of a row of the table; None where the line is none."""
    if table.cells == "|":
        return _cells(line, "|") if "|" in line and not _PROGRESS.search(line) else None
    cells, width = _cells(line, table.cells), len(table.names)
    figures = [_PLAIN.fullmatch(cell) is not None or cell.lower() in MISSING for cell in cells]
    if all(figures):
        return cells
    if not _PLAIN.fullmatch(cells[0]) or table.ruled_off:
        return None
    if table.cells == " " and len(cells) > width and all(figures[:width]):
        return None if figures[width] else cells[:width]  # a remark may stand behind the row
    # A damaged row has as many cells as any other; a sentence that begins with a number has no other figure.
    return cells if len(cells) == width and (width == 2 or any(figures[1:])) else None


def _row(cells: list[str], table: _Table, path: Path, number: int) -> tuple[Phase, Row | None]:
    names = table.names
    if len(cells) != len(names):
        raise InputError(f"has {len(cells)} cells, and the heading above it {len(names)}", file=path, row=number)
    said = dict(zip(names, cells, strict=True))
    phase = (_phase_told(said["phase"]) if "phase" in said else None) or table.phase
    place = said["epoch"]
    if all(said[name].lower() in MISSING for name in COLUMNS.keys() & said) and table.cells == "|":
        return phase, None
    if table.cells == "|" and (_SEVERAL.fullmatch(place) or not re.search(r"\d", place)):
        return phase, None  # a mean over epochs, or the like
    row: Row = {}
    for name, cell in said.items():
        if name not in COLUMNS or name == "epoch" or cell.lower() in MISSING:
            continue
        value = _value(cell)
        if value is None:
            raise InputError(f"is not a number: '{cell}'", file=path, row=number, field=name)
        if math.isfinite(value):
            row[COLUMNS[name]] = value
        else:
            row["not_finite"] = row.get("not_finite", 0) + 1
    return phase, {**row, "epoch": _epoch(place, path, number)}


def _value(cell: str) -> float | None:
    figure = _FIGURE.fullmatch(cell)
    return None if figure is None else float(figure[1].replace("\N{MINUS SIGN}", "-"))


def _epoch(cell: str, path: Path, number: int) -> int:
    """The number of '2', '2.0', 'Epoch 2', '2/50' or '2 (best)'."""
    named = _EPOCH.fullmatch(cell)
    value = float(named[1]) if named else _value(cell)
    if value is None or not math.isfinite(value) or value < 0 or value != int(value):
        raise InputError("is not a whole number", file=path, row=number, field="epoch")
    return int(value)


PREDECESSOR: Mapping[str, object] = {
    "grpo.advantage.estimator": "group",
    "grpo.advantage.standardise_rewards": True,
    "grpo.advantage.zero_variance": "keep",
    "grpo.sampling.source": "recorded",
    "grpo.sampling.keep_top": (3, 5),
    "grpo.num_iterations": 1,
    "grpo.dropout": True,
    "grpo.kl.controller": "multiplicative",
    "grpo.reference.policy": "supervised",
    "grpo.reference.old_is_reference": True,
    "grpo.best_by": "val_loss",
}
"""What its code always did, whatever its settings said; see docs/schemes.md."""

SETTINGS: Mapping[str, str] = {
    "GRPO_LR": "grpo.learning_rate",
    "GRPO_EPOCHS": "grpo.epochs",
    "KL_BETA": "grpo.beta",
    "RCE_LR": "rce.learning_rate",
    "RCE_EPOCHS": "rce.epochs",
    "HARD_WEIGHT": "reward.hard_weight",
    "SOFT_WEIGHT": "reward.soft_weight",
    "REL_WEIGHT": "reward.relevance_weight",
}
"""Its numeric settings, wherever the text names them as NAME=VALUE, and ours."""

_SETTING = re.compile(rf"\b({'|'.join(SETTINGS)})[\s*`]*[=:\uff1a][\s*`]*([-+.\deE]+)")


def evidence_of_log(path: Path, against: Evidence | None = None) -> Evidence:
    """The epochs of a log, one GRPO phase of one seed; an epoch told of twice has what was told last.

    Epochs of RCE are passed over, except in a log that has no others.

    Raises InputError naming file and row (the line) where a table is damaged, or where there is none.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError("no such run or log", file=path) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=path) from error
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", file=path) from error
    found: dict[Phase, dict[int, Row]] = {"grpo": {}, "rce": {}}
    for told, row in read_tables(_lines(text), path):
        found[told][row["epoch"]] = found[told].get(row["epoch"], {}) | row
    phase: Phase = "grpo" if found["grpo"] else "rce"
    rows = found[phase]
    if not rows:
        raise InputError(
            "holds no table of epochs (a heading 'Epoch' beside 'Val Loss', 'PPO Loss', 'KL' ...)", file=path
        )
    return Evidence(
        name=path.stem,
        epochs=tuple(columns({"seed": 0, "phase": phase, **rows[epoch]}) for epoch in sorted(rows)),
        settings={**PREDECESSOR, **_settings(text)},
        against=against,
    )


def _lines(text: str) -> list[str]:
    """The lines as a terminal shows them: a carriage return starts a line anew, as progress bars do."""
    return [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]


def _settings(text: str) -> dict[str, object]:
    """The numbers of settings that the text names."""
    found: dict[str, object] = {}
    for name, value in _SETTING.findall(text):
        try:
            found[SETTINGS[name]] = float(value)
        except ValueError:
            continue  # prose, such as 'GRPO_LR=5e-5...'
    return found
