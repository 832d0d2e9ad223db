"""Load a model of transformers with all of its weights or not at all: what is missing would be drawn at random."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from shotsmith.errors import InputError

NO_PLAIN_WEIGHTS = (UnpicklingError, EOFError)
"""What torch.load raises for a file that holds more than tensors and plain values, or that is cut off."""
SAVE_AGAIN = "the file holds more than tensors and plain values, or is damaged; save the weights as safetensors"
_NAMED = 3
"""Weights that an error names; it counts the others."""
_POOLER = ("pooler.",)
"""The one part of a model of transformers that comes after its last hidden state."""


def load_whole(load: Callable[..., Any], folder: Path, unused: tuple[str, ...] = (), **options: Any) -> Any:
    """What `load`, a `from_pretrained` of transformers, gives for `folder` with these options.

    Weights of the file whose names begin with one of `unused` are ignored; the model may then lack its pooler. Raises
    InputError, naming the folder and the weights, where others are missing, unexpected or of another shape, and what
    `load` raises for damaged files.
    """
    try:
        with _without_load_report():
            # A shape that differs is then reported with the name of the weight.
            model, found = load(folder, output_loading_info=True, ignore_mismatched_sizes=True, **options)
    except NO_PLAIN_WEIGHTS as error:
        raise InputError(f"its weights cannot be read: {SAVE_AGAIN}", file=_pickled_weights(folder)) from error
    excused = {"missing_keys": _POOLER if unused else (), "unexpected_keys": unused}
    for kind, problem in (
        ("mismatched_keys", "has weights of another shape"),
        ("missing_keys", "lacks weights"),
        ("unexpected_keys", "has unexpected weights"),
    ):
        _refuse(found, kind, excused.get(kind, ()), problem, folder)
    return model


def _pickled_weights(folder: Path) -> Path:
    """The one file of pickled weights in a folder, or else the folder."""
    files = sorted(folder.glob("*.bin"))
    return files[0] if len(files) == 1 else folder


def _refuse(found: Mapping[str, Any], kind: str, excused: tuple[str, ...], problem: str, folder: Path) -> None:
    keys: Iterable[object] = found.get(kind) or ()
    wrong = sorted(_named(key) for key in keys if not str(key).startswith(excused))
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise InputError(f"{problem}: {', '.join(wrong[:_NAMED])}{more}", file=folder)


def _named(key: object) -> str:
    """The name of a weight; with both shapes where transformers gives them."""
    if not isinstance(key, tuple):
        return str(key)
    name, stored, expected = key
    return f"{name} ({_shape(stored)}, not {_shape(expected)})"


def _shape(sizes: Iterable[int]) -> str:
    return " x ".join(map(str, sizes)) or "a number"


@contextmanager
def _without_load_report() -> Iterator[None]:
    """Leave out what transformers logs of weights (unused ones included): a fault is an error here."""
    logger = logging.getLogger("transformers")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
