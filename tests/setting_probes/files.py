"""What recipes name by path."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import load_file, save_file
from small_clip import write_tiny_clip
from small_encoders import save_bert, save_dinov2, save_in_hub_cache
from small_import import write_import
from small_policy import WIDTH, policy_of
from small_vlm import save_plain

from shotsmith.checkpoints.native import Manifest, save_policy
from shotsmith.data.world import make_world
from shotsmith.recipe import PolicySettings, WorldSettings


def prepare_files(here: Path) -> None:
    """What recipes name by path: two worlds in the official layout, another VLM, other encoders, imported rollouts."""
    for seed, name in enumerate(("one", "other")):
        make_world(here / name, WorldSettings(seed=seed, bank=1, train=20, val=1, test=6))
    _write_tables(here / "tables")
    for name in ("one", "other"):
        write_captions(here / "captions" / name)
        _write_texts(here / "texts" / name)
    save_plain(here / "vlm")
    write_tiny_clip(here / "clip")
    _write_encoders(here)
    write_import(here / "imported")
    _write_policy(here / "policy")


def _write_policy(folder: Path) -> None:
    """A checkpoint of the policy of the recipe that is changed."""
    settings = PolicySettings(hidden_size=16, top_m=4, topics=4, dpp_rank=4)
    named = {"encoder": "encoder", "vlm": "vlm", "shots": (1, 2), "recipe": "", "seed": 5, "phase": "grpo", "epoch": 1}
    save_policy(folder, policy_of(settings), Manifest(policy=settings, embedding_width=WIDTH, **named))


def _write_encoders(here: Path) -> None:
    """An encoder of either kind, each in two revisions on the hub, and embeddings of the examples of the tables."""
    for name, save in {"vision": save_dinov2, "sentence": save_bert}.items():
        save(here / name)
    for name, save in {"clip": write_tiny_clip, "vision": save_dinov2, "sentence": save_bert}.items():
        save_in_hub_cache(here / "hub", f"owner/{name}", {"main": save, "old": partial(_save_revised, save)})
    numbers = np.arange(100)
    for seed, name in enumerate(("one", "other")):
        vectors = np.random.default_rng(seed).standard_normal((100, 6)).astype(np.float32)
        np.savez(here / f"{name}.npz", ids=numbers, embeddings=vectors)
        np.save(here / f"{name}.npy", vectors)
    for name, ids in {"ids": numbers, "turned": numbers[::-1]}.items():
        (here / f"{name}.txt").write_text("\n".join(map(str, ids)))


def _save_revised(save: Callable[[Path], object], folder: Path) -> None:
    """The model with its positions twice as large."""
    save(folder)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in sorted(weights) if "position_embedding" in name)
    save_file(weights | {name: 2 * weights[name]}, folder / "model.safetensors", {"format": "pt"})


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
            | {"options": [f"it is {number}", "it is not"]}
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


def write_captions(folder: Path) -> None:
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
