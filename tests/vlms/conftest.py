"""Folders of VLMs to test with, and prompts for them."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_vlm
from transformers import Qwen2_5_VLForConditionalGeneration
from transformers.processing_utils import ProcessorMixin

from shotsmith.builtin import VLM_PATH
from shotsmith.builtin.processor import load_processor
from shotsmith.recipe import VLMSettings
from shotsmith.records import Example
from shotsmith.vlms.qwen.local import LocalVLM, load_vlm


@pytest.fixture(scope="session")
def plain_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_vlm.save_plain(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="session")
def qwen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_vlm.save_like_qwen(tmp_path_factory.mktemp("like-qwen"))


@pytest.fixture(scope="session", params=["plain", "like qwen", "built-in"])
def folder(request: pytest.FixtureRequest, plain_folder: Path, qwen_folder: Path) -> Path:
    return {"plain": plain_folder, "like qwen": qwen_folder, "built-in": VLM_PATH}[request.param]


@pytest.fixture(scope="session")
def vlm(folder: Path) -> LocalVLM:
    return load_vlm(VLMSettings(path=str(folder)))


@pytest.fixture(scope="session")
def reference(folder: Path) -> tuple[Qwen2_5_VLForConditionalGeneration, ProcessorMixin]:
    """Model and processor of the same folder as transformers loads them, nothing changed."""
    return Qwen2_5_VLForConditionalGeneration.from_pretrained(folder).eval(), load_processor(folder)


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    return small_vlm.draw_examples(tmp_path_factory.mktemp("pictures"), 12)
