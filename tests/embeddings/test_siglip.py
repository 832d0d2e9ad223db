from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_encoders import LONGEST, save_siglip, save_siglip2
from transformers import AutoModel, AutoTokenizer
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

from shotsmith.embeddings.load import load_encoder
from shotsmith.errors import InputError
from shotsmith.recipe import EncoderSettings

SAVES = {"siglip": (save_siglip, SiglipImageProcessorPil), "siglip2": (save_siglip2, Siglip2ImageProcessorPil)}
TEXTS = ["what is this ?", "the", "the colour of a shape " * 9]


@pytest.fixture(scope="module", params=SAVES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / request.param
    SAVES[request.param][0](folder)
    return folder


@torch.no_grad()
def test_embeddings_are_those_of_the_models_own_forward_pass(folder: Path, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (13, 40, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    processor = SAVES[folder.name][1].from_pretrained(folder)
    inputs = processor(images=[Image.fromarray(picture)], return_tensors="pt")
    tokens = AutoTokenizer.from_pretrained(folder)(
        TEXTS, padding="max_length", truncation=True, max_length=LONGEST, return_tensors="pt"
    )["input_ids"]
    own = AutoModel.from_pretrained(folder).eval()(input_ids=tokens, **inputs)
    encoder = load_encoder(EncoderSettings(path=str(folder)))
    assert tokens.shape == (3, LONGEST)
    np.testing.assert_allclose(encoder.embed_images([tmp_path / "picture.png"]), own.image_embeds, atol=1e-6)
    np.testing.assert_allclose(encoder.embed_texts(TEXTS), own.text_embeds, atol=1e-6)


def test_texts_are_lower_cased_as_in_training(folder: Path) -> None:
    encoder = load_encoder(EncoderSettings(path=str(folder)))
    np.testing.assert_array_equal(encoder.embed_texts(["WHAT is"]), encoder.embed_texts(["what is"]))


def test_a_model_without_an_image_head_is_refused(folder: Path, tmp_path: Path) -> None:
    headless = tmp_path / "headless"
    shutil.copytree(folder, headless)
    config = json.loads((headless / "config.json").read_text())
    config["vision_config"]["vision_use_head"] = False
    model = AutoModel.from_pretrained(folder)
    weights = {
        name: value for name, value in model.state_dict().items() if ".head." not in name or "vision" not in name
    }
    model.save_pretrained(headless, state_dict=weights)
    (headless / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="field vision_use_head: has no head"):
        load_encoder(EncoderSettings(path=str(headless)))
