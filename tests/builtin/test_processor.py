import json
import shutil

import numpy as np
import pytest
import small_vlm
import torch
from PIL import Image
from transformers import AutoProcessor
from transformers.utils.import_utils import is_torchvision_available

from shotsmith.builtin.processor import ImageOnlyQwen25VLProcessor, load_processor


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory):
    return small_vlm.save_plain(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def qwen_folder(tmp_path_factory):
    return small_vlm.save_like_qwen(tmp_path_factory.mktemp("like-qwen"))


@pytest.fixture(params=["plain", "like qwen"])
def folder(request, plain_folder, qwen_folder):
    return plain_folder if request.param == "plain" else qwen_folder


def turn(*texts):
    content = []
    for number, text in enumerate(texts):
        image = Image.new("RGB", (60 + 30 * number, 56), (10, 200, 40 * number))
        content += [{"type": "image", "image": image}, {"type": "text", "text": text}]
    return [{"role": "user", "content": content}]


def inputs_of(processor, *texts):
    return processor.apply_chat_template(
        turn(*texts), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )


def test_it_makes_what_the_model_takes(folder):
    processor = load_processor(folder)
    inputs = inputs_of(processor, "what is it?", "where from?")
    assert set(inputs) == {"input_ids", "attention_mask", "mm_token_type_ids", "pixel_values", "image_grid_thw"}
    image_tokens = int(inputs["image_grid_thw"].prod(-1).sum()) // 4
    assert int(inputs["mm_token_type_ids"].sum()) == image_tokens
    assert int((inputs["input_ids"] == processor.image_token_id).sum()) == image_tokens
    assert set(inputs) <= {*processor.model_input_names}


def test_it_pads_on_the_left(folder):
    processor = load_processor(folder)
    batch = processor.apply_chat_template(
        [turn("what?"), turn("what is it called and where is it from?")],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        padding=True,
    )
    assert batch["attention_mask"][0, 0] == 0
    assert batch["attention_mask"][:, -1].tolist() == [1, 1]


def test_the_default_system_turn_of_a_folder_like_qwen_s_is_kept(qwen_folder):
    text = load_processor(qwen_folder).apply_chat_template(turn("what?"), add_generation_prompt=True)
    assert text.startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n")
    assert text.endswith("<|im_start|>assistant\n")


def test_saving_and_loading_changes_nothing(folder, tmp_path):
    processor = load_processor(folder)
    processor.save_pretrained(tmp_path)
    shutil.copy(folder / "config.json", tmp_path)
    before, after = (inputs_of(p, "what is it?", "where?") for p in (processor, load_processor(tmp_path)))
    assert set(before) == set(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.skipif(is_torchvision_available(), reason="with torchvision the ordinary class is found")
def test_auto_processor_finds_the_image_only_one_where_torchvision_is_missing(plain_folder):
    processor = AutoProcessor.from_pretrained(plain_folder)
    assert isinstance(processor, ImageOnlyQwen25VLProcessor)
    assert isinstance(load_processor(plain_folder), ImageOnlyQwen25VLProcessor)


def test_a_saved_folder_names_no_class_of_ours_and_can_be_read_by_the_ordinary_one(plain_folder):
    settings = json.loads((plain_folder / "processor_config.json").read_text())
    tokenizer = json.loads((plain_folder / "tokenizer_config.json").read_text())
    assert "processor_class" not in settings
    assert "processor_class" not in tokenizer
    assert settings["image_processor"]["image_processor_type"] == "Qwen2VLImageProcessor"
    assert settings["video_processor"]["video_processor_type"] == "Qwen2VLVideoProcessor"


def test_a_folder_that_names_the_ordinary_class_is_read_too(plain_folder, tmp_path):
    other = shutil.copytree(plain_folder, tmp_path / "ordinary")
    for name in ("processor_config.json", "tokenizer_config.json"):
        settings = json.loads((other / name).read_text())
        (other / name).write_text(json.dumps(settings | {"processor_class": "Qwen2_5_VLProcessor"}))
    first, second = (inputs_of(load_processor(folder), "what is it?") for folder in (plain_folder, other))
    assert np.array_equal(first["input_ids"], second["input_ids"])


def test_missing_files_are_an_error(tmp_path):
    with pytest.raises((OSError, ValueError)):
        load_processor(tmp_path)
