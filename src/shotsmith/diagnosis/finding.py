"""The result of a diagnosis: problems found in a run, without text in any language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import yaml

Severity = Literal["fault", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("fault", "warning", "note")
"""Most severe first. A fault makes results unreliable or a component ineffective; a warning costs accuracy, time or
completions, or will soon; a note points out a value that is easily misread."""

Value = int | float | str
"""A value that fills a placeholder of a sentence."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem found, the values that show it, and the settings to try."""

    key: str
    """Identifies the finding. Every language has the sentences 'finding.KEY.title', '.evidence', '.meaning' and
    '.advice'."""
    severity: Severity
    values: Mapping[str, Value] = field(default_factory=dict)
    """Values for the placeholders of the sentences. Shares are in percent."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Recipe settings to try, as 'section.key': value; may be empty."""

    @property
    def overrides(self) -> list[str]:
        """The settings in the form that `--set` accepts: 'section.key=value'."""
        return [f"{key}={_yaml(value)}" for key, value in self.settings.items()]


def _yaml(value: object) -> str:
    """Write a value as one line of YAML. A float such as 1e-05 is written 1.0e-05, which YAML reads as a number."""
    written: str = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return written.removesuffix("...\n").strip().replace(", ", ",")
