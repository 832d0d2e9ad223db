"""Text-only classification as GLUE ships it."""

from __future__ import annotations

from pathlib import Path

import pytest

from shotsmith.data.load import load_splits
from shotsmith.data.table import read_table
from shotsmith.errors import DataError, RecipeError
from shotsmith.recipe import DataSettings, TableColumns, TextsSettings, parse_recipe

TRAIN = 'sentence\tlabel\nhide new secretions \t0\nsaid "wow \t1\nloves its characters \t1\n'
DEV = "sentence\tlabel\nunflinchingly bleak \t0\nit 's charming \t1\n"


@pytest.fixture
def settings(tmp_path: Path) -> TextsSettings:
    (tmp_path / "train.tsv").write_text(TRAIN, encoding="utf-8-sig")
    (tmp_path / "dev.tsv").write_text(DEV)
    return TextsSettings(train=tmp_path / "train.tsv", test=tmp_path / "dev.tsv", val_share=0.34)


def test_sst2_is_read_as_it_is_shipped(settings: TextsSettings):
    splits = load_splits(DataSettings(texts=settings))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (2, 1, 2)
    assert splits.test[1].question == "Is this sentence positive or negative? it 's charming "
    assert [one.answers for one in splits.test] == [("negative",), ("positive",)]
    assert all(one.image is None for part in splits.named().values() for one in part)
    everything = sorted((*splits.train, *splits.val), key=lambda one: one.id)
    assert 'said "wow' in everything[1].question, "a quotation mark is no quoting in a .tsv"
    assert DataSettings(texts=settings).metric == "exact_match"


def test_equal_texts_count_as_the_same_picture(settings: TextsSettings):
    settings.train.write_text(TRAIN + "hide new secretions \t0\n")
    splits = load_splits(DataSettings(texts=settings))
    twins = [one for part in (splits.train, splits.val) for one in part if "hide" in one.question]
    assert len(twins) == 2 and twins[0].image_id == twins[1].image_id
    settings.test.write_text(DEV + "loves its characters \t1\n")
    with pytest.raises(DataError, match=r"text .* is in the (train|val) and test splits"):
        load_splits(DataSettings(texts=settings))


BAD = {
    "a label without a name": ("fine\t2\n", "label"),
    "a field too many": ("fine\t1\t1\n", None),
    "an empty text": (" \t1\n", "sentence"),
    "no label": ("fine\t\n", "label"),
}


@pytest.mark.parametrize(("line", "field"), BAD.values(), ids=BAD)
def test_a_bad_row_is_named_or_skipped_alone(settings: TextsSettings, tmp_path: Path, line: str, field: str | None):
    settings.test.write_text(DEV + line + "dull\t0\n")
    with pytest.raises(DataError) as caught:
        load_splits(DataSettings(texts=settings))
    assert (caught.value.file, caught.value.row, caught.value.field) == (str(settings.test), 2, field)
    splits = load_splits(DataSettings(texts=settings, skip_bad=True), skipped=tmp_path / "skipped.jsonl")
    assert len(splits.test) == 3
    assert len((tmp_path / "skipped.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("content", ["", "label\tlabel\n1\t0\n"])
def test_a_file_without_names_of_columns_is_refused(settings: TextsSettings, content: str):
    settings.test.write_text(content)
    with pytest.raises(DataError, match="head line"):
        load_splits(DataSettings(texts=settings))


def test_a_file_without_the_column_names_it(settings: TextsSettings):
    settings.test.write_text("index\tsentence\n0\tfine\n")
    with pytest.raises(DataError, match="is missing") as caught:
        load_splits(DataSettings(texts=settings))
    assert caught.value.field == "label"


def test_a_question_that_leaves_the_text_out_is_refused(settings: TextsSettings):
    texts = settings.model_dump(mode="json") | {"question": "good or bad?"}
    with pytest.raises(RecipeError, match="where the text goes"):
        parse_recipe({"name": "a", "data": {"texts": texts}})


def test_csv_quotes_and_whole_numbers_are_read_by_the_table(tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text('key,text,kind\n7,"good, ""really""\nso",+\n9,bad,-\n')
    columns = TableColumns(id="key", image=None, question="text", answers="kind")
    examples = read_table(file, columns)
    assert [(one.id, one.question, one.answers) for one in examples] == [
        (7, 'good, "really"\nso', ("+",)),
        (9, "bad", ("-",)),
    ]
    file.write_text("key,text,kind\nx,bad,-\n")
    with pytest.raises(DataError, match="not a whole number"):
        read_table(file, columns)
