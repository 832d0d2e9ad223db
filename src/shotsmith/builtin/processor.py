"""The processor of Qwen2.5-VL, also where torchvision is not installed.

The ordinary `Qwen2_5_VLProcessor` insists on a video processor, which needs torchvision. Shotsmith shows still images
only, so without torchvision a processor with no video part takes its place: same tokens, same patches (by PIL).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoProcessor, PreTrainedTokenizerBase, Qwen2_5_VLConfig, Qwen2_5_VLProcessor
from transformers.image_processing_utils import BaseImageProcessor
from transformers.processing_utils import ProcessorMixin
from transformers.utils.import_utils import is_torchvision_available


class ImageOnlyQwen25VLProcessor(Qwen2_5_VLProcessor):
    """`Qwen2_5_VLProcessor` without its video part; the folders it saves are those of the ordinary one."""

    def __init__(
        self,
        image_processor: BaseImageProcessor,
        tokenizer: PreTrainedTokenizerBase,
        chat_template: str | None = None,
        **_ignored: object,
    ) -> None:
        self.image_token = "<|image_pad|>"
        self.video_token = "<|video_pad|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    @property
    def model_input_names(self) -> list[str]:
        """The names of the model's inputs that this processor makes."""
        return [*self.tokenizer.model_input_names, *self.image_processor.model_input_names, "mm_token_type_ids"]

    def to_dict(self) -> dict[str, Any]:
        """The settings to save: as the ordinary processor has them, which fills its video part with defaults.

        No class is named, so that a reader takes the class its own model type calls for.
        """
        settings: dict[str, Any] = super().to_dict()
        settings.pop("processor_class", None)
        settings["video_processor"] = {"video_processor_type": "Qwen2VLVideoProcessor"}
        return settings

    def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **options: Any) -> Any:
        """Save processor, tokenizer and chat template into a folder; returns the names of the processor's files."""
        saved = super().save_pretrained(save_directory, push_to_hub, **options)
        self.tokenizer._set_processor_class(None)
        self.tokenizer.init_kwargs.pop("processor_class", None)
        self.tokenizer.save_pretrained(save_directory)
        return saved


def register_processor() -> None:
    """Let `AutoProcessor` find a processor for Qwen2.5-VL where the ordinary one cannot work; otherwise do nothing."""
    if not is_torchvision_available():
        AutoProcessor.register(Qwen2_5_VLConfig, ImageOnlyQwen25VLProcessor, exist_ok=True)


def load_processor(path: Path | str) -> ProcessorMixin:
    """The processor saved in a folder, by the ordinary class or by the one above.

    With torchvision it is what `AutoProcessor` gives; without, the image-only one. Raises what transformers raises
    (OSError, ValueError) where files are missing or damaged.
    """
    if is_torchvision_available():
        processor: ProcessorMixin = AutoProcessor.from_pretrained(path, trust_remote_code=False)
        return processor
    return ImageOnlyQwen25VLProcessor.from_pretrained(path, trust_remote_code=False)


register_processor()
