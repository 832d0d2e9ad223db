"""The most memory that a stage's processes have held, whatever became of them."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shotsmith.errors import InputError, WriteError
from shotsmith.memory import PeakMemory, peak_resident_bytes

KILLED = """
import os, sys, time
from pathlib import Path
from shotsmith.memory import PeakMemory
file = Path(sys.argv[1])
with PeakMemory(file, "train", seconds=0.01) as peak:
    before = peak.bytes
    block = b"x" * (200 << 20)
    while peak.bytes < before + (190 << 20):
        time.sleep(0.01)
    os.kill(os.getpid(), 9)
"""


GIVEN_BACK = """
from shotsmith.memory import peak_resident_bytes, resident_bytes
block = b"x" * (100 << 20)
with_it = peak_resident_bytes()
late = 10 << 20  # the kernel's counts of a process's pages are a little late
assert with_it > resident_bytes() - late > len(block) - late
del block
assert peak_resident_bytes() > with_it - late > resident_bytes() + (50 << 20)
"""


def test_the_peak_stays_when_memory_is_given_back() -> None:
    """In a process of its own: the peak of this one may be older."""
    subprocess.run([sys.executable, "-c", GIVEN_BACK], check=True)


def test_an_attempt_that_is_killed_is_on_record_with_what_it_held(tmp_path: Path) -> None:
    file = tmp_path / "memory.json"
    subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False)
    killed = json.loads(file.read_text())["train"]
    assert killed > 190 << 20


def test_the_most_of_all_attempts_counts_for_each_stage_alone(tmp_path: Path) -> None:
    file = tmp_path / "memory.json"
    file.write_text(json.dumps({"train": 1 << 50}))
    with PeakMemory(file, "train") as train:
        pass
    with PeakMemory(file, "evaluate") as evaluate:
        pass
    assert train.bytes == 1 << 50
    assert 0 < evaluate.bytes <= peak_resident_bytes()
    assert json.loads(file.read_text()) == {"train": 1 << 50, "evaluate": evaluate.bytes}


def test_an_attempt_that_fails_is_on_record(tmp_path: Path) -> None:
    with pytest.raises(KeyError), PeakMemory(tmp_path / "memory.json", "train"):
        raise KeyError
    assert json.loads((tmp_path / "memory.json").read_text())["train"] > 0


@pytest.mark.parametrize("content", ["", "[1]", '{"train": "much"}', '{"train": true}'])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "memory.json").write_text(content)
    with pytest.raises(InputError, match=r"memory\.json"):
        PeakMemory(tmp_path / "memory.json", "train")


def test_a_disk_that_does_not_take_it_is_an_error_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []

    def take_the_first(file: Path, value: object) -> None:
        tried.append(value)
        if len(tried) > 1:
            raise WriteError("No space left on device", file=file)

    peaks = itertools.count(1)
    monkeypatch.setattr("shotsmith.memory.peak_resident_bytes", lambda: next(peaks))
    monkeypatch.setattr("shotsmith.memory.write_json", take_the_first)
    attempt = PeakMemory(tmp_path / "memory.json", "train", seconds=0.001)
    with pytest.raises(WriteError), attempt:
        while len(tried) < 3:
            time.sleep(0.001)
    assert attempt.bytes == 1
