"""What a diagnosis finds: language-free, so that terminal and report say it in any language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import yaml

Severity = Literal["fault", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("fault", "warning", "note")
"""fault: something does not do what it is there for. warning: it costs, or will. note: easily misread."""

Value = int | float | str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found, the numbers it rests on, and the settings to try."""

    key: str
    """Names the sentences 'finding.KEY.title', '.evidence', '.meaning' and '.advice' of a language."""
    severity: Severity
    values: Mapping[str, Value] = field(default_factory=dict)
    """What the sentences are filled with. Shares are in percent."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """'section.key': value, the settings of a recipe to try; may be empty."""

    @property
    def overrides(self) -> list[str]:
        """The settings as `--set` takes them: 'section.key=value'."""
        return [f"{key}={_yaml(value)}" for key, value in self.settings.items()]


def _yaml(value: object) -> str:
    """On one line, as YAML reads it back (1e-05 would be read as text, 1.0e-05 is a number)."""
    written: str = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return written.removesuffix("...\n").strip().replace(", ", ",")
