"""From the section `encoder` of a recipe to an encoder: the table of families, and what each folder is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shotsmith.encoders import clip, openclip, sentence, siglip, vision
from shotsmith.encoders.folder import Placement, files_digest, local_folder, model_folder, read_config
from shotsmith.encoders.frozen import FrozenEncoder, Towers
from shotsmith.encoders.precomputed import PrecomputedEncoder, load_precomputed
from shotsmith.errors import InputError
from shotsmith.files import digest
from shotsmith.plugins import Table
from shotsmith.recipe import EncoderSettings, Side


@dataclass(frozen=True, slots=True)
class Family:
    """How the folders of one family are read."""

    name: str
    """What identities begin with."""
    load: Callable[[Path, Placement], Towers]
    widths: Callable[[Path], tuple[int, int]]
    """(Di, Dt) from configurations alone; 0 for a tower that it does not have."""
    files: Callable[[Path], list[Path]]
    """The files that can change an embedding."""


_CLIP = Family("clip", clip.load, clip.widths, clip.files)
_SIGLIP = Family("siglip", siglip.load, siglip.widths, siglip.files)
_VISION = Family("vision", vision.load, vision.widths, vision.files)

_OWN: Mapping[str, Family] = {
    "clip": _CLIP,
    "siglip": _SIGLIP,
    "siglip2": _SIGLIP,
    "vit": _VISION,
    "dinov2": _VISION,
    "dinov2_with_registers": _VISION,
    "dinov3_vit": _VISION,
    "dinov3_convnext": _VISION,
}
BY_MODEL_TYPE: Table[Family] = Table("shotsmith.encoders", Family, _OWN)
"""What `model_type` in a folder's `config.json` stands for."""

BY_FILE: Mapping[str, Family] = {
    sentence.MODULES: Family("sentence", sentence.load, sentence.widths, sentence.files),
    openclip.CONFIG: Family("openclip", openclip.load, openclip.widths, openclip.files),
}
"""What a folder is that has this file, where its `model_type` says nothing."""


def load_encoder(settings: EncoderSettings) -> FrozenEncoder | PrecomputedEncoder:
    """The encoder that the settings describe.

    Raises InputError where a model cannot be had, is of no known family, lacks weights or has unexpected ones, or
    does not embed what it is to embed; DataError where a file of precomputed embeddings is at fault.
    """
    if settings.precomputed is not None:
        return load_precomputed(settings.precomputed)
    place = Placement.of(settings)
    models = settings.models
    loaded = {side: _load(*model, place, side) for side, model in models.items()}
    of_images, of_texts = _sides(settings)
    (image_identity, images), (text_identity, texts) = loaded[of_images], loaded[of_texts]
    if images.images is None:
        problem = f"'{models[of_images][0]}' embeds no images: name a model that does by encoder.image"
        raise InputError(problem, field=f"encoder.{of_images}")
    if texts.texts is None:
        problem = f"'{models[of_texts][0]}' embeds no texts: name a model that does by encoder.text"
        raise InputError(problem, field=f"encoder.{of_texts}")
    same = image_identity == text_identity
    together = image_identity if same else f"pair:{digest(image_identity, text_identity)}"
    arithmetic = "" if settings.dtype == "auto" else f" {settings.dtype}"
    return FrozenEncoder(together + arithmetic, images.images, texts.texts, settings.batch_size)


def embedding_widths(settings: EncoderSettings, unknown: int) -> tuple[int, int]:
    """(Di, Dt), `unknown` for what only the hub could tell. Raises InputError for a folder of no known family."""
    if settings.precomputed is not None:
        encoder = load_precomputed(settings.precomputed)
        return encoder.embed_images([]).shape[1], encoder.embed_texts([]).shape[1]
    found = []
    for row, side in enumerate(_sides(settings)):
        folder = local_folder(settings.models[side][0])
        found.append(unknown if folder is None else family_of(folder).widths(folder)[row])
    return found[0], found[1]


def family_of(folder: Path) -> Family:
    """What a folder holds. Raises InputError where it is of no family in the tables."""
    file = folder / "config.json"
    model_type = read_config(file).get("model_type") if file.exists() else None
    if isinstance(model_type, str) and model_type in BY_MODEL_TYPE:
        return BY_MODEL_TYPE[model_type]
    for name, family in BY_FILE.items():
        if (folder / name).exists():
            return family
    what = "has no model_type" if model_type is None else f"is a '{model_type}' model"
    raise InputError(
        f"{what}; supported are {', '.join(BY_MODEL_TYPE)}, text encoders of sentence-transformers "
        f"({sentence.MODULES}), OpenCLIP's own format ({openclip.CONFIG}), and embeddings from files "
        "(encoder.precomputed)",
        file=folder,
        field="encoder",
    )


def _sides(settings: EncoderSettings) -> tuple[Side, Side]:
    """The settings that name the model of images and that of texts."""
    return "path" if settings.image is None else "image", "path" if settings.text is None else "text"


def _load(path: str, revision: str | None, place: Placement, side: Side) -> tuple[str, Towers]:
    """Identity and towers of one model."""
    folder = model_folder(path, revision, f"encoder.{side}")
    family = family_of(folder)
    identity = f"{family.name}:{files_digest(folder, family.files(folder))}"
    return identity, family.load(folder, place)
