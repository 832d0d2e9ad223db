"""What a selector says about itself: everything needed to use it elsewhere, and what it was measured to do."""

from __future__ import annotations

import json
from importlib import metadata
from typing import Any, Literal

from pydantic import Field

from shotsmith.files import digest
from shotsmith.recipe import EncoderSettings, Settings, Shots, VLMSettings

UNFAMILIAR_SHARE = 0.01
"""Share of the validation queries that are farther from the training queries than what counts as unfamiliar."""


class Accuracy(Settings):
    """One figure of the evaluation on held-out queries, in percent."""

    selector: str
    shots: int | str
    """A number of demonstrations, or 'mean'."""
    metric: str
    accuracy: float
    low: float
    high: float
    n: int
    """Queries."""


class BankNote(Settings):
    """Which bank a selector was trained and evaluated with."""

    digest: str
    size: int


class Card(Settings):
    """Description of a selector; `selector.json` of an exported one."""

    format: Literal[1] = 1
    """Version of this layout."""
    version: str = Field(default_factory=lambda: metadata.version("shotsmith"))
    """Version of Shotsmith that wrote it."""
    name: str
    """Name of the run, or of the training-free selector."""
    selector: str = "policy"
    """'policy', or the name of a training-free selector."""
    encoder: EncoderSettings
    """The image and text encoder by name, and how its embeddings are joined."""
    encoder_identity: str
    """Digest of the encoder's files: another encoder is refused."""
    vlm: VLMSettings | None = None
    """The VLM it was trained for, with its prompt and decoding. None: the default prompt."""
    vlm_identity: str = ""
    shots: tuple[Shots, ...] = (1, 2, 3, 4)
    """Numbers of demonstrations it was trained to choose."""
    data: dict[str, Any] = Field(default_factory=dict)
    """The data section of the recipe."""
    bank: BankNote | None = None
    results: tuple[Accuracy, ...] = ()
    """The selector and the best free alternative, by number of shots."""
    best_free: str | None = None
    """The free selector with the highest accuracy on validation queries."""
    unfamiliar_below: float | None = None
    """A query whose most similar training query has a lower cosine is flagged; None: no query is."""
    licence: str = "apache-2.0"
    """Licence of the weights."""
    files: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of every file beside the card, by its path; images of the bank are named for theirs."""
    digest: str = ""
    """SHA-256 of everything above."""

    def sealed(self) -> Card:
        """The card with its digest filled in."""
        return self.model_copy(update={"digest": self._content()})

    @property
    def is_sound(self) -> bool:
        """Whether the digest is that of the card."""
        return self.digest == self._content()

    def _content(self) -> str:
        return digest(json.dumps(self.model_dump(mode="json", exclude={"digest"}), sort_keys=True))
