"""Image paths of a data set from others lead to no file outside it."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest
from PIL import Image

from shotsmith.data.hub import read_hub
from shotsmith.data.table import read_table
from shotsmith.errors import DataError
from shotsmith.recipe import TableColumns
from shotsmith.recipe.data import HubDataset


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "home" / "secret.png"
    file.parent.mkdir()
    Image.new("RGB", (2, 2)).save(file)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link.png").symlink_to(file)
    (tmp_path / "data" / "folder").symlink_to(file.parent)
    Image.new("RGB", (2, 2), (9, 9, 9)).save(tmp_path / "data" / "own.png")
    return file


WAYS = ["../home/secret.png", "{secret}", "link.png", "folder/secret.png", "folder/../home/secret.png"]


@pytest.mark.parametrize("way", WAYS)
def test_a_confined_table_refuses_the_row_and_keeps_the_others(tmp_path: Path, secret: Path, way: str) -> None:
    rows = [{"image": image, "question": "what?", "answers": "a"} for image in ("own.png", way.format(secret=secret))]
    file = tmp_path / "data" / "table.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(read_table(file, TableColumns())) == 2
    with pytest.raises(DataError, match="outside the data's folder") as caught:
        read_table(file, TableColumns(), confined=True)
    assert (caught.value.row, caught.value.field) == (1, "image")
    assert len(read_table(file, TableColumns(), confined=True, on_fault=lambda _: None)) == 1


def test_a_data_set_is_confined_where_it_comes_from_the_hub_or_the_setting_says_so(
    tmp_path: Path, secret: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path / "data")
    rows = [{"image": image, "question": "what?", "answers": "a"} for image in ("own.png", str(secret))]
    datasets.DatasetDict(train=datasets.Dataset.from_list(rows)).save_to_disk(str(tmp_path / "data" / "saved"))
    settings = HubDataset(dataset=str(tmp_path / "data" / "saved"), confined=True)
    with pytest.raises(DataError, match="outside the data's folder") as caught:
        read_hub(settings, "train", tmp_path / "pictures")
    assert caught.value.row == 1
    saved = datasets.load_from_disk(settings.dataset)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_names, **_options: saved)
    with pytest.raises(DataError, match="outside the data's folder"):
        read_hub(HubDataset(dataset="somebody/data"), "train", tmp_path / "pictures")
    allowed = settings.model_copy(update={"confined": None})
    assert [one.image.name for one in read_hub(allowed, "train", tmp_path / "pictures")] == ["own.png", "secret.png"]
