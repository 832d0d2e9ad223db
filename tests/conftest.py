"""What every test runs under: one thread, no network, the same random examples each time."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before anything imports torch or transformers.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
if "SHOTSMITH_TEST_GPU" not in os.environ:  # `make test-gpu` asks for one; all other tests compare bits of a CPU
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

import pytest
from hypothesis import settings
from PIL import Image

settings.register_profile("deterministic", derandomize=True, database=None, deadline=None, max_examples=60)
settings.load_profile("deterministic")


@dataclass
class OfficialFiles:
    """A split in the official layout, as plain values that a test may spoil before it writes them."""

    folder: Path
    subtype: str
    questions: dict[str, Any]
    annotations: dict[str, Any]

    @property
    def paths(self) -> tuple[Path, Path, Path]:
        """Questions file, annotations file, image folder."""
        return (
            self.folder / f"OpenEnded_mscoco_{self.subtype}_questions.json",
            self.folder / f"mscoco_{self.subtype}_annotations.json",
            self.folder / self.subtype,
        )

    def image(self, row: int, extension: str = ".png") -> Path:
        """The image of a row of the questions file."""
        number = self.questions["questions"][row]["image_id"]
        return self.paths[2] / f"COCO_{self.subtype}_{number:012d}{extension}"

    def write(self) -> tuple[Path, Path, Path]:
        """Write the two JSON files; returns `paths`."""
        questions, annotations, images = self.paths
        questions.write_text(json.dumps(self.questions))
        annotations.write_text(json.dumps(self.annotations))
        return questions, annotations, images


@pytest.fixture
def official_files(tmp_path: Path) -> Callable[..., OfficialFiles]:
    """Makes a split of `count` questions, one image each, every image of another colour; ids begin at `first`."""

    def make(count: int = 4, subtype: str = "train2014", first: int = 1) -> OfficialFiles:
        numbers = range(first, first + count)
        files = OfficialFiles(
            tmp_path,
            subtype,
            {
                "data_subtype": subtype,
                "questions": [{"question_id": n, "image_id": 10 * n, "question": f"what is {n}?"} for n in numbers],
            },
            {
                "annotations": [
                    {
                        "question_id": n,
                        "image_id": 10 * n,
                        "question_type": f"type {n % 2}",
                        "answer_type": "other",
                        "answers": [
                            {"answer": f"it is {n}", "answer_confidence": "yes", "answer_id": a} for a in range(1, 11)
                        ],
                    }
                    for n in numbers
                ]
            },
        )
        files.paths[2].mkdir()
        for row, n in enumerate(numbers):
            Image.new("RGB", (4, 4), (n % 256, n // 256, 0)).save(files.image(row))
        files.write()
        return files

    return make


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, also where the tests run in the background of a shell that ignores it there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
