"""A selector exchanged through the Hub, whose API a server on 127.0.0.1 stands in for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hub_stub import Hub, serving
from huggingface_hub import constants

import shotsmith
from shotsmith.errors import CheckpointError, InputError, ShotsmithError
from shotsmith.library.exported import load_card
from shotsmith.recipe import VLMSettings
from shotsmith.runs import Run

_ELSEWHERE = """
import json, sys
import shotsmith
selector = shotsmith.Selector.from_pretrained("lab/selector", revision=sys.argv[1])
chosen = selector.select_many([{"image": picture, "question": "what is it for?"} for picture in sys.argv[2:]], shots=4)
print(json.dumps([[one.ids, one.scores] for one in chosen]))
"""


@pytest.fixture(scope="module")
def trained(finished: Run) -> shotsmith.Selector:
    return shotsmith.load(finished.folder)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with serving() as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.address)
        template = f"{served.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield served


def _ids_and_scores(selector: shotsmith.Selector, pictures: list[Path]) -> list[list[Any]]:
    queries = [{"image": one, "question": "what is it for?"} for one in pictures[:6]]
    return [[list(one.ids), list(one.scores)] for one in selector.select_many(queries, shots=4)]


def test_a_pushed_selector_selects_the_same_to_the_bit_at_its_revision(
    hub: Hub, trained: shotsmith.Selector, pictures: list[Path], tmp_path: Path
) -> None:
    url = trained.push_to_hub("lab/selector", private=True, token="hf_secret", commit_message="First")
    first = url.rsplit("/", 1)[-1]
    shotsmith.selector("mixed").index(trained.bank, embeddings=trained.embedded).push_to_hub("lab/selector")
    assert hub.made[0]["visibility"] == "private" and hub.messages[0] == "First" and "Bearer hf_secret" in hub.tokens
    assert "policy.safetensors" not in hub.files("lab/selector"), "files of the earlier selector are removed"
    environment = {
        **os.environ,
        **{
            "HF_ENDPOINT": hub.address,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
        },
        "TRANSFORMERS_OFFLINE": "0",
        "SHOTSMITH_CACHE": str(tmp_path / "none"),
    }
    command = [sys.executable, "-c", _ELSEWHERE, first, *map(str, pictures[:6])]
    found = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == _ids_and_scores(trained, pictures)
    latest = shotsmith.load("lab/selector")
    assert latest.name == "mixed" and latest.bank.ids == trained.bank.ids


def test_a_branch_is_made_and_images_are_uploaded_only_when_asked(hub: Hub, trained: shotsmith.Selector) -> None:
    trained.push_to_hub("lab/selector", revision="draft")
    files = hub.files("lab/selector", "draft")
    assert {"README.md", "selector.json", "policy.safetensors", "bank.jsonl"} <= files.keys()
    assert not any(name.endswith((".png", ".jpg", ".bin", ".pt", ".pkl")) for name in files)
    assert "selector.json" not in hub.files("lab/selector")
    trained.push_to_hub("lab/selector", images=True)
    assert sum(name.startswith("images/") for name in hub.files("lab/selector")) > 10
    loaded = shotsmith.Selector.from_pretrained("lab/selector")
    assert loaded.bank.digest == trained.bank.digest


def test_no_folder_and_no_server_of_this_machine_is_uploaded(
    hub: Hub, trained: shotsmith.Selector, finished: Run
) -> None:
    settings = {"server": {"url": "http://gpu7.internal:8000/v1", "model": "qwen", "api_key_env": "OUR_KEY"}}
    data = {"table": {"test": str(finished.folder / "test.csv")}}
    card = trained.card.model_copy(update={"vlm": VLMSettings.model_validate(settings), "data": data})
    other = shotsmith.load(finished.folder)
    other.card = card
    other.push_to_hub("lab/selector")
    for name, content in hub.files("lab/selector").items():
        for told in (str(finished.folder.parent), str(Path.home()), "gpu7", "OUR_KEY"):
            assert told.encode() not in content, name
    loaded = shotsmith.Selector.from_pretrained("lab/selector")
    assert loaded.card.data == {"table": {"test": "test.csv"}}


def test_a_tampered_file_of_a_repository_is_refused(hub: Hub, trained: shotsmith.Selector) -> None:
    trained.push_to_hub("lab/selector")
    files = hub.files("lab/selector")
    for name in ("policy.safetensors", "bank.jsonl", "selector.json"):
        content = files[name]
        changed = content.replace(b'"shots"', b'"shotz"', 1) if name == "selector.json" else content[:-1] + b"~"
        hub.commit("lab/selector", "main", {**files, name: changed})
        with pytest.raises(CheckpointError):
            shotsmith.Selector.from_pretrained("lab/selector")
    hub.commit("lab/selector", "main", {**files, "README.md": b"# My own page\n"})
    assert shotsmith.Selector.from_pretrained("lab/selector").bank.ids == trained.bank.ids


def test_an_image_outside_the_folder_is_refused(rows: list[Mapping[str, Any]], tmp_path: Path) -> None:
    shotsmith.selector("mixed").index(rows).save_pretrained(tmp_path / "saved", images=True)
    told = [json.loads(line) for line in (tmp_path / "saved" / "bank.jsonl").read_text().splitlines()]
    told[3]["images"] = ["images/../../secret.png"]
    _reseal(tmp_path / "saved", "\n".join(map(json.dumps, told)))
    with pytest.raises(CheckpointError, match=r"row 3: names an image outside the folder"):
        _ = shotsmith.Selector.from_pretrained(tmp_path / "saved").bank


def _reseal(folder: Path, bank: str) -> None:
    """Change the bank as somebody would who may change every file."""
    from shotsmith.files import file_digest, write_json

    (folder / "bank.jsonl").write_text(bank)
    card = load_card(folder)
    files = {**card.files, "bank.jsonl": file_digest(folder / "bank.jsonl")}
    write_json(folder / "selector.json", card.model_copy(update={"files": files}).sealed().model_dump(mode="json"))


def test_the_hub_saying_no_is_told(hub: Hub, trained: shotsmith.Selector) -> None:
    with pytest.raises(InputError, match="lab/nothing: no such folder, and no selector on the Hub"):
        shotsmith.Selector.from_pretrained("lab/nothing")
    with pytest.raises(InputError, match="no name of a repository"):
        trained.push_to_hub("not a name!")
    hub.branches["lab/selector", "main"] = "lost"
    with pytest.raises(ShotsmithError, match="the Hub refused the upload to 'lab/selector'"):
        trained.push_to_hub("lab/selector")


def test_a_folder_is_loaded_by_either_name(trained: shotsmith.Selector, pictures: list[Path], tmp_path: Path) -> None:
    assert trained.save_pretrained(tmp_path / "saved") == tmp_path / "saved"
    loaded = shotsmith.Selector.from_pretrained(tmp_path / "saved", device="cpu")
    assert _ids_and_scores(loaded, pictures) == _ids_and_scores(trained, pictures)
    assert isinstance(loaded, shotsmith.Selector)


def test_the_model_card_says_what_the_card_says(trained: shotsmith.Selector, tmp_path: Path) -> None:
    trained.save_pretrained(tmp_path / "saved")
    page, card = (tmp_path / "saved" / "README.md").read_text(), load_card(tmp_path / "saved")
    _, front, body = page.split("---\n", 2)
    assert yaml.safe_load(front)["license"] == "apache-2.0" and yaml.safe_load(front)["library_name"] == "shotsmith"
    assert card.bank is not None and card.bank.digest in body and f"{card.bank.size} examples" in body
    assert card.encoder_identity in body and card.vlm_identity in body and "template `qwen`" in body
    leading = card.results[0].metric
    for row in card.results:
        told = f"{row.accuracy:.1f} ({row.low:.1f} to {row.high:.1f})"
        assert (row.metric != leading) or told in body, row
    assert f"{card.best_free} (best free selector)" in body and "world:" in body
    assert f"{card.results[0].n} held-out test queries" in body


def test_the_model_card_names_models_and_data_of_the_hub(rows: list[Mapping[str, Any]], tmp_path: Path) -> None:
    free = shotsmith.selector("mixed", vlm="Qwen/Qwen2.5-VL-3B-Instruct").index(rows)
    free.card = free.card.model_copy(update={"data": {"hub": {"dataset": "lab/data"}}})
    free.save_pretrained(tmp_path / "saved")
    page = (tmp_path / "saved" / "README.md").read_text()
    front = yaml.safe_load(page.split("---\n", 2)[1])
    assert front["base_model"] == "Qwen/Qwen2.5-VL-3B-Instruct" and front["datasets"] == ["lab/data"]
    assert "It has not been evaluated." in page and "training-free selector 'mixed'" in page
