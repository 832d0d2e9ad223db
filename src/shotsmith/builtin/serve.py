"""Serve the built-in VLM by `transformers serve`: `python -m shotsmith.builtin.serve --port 8000`.

Takes the options of `transformers serve`. The model's name is `vlm`, the folder's: a name that holds on every machine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub.constants import HF_HUB_CACHE
from transformers.cli.transformers import main as transformers_main

from shotsmith.builtin import VLM_PATH
from shotsmith.builtin.processor import register_processor


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted. Raises ImportError where `transformers[serving]` is not installed."""
    options = sys.argv[1:] if arguments is None else arguments
    register_processor()
    Path(HF_HUB_CACHE).mkdir(parents=True, exist_ok=True)  # what the server looks through for its list of models
    os.chdir(VLM_PATH.parent)
    sys.argv = ["transformers", "serve", VLM_PATH.name, *options]
    transformers_main()


if __name__ == "__main__":
    main()
