"""How the report speaks where captions are measured: CIDEr is no accuracy and has no percent."""

from __future__ import annotations

import re
from collections.abc import Mapping

_ENGLISH = (
    ("an accuracy of {accuracy:.1f} %", "a CIDEr of {accuracy:.1f}"),
    ("accuracy {accuracy:.0f} %", "CIDEr {accuracy:.0f}"),
    ("{accuracy:.0f} %", "{accuracy:.0f}"),
    ("{best:.1f} %", "{best:.1f}"),
    ("{accuracy:.1f} %", "{accuracy:.1f}"),
    ("{of_free:.1f} %", "{of_free:.1f}"),
    ("{oracle:.1f} %", "{oracle:.1f}"),
    ("{metric} in percent", "{metric} times 100"),
    ("Accuracies in percent", "CIDEr times 100"),
    ("the accuracies are", "the figures are"),
    ("Accuracy", "CIDEr"),
    ("accuracy", "CIDEr"),
)
_CHINESE = (
    ("准确率为 {accuracy:.1f} %", "CIDEr 为 {accuracy:.1f}"),
    ("准确率 {accuracy:.0f} %", "CIDEr {accuracy:.0f}"),
    ("{accuracy:.0f} %", "{accuracy:.0f}"),
    ("{best:.1f} %", "{best:.1f}"),
    ("{accuracy:.1f} %", "{accuracy:.1f}"),
    ("{of_free:.1f} %", "{of_free:.1f}"),
    ("{oracle:.1f} %", "{oracle:.1f}"),
    ("准确率单位为 %", "CIDEr 乘以 100"),
    ("个百分点", "分"),
    ("百分点", "分"),
    ("准确率", "CIDEr"),
)
_REWORDED = {"en": _ENGLISH, "zh": _CHINESE}


def of_captions(code: str, text: Mapping[str, str]) -> dict[str, str]:
    """The sentences of a language, reworded; what metrics and columns are called stays."""
    return {key: said if key.startswith("name.") else _reworded(code, said) for key, said in text.items()}


def _reworded(code: str, said: str) -> str:
    for before, after in _REWORDED[code]:
        said = re.sub(rf"(?<![{{\w]){re.escape(before)}", after, said)  # no replacement holds a backslash
    return said
