"""Processors without their video part: only where it cannot work, and with all the settings of the ordinary class."""

from __future__ import annotations

import pytest
import small_families
from transformers import AutoConfig, AutoProcessor, LlavaOnevisionProcessor, Qwen3VLProcessor, SmolVLMProcessor

from shotsmith.errors import InputError
from shotsmith.recipe import VLMSettings
from shotsmith.vlms.load import load_vlm
from shotsmith.vlms.pretrained import processors
from shotsmith.vlms.pretrained.processors import load_processor


def load(folder):
    return load_processor(folder, AutoConfig.from_pretrained(folder))


@pytest.fixture
def folder(tmp_path, request):
    small_families.FAMILIES[request.param](tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("llava_onevision", LlavaOnevisionProcessor), ("qwen3_vl", Qwen3VLProcessor), ("smolvlm", SmolVLMProcessor)],
    indirect=["folder"],
)
def test_it_is_the_ordinary_class_for_still_images(folder, kind):
    processor = load(folder)
    assert isinstance(processor, kind)
    assert not hasattr(processor, "video_processor")
    assert processor.tokenizer.padding_side == "left"


@pytest.mark.parametrize("folder", ["llava_onevision"], indirect=True)
def test_saved_settings_are_kept(folder):
    processor = load(folder)
    assert processor.num_image_tokens == 16
    assert processor.vision_feature_select_strategy == "full"


@pytest.mark.parametrize("folder", ["smolvlm"], indirect=True)
def test_saved_settings_are_kept_by_that_of_smolvlm_too(folder):
    assert load(folder).image_seq_len == 4


@pytest.mark.parametrize(
    ("folder", "num2words", "ordinary"),
    [("qwen3_vl", False, True), ("smolvlm", False, False), ("smolvlm", True, True)],
    indirect=["folder"],
)
def test_where_videos_work_it_is_what_transformers_gives(folder, num2words, ordinary, monkeypatch):
    given = load(folder)
    monkeypatch.setattr(processors, "is_torchvision_available", lambda: True)
    monkeypatch.setattr(processors, "is_num2words_available", lambda: num2words)
    monkeypatch.setattr(AutoProcessor, "from_pretrained", lambda folder, **_: given)
    assert (load(folder) is given) == ordinary


@pytest.mark.parametrize("folder", ["idefics2"], indirect=True)
def test_a_processor_without_images_is_refused_by_the_folder_s_name(folder, monkeypatch):
    tokenizer = load(folder).tokenizer
    monkeypatch.setattr(AutoProcessor, "from_pretrained", lambda folder, **_: tokenizer)
    with pytest.raises(InputError, match=folder.name):
        load_vlm(VLMSettings(path=str(folder)))
