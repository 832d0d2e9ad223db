from __future__ import annotations

import io
from pathlib import Path

import datasets
import pytest
from PIL import Image

from shotsmith.data import hub
from shotsmith.data.load import load_splits
from shotsmith.errors import DataError
from shotsmith.recipe import DataSettings
from shotsmith.recipe.data import HubSettings, TableColumns

COLUMNS = TableColumns(image="photo", question="asked", answers="kind")


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), (number, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def data_of(rows: range) -> datasets.Dataset:
    features = datasets.Features(
        photo=datasets.Image(), asked=datasets.Value("string"), kind=datasets.ClassLabel(names=["cat", "dog"])
    )
    values = {
        "photo": [{"bytes": png(row), "path": None} for row in rows],
        "asked": [f"what is {row}?" for row in rows],
        "kind": [row % 2 for row in rows],
    }
    return datasets.Dataset.from_dict(values, features=features)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "saved"
    datasets.DatasetDict(train=data_of(range(10)), test=data_of(range(50, 53))).save_to_disk(str(folder))
    return folder


def settings(dataset: Path, **others) -> DataSettings:
    return DataSettings(hub=HubSettings(dataset=str(dataset), columns=COLUMNS, val_share=0.2, **others))


def test_pictures_inside_become_files_and_labels_their_names(saved: Path, tmp_path: Path):
    splits = load_splits(settings(saved, question="{text} cat or dog?"), tmp_path / "world")
    assert (len(splits.train), len(splits.val), len(splits.test)) == (8, 2, 3)
    assert splits.test[1].image.read_bytes() == png(51) and splits.test[1].image.suffix == ".png"
    assert (splits.test[1].question, splits.test[1].answers) == ("what is 51? cat or dog?", ("dog",))
    assert splits.test[0].id == 10, "rows are numbered through"


def test_a_reader_that_was_killed_goes_on_and_a_later_look_writes_nothing(saved: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(hub, "_ROWS", 3)
    written: list[bytes] = []
    write = hub.write_picture

    def failing(folder: Path, content: bytes) -> str:
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(content)
        return write(folder, content)

    monkeypatch.setattr(hub, "write_picture", failing)
    with pytest.raises(KeyboardInterrupt):
        load_splits(settings(saved), tmp_path / "world")
    (half,) = (tmp_path / "world").glob("*.list")
    with half.open("a") as out:
        out.write("cut sho")  # what a kill leaves of a line
    monkeypatch.setattr(hub, "write_picture", lambda folder, content: written.append(content) or write(folder, content))
    first = load_splits(settings(saved), tmp_path / "world")
    assert len(written) == 5 + 13 - 3, "the three rows of the first batch are not written again"
    written.clear()
    assert load_splits(settings(saved), tmp_path / "world") == first and not written
    assert {one.image.read_bytes() for one in first.test} == {png(row) for row in range(50, 53)}


def test_local_files_are_loaded_through_the_library(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "files").mkdir()
    for name, rows in (("train", range(6)), ("test", range(6, 8))):
        data_of(rows).remove_columns("photo").to_parquet(str(tmp_path / "files" / f"{name}.parquet"))
    columns = COLUMNS.model_copy(update={"image": None})
    splits = load_splits(DataSettings(hub=HubSettings(dataset=str(tmp_path / "files"), columns=columns)), None)
    assert len(splits.test) == 2 and splits.test[0].image is None
    assert splits.test[0].answers == ("cat",)


def stored_with(folder: Path, photos: list, feature) -> None:
    """A data set with these photos in its train split, and with one in its test split."""
    for name, chosen in (("train", photos), ("test", photos[:1])):
        rows = data_of(range(len(chosen)) if name == "train" else range(90, 91))
        features = datasets.Features({**rows.features, "photo": feature})
        values = {**rows.remove_columns("photo").to_dict(), "photo": chosen}
        datasets.Dataset.from_dict(values, features=features).save_to_disk(str(folder / name))
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')


@pytest.mark.parametrize("form", ["pictures", "paths"])
def test_a_row_has_as_many_images_as_its_column_lists(tmp_path: Path, form: str):
    contents = [[png(0)], [png(1), png(2), png(1)], [], None]
    if form == "pictures":
        photos = [one and [{"bytes": content, "path": None} for content in one] for one in contents]
        stored_with(tmp_path / "saved", photos, datasets.List(datasets.Image()))
    else:
        for number in range(3):
            (tmp_path / f"{number}.png").write_bytes(png(number))
        paths = [["0.png"], ["1.png", "2.png", "1.png"], [], None]
        photos = [one and [str(tmp_path / name) for name in one] for one in paths]
        stored_with(tmp_path / "saved", photos, datasets.List(datasets.Value("string")))
    columns = HubSettings(dataset=str(tmp_path / "saved"), columns=COLUMNS, val_share=0.0)
    for _again in range(2):
        splits = load_splits(DataSettings(hub=columns), tmp_path / "world", check=False)
        found = [[image.read_bytes() for image in example.images] for example in splits.train]
        assert found == [one or [] for one in contents]
        assert len({example.image_id for example in splits.train}) == 4, "rows without images differ by their questions"


def test_a_row_without_an_image_is_logged_where_others_have_one(tmp_path: Path, caplog):
    stored_with(tmp_path / "saved", [{"bytes": png(0), "path": None}, None], datasets.Image())
    caplog.set_level("INFO", "shotsmith.data.load")
    columns = HubSettings(dataset=str(tmp_path / "saved"), columns=COLUMNS, val_share=0.0)
    load_splits(DataSettings(hub=columns), tmp_path / "world", check=False)
    assert "examples without an image: train 1" in caplog.text


def test_a_row_without_a_usable_picture_is_named_or_skipped(tmp_path: Path):
    for number in (0, 1, 3):
        (tmp_path / f"{number}.png").write_bytes(png(number))
    photos = [str(tmp_path / "0.png"), str(tmp_path / "1.png"), " ", str(tmp_path / "3.png")]
    stored_with(tmp_path / "saved", photos, datasets.Value("string"))
    with pytest.raises(DataError, match="holds no picture") as caught:
        load_splits(settings(tmp_path / "saved"), tmp_path / "world", check=False)
    assert (caught.value.row, caught.value.field) == (2, "photo")
    skipping = settings(tmp_path / "saved").model_copy(update={"skip_bad": True})
    splits = load_splits(skipping, tmp_path / "world", check=False)
    assert len(splits.train) + len(splits.val) == 3


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"test": "dev"}, "no split 'dev'; there are train, test"),
        ({"columns": TableColumns(image="photo", question="said", answers="kind")}, "no such column"),
        ({"dataset": "/nowhere/at/all"}, "cannot be loaded"),
    ],
)
def test_what_is_not_there_is_named(saved: Path, tmp_path: Path, change: dict, problem: str):
    found = settings(saved).hub.model_copy(update=change)
    with pytest.raises(DataError, match=problem):
        load_splits(DataSettings(hub=found), tmp_path / "world")
