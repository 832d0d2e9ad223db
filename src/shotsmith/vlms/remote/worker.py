"""What runs in a worker's process on a cluster: one VLM, loaded there, that answers what it is given."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from shotsmith.errors import ShotsmithError
from shotsmith.recipe import VLMSettings
from shotsmith.records import Completion, Failure, Request
from shotsmith.vlms.protocol import VLM
from shotsmith.vlms.work import Counting


@dataclass(frozen=True, slots=True)
class Ready:
    """What a worker says of its VLM once it is loaded."""

    identity: str
    batch_tokens: int


@dataclass(frozen=True, slots=True)
class Answered:
    """What a worker gives back for some prompts."""

    results: list[Completion | Failure]
    work: Mapping[str, int] = field(default_factory=dict)
    """What its VLM did for them, where it counts."""


class Worker:
    """Holds one VLM. What goes wrong is returned, not raised: Ray would wrap it in an error of its own."""

    def __init__(self, settings: VLMSettings, load: Callable[[VLMSettings], VLM], folder: Path) -> None:
        """`folder` is what relative paths are relative to, where this machine has it."""
        self._settings = settings
        self._load = load
        if folder.is_dir():
            os.chdir(folder)

    def load(self) -> Ready | ShotsmithError:
        """Load the VLM, which may take minutes."""
        try:
            self._vlm = self._load(self._settings)
        except ShotsmithError as error:
            return error
        return Ready(self._vlm.identity, self._vlm.batch_tokens)

    def complete(self, requests: Sequence[Request]) -> Answered | ShotsmithError:
        """Answer some prompts, in order."""
        before = replace(self._vlm.work) if isinstance(self._vlm, Counting) else None
        try:
            results = self._vlm.complete(requests)
        except ShotsmithError as error:
            return error
        if before is None or not isinstance(self._vlm, Counting):
            return Answered(results)
        return Answered(results, self._vlm.work.since(before))
