"""Evidence from the predecessor's training log: a table of epochs, as text or Markdown, and whatever is around it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.errors import InputError
from shotsmith.runs import Row, columns

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

PREDECESSOR: Mapping[str, object] = {
    "grpo.advantage.estimator": "group",
    "grpo.advantage.standardise_rewards": True,
    "grpo.advantage.zero_variance": "keep",
    "grpo.sampling.source": "recorded",
    "grpo.sampling.keep_top": (3, 5),
    "grpo.num_iterations": 1,
    "grpo.dropout": True,
    "grpo.kl.controller": "multiplicative",
    "grpo.kl.min_beta": 0.001,
    "grpo.kl.max_beta": 10.0,
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

MISSING = {"", "-", "--", "—", "–", "...", "…", "n/a", "none"}
"""Cells that hold no figure."""

_HEADING = re.compile("|".join(sorted(COLUMNS, key=len, reverse=True)))
_SETTING = re.compile(rf"\b({'|'.join(SETTINGS)})\s*[=:]\s*([-+.\deE]+)")
_RULE = re.compile(r"[\s|:+=─-]*")


def evidence_of_log(path: Path, against: Evidence | None = None) -> Evidence:
    """The epochs of a log, one GRPO phase of one seed; an epoch told of twice has what was told last.

    Raises InputError naming file and row (the line) where a table is damaged, or where there is none.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError("no such run or log", file=path) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=path) from error
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", file=path) from error
    rows: dict[int, Row] = {}
    for row in _rows(text.splitlines(), path):
        rows[row["epoch"]] = rows.get(row["epoch"], {}) | row
    if not rows:
        raise InputError(
            "holds no table of epochs (a heading 'Epoch' beside 'Val Loss', 'PPO Loss', 'KL' ...)", file=path
        )
    return Evidence(
        name=path.stem,
        epochs=tuple(columns({"seed": 0, "phase": "grpo", **rows[epoch]}) for epoch in sorted(rows)),
        settings={**PREDECESSOR, **_settings(text)},
        against=against,
    )


def _settings(text: str) -> dict[str, object]:
    """The numbers of settings that the text names."""
    found: dict[str, object] = {}
    for name, value in _SETTING.findall(text):
        try:
            found[SETTINGS[name]] = float(value)
        except ValueError:
            continue  # prose, such as 'GRPO_LR=5e-5...'
    return found


def _rows(lines: Iterable[str], path: Path) -> Iterator[Row]:
    heading: list[str] | None = None
    for number, line in enumerate(lines, start=1):
        if (found := _heading(line)) is not None:
            heading = found
        elif not line.strip():
            heading = None
        elif heading is not None and not _RULE.fullmatch(line):
            yield _row(_cells(line), heading, path, number)


def _heading(line: str) -> list[str] | None:
    """The names of a heading's columns; None where the line is no heading."""
    lowered = line.replace("*", "").replace("_", " ").lower().strip()
    if "|" in lowered or "\t" in lowered or "," in lowered:
        names = [re.sub(r"\s+", " ", cell) for cell in _cells(lowered)]
    else:
        names = _HEADING.findall(re.sub(r"\s+", " ", lowered))
        if re.sub(r"\s+", " ", lowered) != " ".join(names):
            return None
    return names if "epoch" in names and len(COLUMNS.keys() & names) > 1 else None


def _cells(line: str) -> list[str]:
    line = line.strip()
    if "|" in line:
        cells = line.removeprefix("|").removesuffix("|").split("|")
    elif "\t" in line or "," in line:
        cells = re.split(r"[\t,]", line)
    else:
        cells = line.split()
    return [cell.replace("*", "").strip() for cell in cells]


def _row(cells: list[str], heading: list[str], path: Path, number: int) -> Row:
    if len(cells) != len(heading):
        raise InputError(f"has {len(cells)} cells, and the heading above it {len(heading)}", file=path, row=number)
    row: Row = {}
    for name, cell in zip(heading, cells, strict=True):
        if name not in COLUMNS or cell.lower() in MISSING:
            continue
        try:
            value = float(cell.replace("\N{MINUS SIGN}", "-"))
        except ValueError as error:
            raise InputError(f"is not a number: '{cell}'", file=path, row=number, field=name) from error
        if math.isfinite(value):
            row[COLUMNS[name]] = value
        else:
            row["not_finite"] = row.get("not_finite", 0) + 1
    epoch = row.get("epoch")
    if epoch is None or epoch < 0 or epoch != int(epoch):
        raise InputError("is not a whole number", file=path, row=number, field="epoch")
    return row | {"epoch": int(epoch)}
