"""What recipes name by path."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image
from small_clip import write_tiny_clip
from small_import import write_import
from small_vlm import save_plain

from shotsmith.data.world import make_world
from shotsmith.recipe import WorldSettings


def prepare_files(here: Path) -> None:
    """What recipes name by path: two worlds in the official layout, another VLM, another CLIP, imported rollouts."""
    for seed, name in enumerate(("one", "other")):
        make_world(here / name, WorldSettings(seed=seed, bank=1, train=20, val=1, test=6))
    _write_tables(here / "tables")
    for name in ("one", "other"):
        _write_captions(here / "captions" / name)
        _write_texts(here / "texts" / name)
    save_plain(here / "vlm")
    write_tiny_clip(here / "clip")
    write_import(here / "imported")


def _write_tables(folder: Path) -> None:
    """Tables of which no two share an image, and every column a second time with other values."""
    for images, blue in (("images", 0), ("other", 200)):
        (folder / images).mkdir(parents=True)
        for number in range(100):
            Image.new("RGB", (4, 4), (number, 0, blue)).save(folder / images / f"{number}.png")
    for name, numbers in (("train", range(20)), ("test", range(20, 28)), ("more", range(28, 48))):
        rows = [
            {"number": number + 1000}
            | {"image": f"{number}.png", "question": f"what is {number}?", "answers": [f"it is {number}"]}
            | {"other_image": f"{number + 50}.png", "other_question": "what?", "other_answers": "it"}
            for number in numbers
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    rows = [
        {"image": f"../other/{number}.png", "question": f"what is {number}?", "answers": "it"}
        for number in range(60, 68)
    ]
    (folder / "leaving.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "faulty.jsonl").write_text((folder / "test.jsonl").read_text() + "\nno JSON")


def _write_captions(folder: Path) -> None:
    """The Karpathy split of 16 images, of another colour in each folder."""
    (folder / "val2014").mkdir(parents=True)
    rows = []
    for number, split in enumerate(["train"] * 8 + ["val"] * 3 + ["test"] * 5):
        name = f"COCO_val2014_{number:012d}.png"
        Image.new("RGB", (4, 4), (number, 0, 100 if folder.name == "one" else 200)).save(folder / "val2014" / name)
        sentences = [{"raw": f"{folder.name} picture {number}"}, {"raw": f"a picture {number}"}]
        row = {"filepath": "val2014", "filename": name, "cocoid": number, "split": split}
        rows.append(row | {"sentences": sentences})
    (folder / "dataset_coco.json").write_text(json.dumps({"images": rows}))


def _write_texts(folder: Path) -> None:
    """Texts with labels, every column a second time with other values."""
    folder.mkdir(parents=True)
    for name, numbers in (("train", range(20)), ("dev", range(20, 28)), ("more", range(28, 48))):
        lines = [f"{folder.name} {n}\t{n % 2}\tother {n}\t{(n + 1) % 2}" for n in numbers]
        (folder / f"{name}.tsv").write_text("\n".join(["sentence\tlabel\ttext\tkind", *lines]))
