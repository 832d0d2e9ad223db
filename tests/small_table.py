"""A small table of pictures, questions and answers, and the settings that read it."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from shotsmith.recipe import DataSettings, TableSettings


def table(folder: Path, train: int = 20, test: int = 4, prefix: str = "") -> DataSettings:
    """Write a table whose image paths begin with `prefix`; the pictures lie in `folder`/pictures."""
    (folder / "pictures").mkdir(parents=True)
    for name, count in (("train", train), ("test", test)):
        rows = []
        for number in range(count):
            picture = f"{name}{number}.png"
            Image.new("RGB", (4, 4), (number, len(name), 7)).save(folder / "pictures" / picture)
            rows.append({"image": f"{prefix}pictures/{picture}", "question": "what?", "answers": "red"})
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return settings(folder)


def settings(folder: Path) -> DataSettings:
    return DataSettings(table=TableSettings(train=folder / "train.jsonl", test=folder / "test.jsonl", val_share=0.3))
