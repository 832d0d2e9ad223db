"""Embeddings computed by many workers on a Ray cluster.

Images and texts are cut into parts, which are multiples of a batch: so each batch is the one that a single machine
would compute. Each part that comes back is written into a file at once, and is never computed again: not where a
worker or a machine dies, and not where the command is given again after it was killed.

Axes: N images or texts, D embedding width.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from shotsmith.clusters import check_ray, connect
from shotsmith.embeddings.embedded import Encoder, Floats
from shotsmith.embeddings.load import load_encoder
from shotsmith.errors import InputError, ShotsmithError
from shotsmith.files import digest, file_digest
from shotsmith.progress import Advance
from shotsmith.recipe import EncoderSettings
from shotsmith.recipe.cluster import ClusterSettings

_PART = 1024
"""Images or texts of a part, about."""
_LOOK_SECONDS = 1.0
"""How long to wait for Ray at a time: between, it is seen whether the user has stopped the run."""
_SETTING = "encoder.ray"

Kind = Literal["images", "texts"]
Outcome = Floats | ShotsmithError


@dataclass(frozen=True)
class ClusterEncoder:
    """An encoder whose workers embed whole data sets; it embeds a few images or texts itself."""

    here: Encoder
    settings: EncoderSettings
    """Of the workers' encoders."""
    cluster: ClusterSettings
    folder: Path | None = None
    """Where parts are kept until all are there."""

    @property
    def identity(self) -> str:
        """That of the encoder: where embeddings are computed changes nothing."""
        return self.here.identity

    def keeping_in(self, folder: Path) -> ClusterEncoder:
        """The same, with a folder for parts. Whoever has written the embeddings elsewhere removes it."""
        return replace(self, folder=folder)

    def embed_images(self, paths: Sequence[Path], advance: Advance = lambda _amount: None) -> Floats:
        """Embeddings of N image files [N, D]. Raises DataError naming the file where an image cannot be read."""
        if len(paths) <= self._part or self.folder is None:
            return self.here.embed_images(paths, advance)
        contents = digest(*map(file_digest, paths))
        return self._embed("images", list(map(str, paths)), contents, self.here.embed_images([]).shape[1], advance)

    def embed_texts(self, texts: Sequence[str], advance: Advance = lambda _amount: None) -> Floats:
        """Embeddings of N texts [N, D]. Texts longer than the model accepts are cut."""
        if len(texts) <= self._part or self.folder is None:
            return self.here.embed_texts(texts, advance)
        return self._embed("texts", list(texts), digest(*texts), self.here.embed_texts([]).shape[1], advance)

    @property
    def _part(self) -> int:
        return max(1, _PART // self.settings.batch_size) * self.settings.batch_size

    def _embed(self, kind: Kind, items: list[str], contents: str, width: int, advance: Advance) -> Floats:
        assert self.folder is not None
        name = f"{kind}-{digest(self.identity, str(self._part), contents)[:32]}"
        kept = _Kept(self.folder / name, len(items), width, self._part)
        missing = [number for number, there in enumerate(kept.done) if not there]
        advance(len(items) - sum(len(kept.rows(number)) for number in missing))
        if missing:
            check_ray(_SETTING)
            connect(self.cluster.address, _SETTING)
            parts = {number: [items[row] for row in kept.rows(number)] for number in missing}
            for number, vectors in self._computed(kind, parts):
                kept.put(number, vectors)
                advance(len(kept.rows(number)))
        return kept.vectors

    def _computed(self, kind: Kind, parts: Mapping[int, list[str]]) -> Iterator[tuple[int, Floats]]:
        """The embeddings of parts as they are ready, in any order."""
        import ray

        remote = ray.remote(
            num_cpus=self.cluster.cpus_per_worker,
            num_gpus=self.cluster.gpus_per_worker,
            max_calls=0,  # a process that has loaded the encoder stays
            max_retries=-1,  # a death is no part's fault: what is wrong with a part is returned
            scheduling_strategy="SPREAD",
        )(embed_part)
        waiting, under_way = deque(parts), dict[Any, int]()
        while waiting or under_way:
            while waiting and len(under_way) < self.cluster.workers:
                number = waiting.popleft()
                asked = remote.remote(parts[number], self.settings, kind, self.identity, Path.cwd())
                under_way[asked] = number
            ready, _ = ray.wait(list(under_way), num_returns=1, timeout=_LOOK_SECONDS)
            for reference in ready:
                yield under_way.pop(reference), _outcome(reference)


def embed_part(items: Sequence[str], settings: EncoderSettings, kind: Kind, identity: str, folder: Path) -> Outcome:
    """The embeddings of one part, computed in a process of the cluster that keeps its encoder for the next.

    `folder` is what relative paths are relative to, where this machine has it. What is wrong is returned, not raised:
    Ray would wrap it in an error of its own.
    """
    if folder.is_dir():
        os.chdir(folder)
    try:
        encoder = _loaded(settings)
        if encoder.identity != identity:
            raise InputError(f"a machine of the cluster has another encoder: '{encoder.identity}'", field=_SETTING)
        return encoder.embed_images(list(map(Path, items))) if kind == "images" else encoder.embed_texts(items)
    except ShotsmithError as error:
        return error


def _outcome(reference: Any) -> Floats:
    """Raises what was wrong with a part, and ShotsmithError for a failure of Ray's."""
    import ray
    from ray.exceptions import RayError

    try:
        found: Outcome = ray.get(reference)
    except RayError as error:
        line = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
        raise ShotsmithError(f"the cluster cannot compute embeddings: {line.strip()}") from error
    if isinstance(found, ShotsmithError):
        raise found
    return found


@lru_cache(maxsize=1)
def _loaded(settings: EncoderSettings) -> Encoder:
    return load_encoder(settings)


class _Kept:
    """The parts that have come back: embeddings in one file, and in another a byte for each part."""

    def __init__(self, place: Path, count: int, width: int, part: int) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        self._count, self._part = count, part
        vectors, done = (Path(f"{place}.{ending}") for ending in ("npy", "done"))
        fresh = not done.exists()  # it is made last
        mode: Literal["w+", "r+"] = "w+" if fresh else "r+"
        self.vectors: Floats = np.lib.format.open_memmap(vectors, mode, np.float32 if fresh else None, (count, width))
        if fresh:
            done.write_bytes(bytes(-(-count // part)))
        self.done = np.memmap(done, np.bool_, "r+")

    def rows(self, number: int) -> range:
        """The rows of a part."""
        return range(number * self._part, min((number + 1) * self._part, self._count))

    def put(self, number: int, vectors: Floats) -> None:
        """Keep a part: its embeddings first."""
        rows = self.rows(number)
        self.vectors[rows.start : rows.stop] = vectors
        self.vectors.flush()  # type: ignore[attr-defined]
        self.done[number] = True
        self.done.flush()


def on_cluster(encoder: Encoder, settings: EncoderSettings) -> Encoder:
    """The encoder, with the workers that the settings ask for, if any."""
    if settings.ray is None:
        return encoder
    check_ray(_SETTING)
    return ClusterEncoder(encoder, settings.without_cluster, settings.ray)
