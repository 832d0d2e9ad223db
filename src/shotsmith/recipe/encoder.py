"""Settings of the frozen encoders of images and texts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from shotsmith.recipe.base import Count, Settings
from shotsmith.recipe.cluster import ClusterSettings

Side = Literal["path", "image", "text"]
"""A setting that names a model: for both sides, for images, or for texts."""

_SUFFIXES = (".npy", ".npz", ".safetensors", ".parquet")


class PrecomputedSettings(Settings):
    """Embeddings made elsewhere, one row an example, found by the example's id."""

    texts: Path
    """Embeddings of the questions: a .npy, .npz, .safetensors or .parquet file."""
    images: Path | None = None
    """Embeddings of the images, in a file of the same kinds; without it, policies and selectors see the texts alone."""
    ids: Path | None = None
    """The example id of each row, one a line; .npy files need it, the others hold their ids."""

    @model_validator(mode="after")
    def _readable(self) -> PrecomputedSettings:
        files = [file for file in (self.texts, self.images) if file is not None]
        for file in files:
            if file.suffix not in _SUFFIXES:
                raise ValueError(f"{file} is none of {', '.join(_SUFFIXES)}")
        bare = any(file.suffix == ".npy" for file in files)
        if bare and self.ids is None:
            raise ValueError("a .npy file holds no ids: name a file of them by ids")
        if self.ids is not None and not bare:
            raise ValueError("ids are for .npy files; the other kinds hold their ids")
        return self


class EncoderSettings(Settings):
    """The frozen encoders whose embeddings policies and the similar selectors see."""

    path: str = "builtin"
    """'builtin' for the tiny CLIP in the package; else a folder or hub id of a model of images and texts."""
    revision: str | None = None
    """Branch, tag or commit of `path` on the hub; None takes its main branch."""
    image: str | None = None
    """A folder or hub id of the model that embeds images, in place of `path`."""
    image_revision: str | None = None
    """Branch, tag or commit of `image` on the hub."""
    text: str | None = None
    """A folder or hub id of the model that embeds texts, in place of `path`."""
    text_revision: str | None = None
    """Branch, tag or commit of `text` on the hub."""
    precomputed: PrecomputedSettings | None = None
    """Embeddings from files, in place of any model."""
    batch_size: Count = 256
    """Images (or texts) in one forward pass."""
    device: str = "auto"
    """'auto' (cuda if there is one), 'cpu', 'cuda', 'cuda:1', ..."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Weights and arithmetic; 'auto' is what the checkpoint says."""
    joined: Literal["side_by_side", "mean"] = "side_by_side"
    """How policies see image and question: one beside the other, or as their mean."""

    ray: ClusterSettings | None = None
    """Compute the embeddings of a data set on a Ray cluster; None computes them in this process."""

    @model_validator(mode="after")
    def _possible(self) -> EncoderSettings:
        models = [self.image, self.text, None if self.path == "builtin" else self.path]
        if self.precomputed is not None and any(model is not None for model in models):
            raise ValueError("precomputed takes the place of path, image and text: give one or the other")
        if self.precomputed is not None and self.ray is not None:
            raise ValueError("precomputed embeddings are not computed: give precomputed or ray")
        if self.image_revision is not None and self.image is None:
            raise ValueError("image_revision is the revision of image, which is not given")
        if self.text_revision is not None and self.text is None:
            raise ValueError("text_revision is the revision of text, which is not given")
        return self

    @property
    def models(self) -> dict[Side, tuple[str, str | None]]:
        """Path and revision of every model that is used, by the setting that names it."""
        if self.precomputed is not None:
            return {}
        named: dict[Side, tuple[str | None, str | None]] = {
            "path": (None if self.image is not None and self.text is not None else self.path, self.revision),
            "image": (self.image, self.image_revision),
            "text": (self.text, self.text_revision),
        }
        return {side: (path, revision) for side, (path, revision) in named.items() if path is not None}

    @property
    def named(self) -> str:
        """The models, or the files, in words."""
        if self.precomputed is not None:
            return str(self.precomputed.texts)
        return " and ".join(path for path, _revision in self.models.values())

    @property
    def embeds_images(self) -> bool:
        """Whether images have embeddings; without, selectors by image take no part."""
        return self.precomputed is None or self.precomputed.images is not None

    @property
    def without_cluster(self) -> EncoderSettings:
        """The same without what changes no embedding: where they are computed."""
        return self.model_copy(update={"ray": None})

    def with_folder(self, side: Side, folder: str) -> EncoderSettings:
        """The same with another folder for the model that `side` names."""
        revision = "revision" if side == "path" else f"{side}_revision"
        return self.model_copy(update={side: folder, revision: None})
