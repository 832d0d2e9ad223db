"""LoRA adapters of peft (arXiv 2106.09685), merged into the weights of a model, so that they cost nothing to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from shotsmith.errors import InputError
from shotsmith.files import digest, file_digest

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def merge_adapter(model: Any, folder: Path) -> Any:
    """The model with the adapter in `folder` added to its weights.

    Raises InputError where a file is missing or damaged, peft is not installed, or the adapter is another model's.
    """
    _check_files(folder)
    try:
        from peft import PeftModel, get_peft_model_state_dict
    except ImportError as error:
        raise InputError("it needs the package peft: pip install 'shotsmith[lora]'", field="vlm.lora") from error
    try:
        adapted = PeftModel.from_pretrained(model, str(folder))
        with safe_open(folder / _WEIGHTS, framework="pt") as stored:
            given = set(stored.keys())
        if given != set(get_peft_model_state_dict(adapted)):
            raise InputError("has not the weights that its configuration calls for in this model", file=folder)
        return adapted.merge_and_unload()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"cannot be merged into the VLM: {error}", file=folder, field="vlm.lora") from error


def adapter_digest(folder: Path) -> str:
    """SHA-256 (hex) over the files of an adapter. Raises InputError where one is missing."""
    _check_files(folder)
    return digest(*(file_digest(folder / name) for name in (_CONFIG, _WEIGHTS)))


def _check_files(folder: Path) -> None:
    for name in (_CONFIG, _WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(f"is no LoRA adapter: it has no {name}", file=folder, field="vlm.lora")
