"""The table of families of encoders, and the encoder that the section `encoder` of a recipe describes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shotsmith.embeddings.folder import (
    Family,
    FrozenEncoder,
    Placement,
    Towers,
    files_digest,
    local_folder,
    model_folder,
    read_config,
)
from shotsmith.embeddings.image_text import CLIP, OPENCLIP, OPENCLIP_CONFIG, SIGLIP
from shotsmith.embeddings.precomputed import PrecomputedEncoder, load_precomputed
from shotsmith.embeddings.sentence import MODULES, SENTENCE
from shotsmith.embeddings.vision import VISION
from shotsmith.errors import InputError
from shotsmith.files import digest
from shotsmith.plugins import Table
from shotsmith.recipe import EncoderSettings, Side

_OWN: Mapping[str, Family] = {
    "clip": CLIP,
    "siglip": SIGLIP,
    "siglip2": SIGLIP,
    "vit": VISION,
    "dinov2": VISION,
    "dinov2_with_registers": VISION,
    "dinov3_vit": VISION,
    "dinov3_convnext": VISION,
}
BY_MODEL_TYPE: Table[Family] = Table("shotsmith.encoders", Family, _OWN)
"""The family of each `model_type` of a folder's `config.json`."""

BY_FILE: Mapping[str, Family] = {
    MODULES: SENTENCE,
    OPENCLIP_CONFIG: OPENCLIP,
}
"""The family of a folder that has this file, where no family is entered for its `model_type`."""


def load_encoder(settings: EncoderSettings) -> FrozenEncoder | PrecomputedEncoder:
    """The encoder that the settings describe.

    Raises InputError where a model is not found, belongs to no known family, lacks weights or has unexpected ones, or
    embeds no images or texts although the settings use it for them; DataError for a faulty file of precomputed
    embeddings.
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
    """The widths (Di, Dt) of embeddings, without loading a model; `unknown` for a model that is not on this machine.

    Raises InputError for a folder of no known family.
    """
    if settings.precomputed is not None:
        encoder = load_precomputed(settings.precomputed)
        return encoder.embed_images([]).shape[1], encoder.embed_texts([]).shape[1]
    found = []
    for row, side in enumerate(_sides(settings)):
        folder = local_folder(settings.models[side][0])
        found.append(unknown if folder is None else family_of(folder).widths(folder)[row])
    return found[0], found[1]


def family_of(folder: Path) -> Family:
    """The family of the model in a folder. Raises InputError where the tables have none."""
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
        f"({MODULES}), OpenCLIP's own format ({OPENCLIP_CONFIG}), and embeddings from files "
        "(encoder.precomputed)",
        file=folder,
        field="encoder",
    )


def _sides(settings: EncoderSettings) -> tuple[Side, Side]:
    """The settings that name the model of images and the model of texts."""
    return "path" if settings.image is None else "image", "path" if settings.text is None else "text"


def _load(path: str, revision: str | None, place: Placement, side: Side) -> tuple[str, Towers]:
    """The identity and the towers of one model."""
    folder = model_folder(path, revision, f"encoder.{side}")
    family = family_of(folder)
    identity = f"{family.name}:{files_digest(folder, family.files(folder))}"
    return identity, family.load(folder, place)
