"""Settings of the data."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from shotsmith.recipe.base import Count, Natural, Settings, Share


class WorldSettings(Settings):
    """The built-in data set, drawn on the spot (see docs/world.md)."""

    seed: Natural = 0
    """Which world: facts, artefacts, questions and pictures all follow from it."""
    train: Count = 6000
    """Examples of the train split: demonstrations and training queries come from here."""
    val: Count = 800
    """Examples of the validation split."""
    test: Count = 1600
    """Examples of the test split."""


class OkvqaSettings(Settings):
    """Files in the official layout of OK-VQA / VQAv2; images are found by their COCO names.

    Without annotations, the questions file is of the merged form: question and annotation in one row.
    """

    train_questions: Path
    train_annotations: Path | None = None
    train_images: Path
    test_questions: Path
    test_annotations: Path | None = None
    test_images: Path
    val_share: Share = 0.1
    """Share of the train images whose questions are set aside for validation."""


class TableColumns(Settings):
    """What the columns (the keys of a JSON row) are called."""

    id: str | None = None
    """Whole numbers; without it, rows are numbered through train, validation and test."""
    image: str = "image"
    """Path of an image file."""
    question: str = "question"
    answers: str = "answers"
    """One text or a list of them."""


class TableSettings(Settings):
    """Any tables (JSON, JSON lines, Parquet) or folders with a `metadata.jsonl`, by a column map (see docs/data.md)."""

    train: Path
    test: Path
    val: Path | None = None
    """Without it, a share of the train images is set aside."""
    val_share: Share = 0.1
    """Share of the train images whose questions are set aside for validation, where there is no `val`."""
    images: Path | None = None
    """Folder that image paths start from; else the folder of the table that names them."""
    columns: TableColumns = TableColumns()


class DataSettings(Settings):
    """Which examples, and how many of them are queries."""

    world: WorldSettings | None = None
    okvqa: OkvqaSettings | None = None
    table: TableSettings | None = None
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
    seed: Natural = 0
    """Which queries are drawn."""

    @model_validator(mode="after")
    def _one_source(self) -> DataSettings:
        if sum(source is not None for source in (self.world, self.okvqa, self.table)) != 1:
            raise ValueError("give exactly one of 'world', 'okvqa' and 'table'")
        return self
