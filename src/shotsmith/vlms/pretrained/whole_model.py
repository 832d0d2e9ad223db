"""Models whose files hold all of their weights and no others: what is missing would be drawn at random."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shotsmith.errors import InputError

_TOLD = 3
"""So many names of weights are told."""
_FAULTS: Mapping[str, str] = {
    "missing_keys": "lacks weights of the model",
    "unexpected_keys": "holds weights that the model has not",
    "mismatched_keys": "holds weights of other shapes than the model's",
}


def refuse_half(loaded: Mapping[str, Any], folder: Path) -> None:
    """Raise InputError where transformers tells of weights that are missing, unexpected or of another shape."""
    for kind, problem in _FAULTS.items():
        names: Iterable[object] = loaded.get(kind) or ()
        told = sorted(str(name[0] if isinstance(name, tuple) else name) for name in names)
        if told:
            more = f" and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
            raise InputError(f"{problem}: {', '.join(told[:_TOLD])}{more}", file=folder)
