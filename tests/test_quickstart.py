"""The README's quickstart, word for word, with a folder of pictures, a CSV and a served VLM."""

from __future__ import annotations

import base64
import csv
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from real_server import serving

from shotsmith.data.load import load_splits
from shotsmith.data.world import make_world
from shotsmith.recipe import DataSettings, WorldSettings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.S)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new user's folder: pictures, examples.csv, and a picture that is not among them."""
    world = WorldSettings(bank=60, train=10, val=1, test=4, careless_sources=0)
    make_world(tmp_path / "world", world)
    splits = load_splits(DataSettings(world=world, train_queries=1, val_queries=1, test_queries=1), tmp_path / "world")
    (tmp_path / "photos").mkdir()
    with (tmp_path / "examples.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "question", "answers"])
        for example in splits.bank:
            assert example.image is not None
            name = f"photos/{example.id}.png"
            (tmp_path / name).write_bytes(example.image.read_bytes())
            table.writerow([name, example.question, example.answer])
    assert splits.test[0].image is not None
    with Image.open(splits.test[0].image) as picture:
        picture.convert("RGB").save(tmp_path / "new.jpg", quality=95)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOTSMITH_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_the_three_lines_choose_demonstrations(folder: Path) -> None:
    block = blocks("py")[0]
    assert len([line for line in block.splitlines() if line and not line.startswith(("import", "#"))]) == 3
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert len(names["chosen"].ids) == 4
    content = names["messages"][-1]["content"]
    assert [part["type"] for part in content] == ["image_url", "text"] * 5
    assert "What is it called?" in content[-1]["text"]


def test_both_readmes_show_the_same_lines() -> None:
    def code(page: str) -> list[str]:
        return [line.split("#")[0].rstrip() for line in blocks("py", page)[0].splitlines()]

    assert code(README) == code((ROOT / "README.zh-CN.md").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_program_gets_demonstrations_by_another_address(folder: Path) -> None:
    pytest.importorskip("openai")
    (command,) = [block for block in blocks("sh") if "--upstream" in block]
    url = {"type": "image_url", "image_url": {"url": _data_url(folder / "new.jpg")}}
    question = [url, {"type": "text", "text": "what is it called?"}]
    with serving(folder) as upstream:
        arguments = shlex.split(command.replace("http://127.0.0.1:8000/v1", upstream).replace("8700", "0"))[1:]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "shotsmith", *arguments], stdout=log, stderr=log)
        try:
            address = _address(folder / "log", process)
            names: dict[str, Any] = {"question_with_picture": question}
            block = blocks("py")[1].replace("http://127.0.0.1:8700", address)
            exec(compile(block, "README.md", "exec"), names)
            with_them = names["reply"].choices[0].message.content
            header = (
                names["client"]
                .chat.completions.with_raw_response.create(
                    model="vlm", messages=[{"role": "user", "content": question}]
                )
                .headers["x-shotsmith-selection"]
            )
        finally:
            process.terminate()
            assert process.wait(30) == 0
    assert with_them and header


def _data_url(file: Path) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(file.read_bytes()).decode()}"


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    import time

    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:[1-9]\d*", log.read_text().replace("8000", "")):
            return found[0]
        time.sleep(0.2)
    raise AssertionError(log.read_text())
