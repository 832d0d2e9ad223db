"""A selector saved in one folder, moved, and loaded where nothing else is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_encoders import save_bert, save_dinov2

import shotsmith
from shotsmith.embeddings.embedded import Embedded
from shotsmith.errors import CheckpointError, InputError
from shotsmith.library.exported import CARD, load_card
from shotsmith.recipe import EncoderSettings, PrecomputedSettings
from shotsmith.records import Example
from shotsmith.runs import Run

_ELSEWHERE = """
import json, sys
import shotsmith
selector = shotsmith.load(sys.argv[1])
chosen = selector.select_many([{"image": picture, "question": "what is it for?"} for picture in sys.argv[2:]], shots=4)
print(json.dumps([[one.ids, one.scores, len(json.dumps(one.messages()))] for one in chosen]))
"""


@pytest.fixture(scope="module")
def trained(finished: Run) -> shotsmith.Selector:
    return shotsmith.load(finished.folder)


def test_a_moved_selector_selects_the_same_without_run_or_cache(
    finished: Run, trained: shotsmith.Selector, tmp_path: Path
) -> None:
    pictures = [tmp_path / f"query{number}.png" for number in range(5)]
    for picture, source in zip(pictures, sorted((finished.world / "test2014").glob("*.png")), strict=False):
        shutil.copy(source, picture)
    trained.save(tmp_path / "saved", images=True)
    (tmp_path / "saved").rename(tmp_path / "moved")
    hidden = finished.folder.with_name("hidden")
    finished.folder.rename(hidden)
    try:
        environment = {**os.environ, "SHOTSMITH_CACHE": str(tmp_path / "none"), "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-c", _ELSEWHERE, str(tmp_path / "moved"), *map(str, pictures)]
        found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    finally:
        hidden.rename(finished.folder)
    chosen = trained.select_many([{"image": one, "question": "what is it for?"} for one in pictures], shots=4)
    expected = [[list(one.ids), list(one.scores), len(json.dumps(one.messages()))] for one in chosen]
    assert json.loads(found.stdout) == expected


def test_training_free_selectors_are_saved_too(rows: list[Mapping[str, Any]], tmp_path: Path) -> None:
    free = shotsmith.selector("mixed").index(rows)
    free.remove(["case 1"])
    free.save(tmp_path / "saved")
    loaded = shotsmith.load(tmp_path / "saved")
    assert loaded.bank.ids == tuple(row["id"] for row in rows if row["id"] != "case 1")
    query = {"image": rows[1]["image"], "question": rows[1]["question"]}
    assert loaded.select(**query).ids == free.select(**query).ids
    assert loaded.select(**query).scores == free.select(**query).scores


def test_the_card_says_what_was_measured(finished: Run, trained: shotsmith.Selector, tmp_path: Path) -> None:
    trained.save(tmp_path / "saved")
    card = load_card(tmp_path / "saved")
    assert card.encoder_identity and card.vlm_identity and card.best_free
    assert {(row.selector, row.shots) for row in card.results} >= {("grpo", 1), ("grpo", "mean"), (card.best_free, 2)}
    assert card.bank is not None and card.bank.digest == trained.bank.digest


def test_every_file_that_is_changed_or_missing_is_refused(trained: shotsmith.Selector, tmp_path: Path) -> None:
    trained.save(tmp_path / "saved", images=True, encoder=True)
    saved = tmp_path / "saved"
    one_image = next((saved / "images").iterdir())
    # The model card is for people: nothing is read from it.
    left_out = {*(saved / "images").iterdir(), saved / "README.md"}
    files = [path for path in saved.rglob("*") if path.is_file() and path not in left_out] + [one_image]
    assert {"selector.json", "manifest.json", "policy.safetensors", "bank.jsonl"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        # The card is read as JSON: a space at its end changes nothing.
        added = b"x" if path.name == CARD else b" "
        for spoiled in (content[:-2], content + added, bytes([content[0] ^ 1]) + content[1:], None):
            path.unlink() if spoiled is None else path.write_bytes(spoiled)
            with pytest.raises(InputError):
                shotsmith.load(saved).bank  # noqa: B018
        path.write_bytes(content)
    assert shotsmith.load(saved).bank.ids == trained.bank.ids


def test_a_changed_card_is_refused(trained: shotsmith.Selector, tmp_path: Path) -> None:
    trained.save(tmp_path / "saved")
    file = tmp_path / "saved" / CARD
    told = json.loads(file.read_text())
    told["shots"] = [1]
    file.write_text(json.dumps(told))
    with pytest.raises(CheckpointError, match="was changed since it was written"):
        shotsmith.load(tmp_path / "saved")


def test_a_copied_encoder_is_used(trained: shotsmith.Selector, tmp_path: Path, pictures: list[Path]) -> None:
    trained.save(tmp_path / "saved", encoder=True)
    loaded = shotsmith.load(tmp_path / "saved")
    assert Path(loaded.card.encoder.path) == tmp_path / "saved" / "encoder"
    query = {"image": pictures[0], "question": "what is it for?"}
    assert loaded.select(**query).scores == trained.select(**query).scores


def test_encoders_of_images_and_of_texts_are_copied_and_used(rows: list[Mapping[str, Any]], tmp_path: Path) -> None:
    save_dinov2(tmp_path / "vision")
    save_bert(tmp_path / "sentence")
    settings = EncoderSettings(image=str(tmp_path / "vision"), text=str(tmp_path / "sentence"))
    free = shotsmith.selector("mixed", encoder=settings).index(rows)
    query = {"image": rows[1]["image"], "question": "what is this ?"}
    expected = free.select(**query)
    free.save(tmp_path / "saved")
    for name in ("vision", "sentence"):
        shutil.rmtree(tmp_path / name)
    (tmp_path / "saved").rename(tmp_path / "moved")
    assert not (tmp_path / "moved" / "encoder").exists(), "the package's own encoder is not used"
    found = shotsmith.load(tmp_path / "moved").select(**query)
    assert (found.ids, found.scores) == (expected.ids, expected.scores)


def test_new_queries_of_a_bank_with_precomputed_embeddings_bring_their_own(
    rows: list[Mapping[str, Any]], tmp_path: Path
) -> None:
    vectors = np.eye(12, 16, dtype=np.float32)
    np.savez(tmp_path / "texts.npz", ids=np.arange(100, 112), embeddings=vectors)
    numbered = [{**row, "id": 100 + number} for number, row in enumerate(rows)]
    settings = EncoderSettings(precomputed=PrecomputedSettings(texts=tmp_path / "texts.npz"))
    shotsmith.selector("text_similar", encoder=settings).index(numbered).save(tmp_path / "saved")
    loaded = shotsmith.load(tmp_path / "saved")
    with pytest.raises(InputError, match="give its embedding"):
        loaded.select(question="what is it for?")
    query = Example(0, (), 0, "what is it for?", ("",))
    given = Embedded(np.zeros((1, 0), dtype=np.float32), vectors[[5]])
    assert loaded.select_embedded((query,), given, shots=1)[0].ids == (105,)


def test_images_left_behind_are_named_when_messages_need_them(
    rows: list[Mapping[str, Any]], tmp_path: Path, pictures: list[Path]
) -> None:
    moved = []
    for row in rows[:4]:
        moved.append({**row, "image": shutil.copy(row["image"], tmp_path)})
    shotsmith.selector("mixed").index(moved).save(tmp_path / "saved")
    for row in moved:
        Path(row["image"]).unlink()
    chosen = shotsmith.load(tmp_path / "saved").select(image=pictures[9], question="what is it called?", shots=2)
    with pytest.raises(InputError, match="no such file"):
        chosen.messages()
    assert chosen.messages(images="id")[0]["content"][0]["image_url"]["url"] == chosen.ids[0]


def test_other_folders_are_not_overwritten(trained: shotsmith.Selector, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds something else"):
        trained.save(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_what_is_no_selector_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a run, nor a checkpoint, nor an exported selector"):
        shotsmith.load(tmp_path)
    with pytest.raises(InputError, match=r"all: no such folder$"):
        shotsmith.load(tmp_path / "nothing" / "here" / "at" / "all")
