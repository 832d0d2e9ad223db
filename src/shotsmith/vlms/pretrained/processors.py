"""The processor of any image-text model, also where torchvision is not installed.

Many processor classes insist on a video processor, which needs torchvision. Shotsmith shows still images only, so
without torchvision a subclass with no video part takes their place: same tokens, same pixels (by PIL).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from transformers import PROCESSOR_MAPPING, AutoProcessor, PretrainedConfig, Qwen2_5_VLConfig, SmolVLMProcessor
from transformers.processing_utils import ProcessorMixin
from transformers.utils.import_utils import is_num2words_available, is_torchvision_available

from shotsmith.builtin.processor import load_processor as load_qwen

_OWN = ("self", "image_processor", "tokenizer", "video_processor", "chat_template")


def load_processor(folder: Path | str, config: PretrainedConfig) -> ProcessorMixin:
    """The processor saved in a folder, for a model of this configuration; it pads on the left.

    Raises what transformers raises (OSError, ValueError, ImportError) where files are missing or damaged, or the
    model has no processor of images and text.
    """
    processor = _load(folder, config)
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None or not hasattr(processor, "image_processor"):
        raise ValueError(f"{type(processor).__name__} is no processor of images and text")
    if getattr(processor, "image_token", None) is None or getattr(processor, "image_token_id", None) is None:
        raise ValueError(f"{type(processor).__name__} has no placeholder for an image")
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return processor


def _load(folder: Path | str, config: PretrainedConfig) -> ProcessorMixin:
    if isinstance(config, Qwen2_5_VLConfig):
        return load_qwen(folder)
    kind: Any = PROCESSOR_MAPPING.get(type(config), None)
    if kind is None or "video_processor" not in kind.get_attributes() or _videos_work(kind):
        processor: ProcessorMixin = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
        return processor
    return without_video(kind).from_pretrained(folder, trust_remote_code=False)


def _videos_work(kind: type[ProcessorMixin]) -> bool:
    return is_torchvision_available() and (kind is not SmolVLMProcessor or is_num2words_available())


@lru_cache
def without_video(kind: type[ProcessorMixin]) -> type[ProcessorMixin]:
    """A subclass of a processor class that takes no video processor, and otherwise the same settings."""
    if kind is SmolVLMProcessor:
        return ImageOnlySmolVLMProcessor
    settings = [name for name in inspect.signature(kind.__init__).parameters if name not in _OWN]
    initialise: Any = kind.__init__

    class ImageOnly(kind):  # type: ignore[misc, valid-type]
        """The class above it, for still images."""

        def __init__(self, image_processor: Any, tokenizer: Any, chat_template: Any = None, **others: Any) -> None:
            initialise(self, image_processor, tokenizer, None, chat_template=chat_template, **others)

        @staticmethod
        def validate_init_kwargs(processor_config: Any, valid_kwargs: Iterable[str]) -> Any:
            """Which of the saved settings are this class's own."""
            return kind.validate_init_kwargs(processor_config, [*valid_kwargs, *settings])

    return ImageOnly


class ImageOnlySmolVLMProcessor(SmolVLMProcessor):
    """`SmolVLMProcessor` without its video part, which also needs the package num2words."""

    def __init__(
        self,
        image_processor: Any,
        tokenizer: Any,
        image_seq_len: int = 169,
        chat_template: str | None = None,
        **_ignored: object,
    ) -> None:
        self.fake_image_token = getattr(tokenizer, "fake_image_token", "<fake_token_around_image>")
        self.image_token = getattr(tokenizer, "image_token", "<image>")
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.end_of_utterance_token = getattr(tokenizer, "end_of_utterance_token", "<end_of_utterance>")
        self.global_image_token = getattr(tokenizer, "global_image_token", "<global-img>")
        self.video_token = getattr(tokenizer, "video_token", "<video>")
        self.image_seq_len = image_seq_len
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    def apply_chat_template(self, *args: Any, **options: Any) -> Any:
        """That of all processors: the ordinary class only adds what a video is sampled by."""
        return ProcessorMixin.apply_chat_template(self, *args, **options)
