"""Evidence from the predecessor's training log: a table of epochs, as text or Markdown, and whatever is around it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.log_table import Phase, read_tables
from shotsmith.errors import InputError
from shotsmith.runs import Row, columns

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
