"""The models that come with the package, so that the main job needs no hub: where their folders are."""

from __future__ import annotations

from pathlib import Path

VLM_PATH = Path(__file__).parent / "vlm"
"""A tiny `Qwen2_5_VLForConditionalGeneration` with its processor and chat template."""

CLIP_PATH = Path(__file__).parent / "clip"
"""A tiny `CLIPModel` with its processor."""
