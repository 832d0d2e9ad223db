"""Settings of the data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from shotsmith.metrics.table import DEFAULT, METRICS, OF_CAPTIONS, OF_LABELS, check_metric
from shotsmith.plugins import Table
from shotsmith.recipe.base import Count, Seed, Settings, Share

MetricName = Annotated[str, AfterValidator(check_metric)]
"""A name in the table of metrics."""
Wording = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
SplitSize = Annotated[int, Field(strict=True, ge=1, le=100_000)]

SOURCES = ("world", "okvqa", "table", "captions", "texts", "hub", "reader")
"""The sections of `data` of which a recipe gives one."""
READERS: Table[Callable[[Mapping[str, Any]], object]] = Table("shotsmith.data")
"""Readers of data sets that packages add. Each makes `data.splits.Splits` of its options, or raises DataError."""
BANK_SOURCES = ("okvqa", "table", "captions", "texts", "hub")
"""The sections of `data.bank` of which a recipe gives one."""


FIRST_WORLD: Mapping[str, object] = {
    "bank": None,
    "train": 6000,
    "artefacts": "few",
    "direct_answers": True,
    "careless_sources": 0,
    "near_duplicates": 0.0,
    "changing_keepers": True,
}
"""The world of the first version, in which similarity search over all examples answers nearly everything."""


class WorldSettings(Settings):
    """The built-in data set, drawn on the spot (see docs/world.md).

    `preset: first` gives the world of the first version; other settings go on top.
    """

    seed: Seed = 0
    """Which world: facts, artefacts, questions and pictures all follow from it."""
    bank: Count | None = 5000
    """Examples that can be shown, apart from the queries; null: the train split is the bank."""
    train: SplitSize = 4000
    """Examples of the train split: training queries, asked like test queries where there is a bank."""
    val: SplitSize = 800
    """Examples of the validation split."""
    test: SplitSize = 1600
    """Examples of the test split."""
    artefacts: Literal["all", "few"] = "all"
    """All 64 combinations of shape and colour, or 15 of them. Real data: the long tail of things asked about."""
    direct_answers: bool = False
    """Whether the bank also records answers to composite questions. Real data: nobody has asked quite this before."""
    careless_sources: Annotated[int, Field(strict=True, ge=0, le=2)] = 1
    """How many of the four backgrounds mark records that are mostly wrong. Real data: sources that label carelessly."""
    near_duplicates: Share = 0.2
    """Share of the bank that photographs another record's scene anew. Real data: reposts and frames of one video."""
    changing_keepers: bool = True
    """Whether keepers have changed, so that order matters. Real data: facts that change, with old records about."""

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "preset" not in value:
            return value
        given = dict(value)
        if (name := given.pop("preset")) != "first":
            raise ValueError(f"no preset of the world is called '{name}'; there is 'first'")
        return {**FIRST_WORLD, **given}


class OkvqaSettings(Settings):
    """Files in the official layout of OK-VQA / VQAv2; images are found by their COCO names.

    Without annotations, the questions file is of the merged form: question and annotation in one row.
    """

    train_questions: Path
    """Questions file of the train split, from which the validation split is taken."""
    train_annotations: Path | None = None
    """Annotations file of the train split."""
    train_images: Path
    """Folder of the images of the train split."""
    test_questions: Path
    """Questions file of the test split."""
    test_annotations: Path | None = None
    """Annotations file of the test split."""
    test_images: Path
    """Folder of the images of the test split."""
    val_share: Share = 0.1
    """Share of the train images whose questions are set aside for validation."""


class TableColumns(Settings):
    """What the columns (the keys of a JSON row) are called."""

    id: str | None = None
    """Whole numbers; without it, rows are numbered through train, validation and test."""
    image: str | None = "image"
    """Path of an image file, or a list of them; a row with an empty list or null has no image. Where there is no column
    `image`, a column `images` takes its place. Null: no row has an image."""
    question: str = "question"
    """The question, a text."""
    answers: str = "answers"
    """One text or a list of them; `COLUMN.FIELD` names a field of records, as `answers.answer`."""
    options: str | None = None
    """What a multiple-choice question offers, a list of texts; they are shown below the question, with letters. An
    answer is then an option's text, its letter, or its number counted from 0."""
    answer_with: Literal["letter", "option"] = "letter"
    """What answers such a question, in demonstrations too: the letter of an option, or its text."""

    def image_among(self, names: Collection[str]) -> str | None:
        """What the image column is called among columns of these names."""
        replaced = self.image == "image" and "image" not in names and "images" in names
        return "images" if replaced else self.image


class TableFormat(Settings):
    """How the rows of a table become examples."""

    images: Path | None = None
    """Folder that image paths start from; else the folder of the table that names them."""
    confined: bool = False
    """Refuse images that lie outside that folder, links followed: for tables from others, whose paths might lead to any
    file."""
    columns: TableColumns = TableColumns()


class TableSettings(TableFormat):
    """Any tables (JSON, JSON lines, Parquet) or folders with a `metadata.jsonl`, by a column map (see docs/data.md)."""

    train: Path
    """Table of the train split."""
    test: Path
    """Table of the test split."""
    val: Path | None = None
    """Without it, a share of the train images is set aside."""
    val_share: Share = 0.1
    """Share of the train images whose questions are set aside for validation, where there is no `val`."""
    metric: MetricName = DEFAULT
    """What answers are measured by."""


class CaptionsSettings(Settings):
    """COCO captions in the Karpathy split: one file, measured by CIDEr-D on the references of a split."""

    file: Path
    """`dataset_coco.json`; its 'restval' counts as train."""
    images: Path
    """Folder that holds train2014 and val2014."""
    question: Wording = "What does the picture show?"
    """Asked of every image; the captions are the answers."""


class TextsFormat(Settings):
    """How the rows of a table become texts with a label each."""

    text: str = "sentence"
    """Column of the text."""
    label: str = "label"
    """Column of the label."""
    label_names: dict[str, str] = Field(default={"0": "negative", "1": "positive"})
    """The answer that each label stands for; empty: labels are the answers."""
    question: Wording = "Is this sentence positive or negative? {text}"
    """What is asked; {text} stands for the text."""

    @model_validator(mode="after")
    def _asks_about_the_text(self) -> TextsFormat:
        if "{text}" not in self.question:
            raise ValueError("'question' must hold {text}, where the text goes")
        return self


class TextsSettings(TextsFormat):
    """Texts with a label each, without images (SST-2 as GLUE ships it)."""

    train: Path
    """A table of any kind that `table` reads: .tsv, .csv, ..."""
    test: Path
    """It must have labels: GLUE's test.tsv has none, so give dev.tsv."""
    val: Path | None = None
    """Without it, a share of the train texts is set aside."""
    val_share: Share = 0.1
    """Share of the train texts that are set aside for validation, where there is no `val`."""
    metric: MetricName = OF_LABELS
    """What answers are measured by."""


class HubDataset(Settings):
    """A Hugging Face data set, and how its rows become examples."""

    dataset: str
    """A hub id, a folder written by `save_to_disk`, or a folder of files that `datasets` can load."""
    name: str | None = None
    """Which configuration, where there are several."""
    revision: str | None = None
    """Which version of a data set on the hub."""
    confined: bool | None = None
    """Refuse images that lie outside the data set's folder, the working directory and the caches of `datasets`, links
    followed: paths in a data set from others might lead to any file. Null: where it is no folder of this machine."""
    columns: TableColumns = TableColumns()
    """An image column may hold pictures or paths of image files; labels that have names become these."""
    question: Wording = "{text}"
    """What is asked; {text} stands for the question column's text."""


class HubSettings(HubDataset):
    """Any Hugging Face data set by a column map, through the `datasets` library."""

    train: str = "train"
    """Name of the train split."""
    test: str = "test"
    """Name of the test split."""
    val: str | None = None
    """Without it, a share of the train images is set aside."""
    val_share: Share = 0.1
    """Share of the train images (texts, where there are none) that are set aside, where there is no `val`."""
    metric: MetricName = DEFAULT
    """What answers are measured by."""


def _check_reader(name: str) -> str:
    if name not in READERS:
        raise ValueError(f"no reader is called '{name}'; installed packages have {', '.join(READERS) or 'none'}")
    return name


class ReaderSettings(Settings):
    """A data set that a reader of another package reads, by an entry point of the group shotsmith.data."""

    name: Annotated[str, AfterValidator(_check_reader)]
    """Name of the entry point."""
    options: Mapping[str, Any] = {}
    """What the reader is given: its package says what it takes."""
    metric: MetricName = DEFAULT
    """What answers are measured by."""


class OkvqaBank(Settings):
    """One pair of files as in `data.okvqa`, with its images."""

    questions: Path
    """Questions file."""
    annotations: Path | None = None
    """Annotations file; without it, the questions file is of the merged form."""
    images: Path
    """Folder of the images."""


class TableBank(TableFormat):
    """One table as in `data.table`."""

    file: Path
    """A table, or a folder with a `metadata.jsonl`."""


class CaptionsBank(CaptionsSettings):
    """The images of one split of a file as in `data.captions`."""

    split: Literal["train", "val", "test"] = "train"
    """Which split; 'restval' counts as train."""


class TextsBank(TextsFormat):
    """One table as in `data.texts`."""

    file: Path
    """A table of any kind that `data.table` reads."""


class HubBank(HubDataset):
    """One split of a data set as in `data.hub`."""

    split: str = "train"
    """Name of the split."""


class BankSettings(Settings):
    """Examples of their own that may be shown, in any format that `data` reads; queries are measured as `data` says."""

    okvqa: OkvqaBank | None = None
    table: TableBank | None = None
    captions: CaptionsBank | None = None
    texts: TextsBank | None = None
    hub: HubBank | None = None

    @model_validator(mode="after")
    def _one_source(self) -> BankSettings:
        _check_one_of(self, BANK_SOURCES)
        return self


class DataSettings(Settings):
    """Which examples, and how many of them are queries."""

    world: WorldSettings | None = None
    okvqa: OkvqaSettings | None = None
    table: TableSettings | None = None
    captions: CaptionsSettings | None = None
    texts: TextsSettings | None = None
    hub: HubSettings | None = None
    reader: ReaderSettings | None = None
    bank: BankSettings | None = None
    """What may be shown, from files of its own. Null: the world's bank, where it has one, or else the train split."""
    bar_similarity: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Cosine of the image embeddings (of the text embeddings, where there are no images) above which an entry of the
    bank counts as a duplicate of the query and is never shown to it. Null: only the query itself, its image, and equal
    files or texts are barred. How similar a copy is to its original depends on the encoder, so no threshold suits all:
    look at the cosines of known copies first."""
    skip_bad: bool = False
    """Leave out rows and images that cannot be used, and list them, where otherwise the first is an error."""
    train_queries: Count = 800
    """Queries the policy is trained on (from the train split)."""
    val_queries: Count = 200
    """Queries that choose epochs (from the validation split)."""
    test_queries: Count = 800
    """Queries of the final comparison (from the test split)."""
    balance_train_queries: bool = False
    """Draw the training queries evenly over the question types, so that rare ones are learned too."""
    seed: Seed = 0
    """Which queries are drawn."""

    @model_validator(mode="after")
    def _one_source(self) -> DataSettings:
        _check_one_of(self, SOURCES)
        chosen = self.table or self.hub
        has_options = self.reader is not None or (chosen is not None and chosen.columns.options is not None)
        if METRICS[self.metric].by_likelihood and not has_options:
            raise ValueError(f"the metric {self.metric} needs 'columns.options', the column of the options")
        return self

    @property
    def source(self) -> object:
        """The section that is given."""
        return next(section for name in SOURCES if (section := getattr(self, name)) is not None)

    @property
    def metric(self) -> MetricName:
        """What answers to these data are measured by."""
        if self.captions is not None:
            return OF_CAPTIONS
        chosen = self.table or self.hub or self.texts or self.reader
        return DEFAULT if chosen is None else chosen.metric


def _check_one_of(section: Settings, names: tuple[str, ...]) -> None:
    if sum(getattr(section, name) is not None for name in names) != 1:
        named = " and ".join((", ".join(f"'{name}'" for name in names[:-1]), f"'{names[-1]}'"))
        raise ValueError(f"give exactly one of {named}")
