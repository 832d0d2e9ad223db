"""The examples of docs/serving.md run, one after another, where a run and a picture are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from shotsmith.runs import Run

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"


def test_the_examples_of_the_page_run(
    finished: Run, rows: list[Mapping[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(finished.folder)
    Image.open(rows[0]["image"]).convert("RGB").save(tmp_path / "a.jpg")
    lines = (json.dumps({**row, "image": str(row["image"]), "id": None} | {"id": n}) for n, row in enumerate(rows))
    (tmp_path / "bank.jsonl").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 5
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert len(blocks[0].strip().splitlines()) - 2 == 3
    assert names["messages"][-1]["role"] == "user" and len(names["many"]) == 2
    assert 0 < len(names["chosen"].ids) <= 3
    assert (tmp_path / "selectors" / "demo" / "selector.json").exists()
