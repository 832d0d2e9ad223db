"""What everything above expects of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from shotsmith.encoders.embedded import Floats
from shotsmith.progress import Advance


class Encoder(Protocol):
    """Embeds images and texts; rows have unit length."""

    @property
    def identity(self) -> str:
        """Changes whenever the embeddings may."""
        ...

    def embed_images(self, paths: Sequence[Path], advance: Advance = ...) -> Floats:
        """[N, Di]."""
        ...

    def embed_texts(self, texts: Sequence[str], advance: Advance = ...) -> Floats:
        """[N, Dt]."""
        ...
