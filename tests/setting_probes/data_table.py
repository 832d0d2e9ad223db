"""Settings of the run, its data and pools, and what shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from setting_probes import OTHERS, stages

OFFICIAL = {"data.world": None, "data.train_queries": 5, "data.val_queries": 2} | {
    f"data.okvqa.{split}_{kind}": file
    for split in ("train", "test")
    for kind, file in {
        "questions": f"{{here}}/one/OpenEnded_mscoco_{split}2014_questions.json",
        "annotations": f"{{here}}/one/mscoco_{split}2014_annotations.json",
        "images": f"{{here}}/one/{split}2014",
    }.items()
}

TABLES = {"data.world": None, "data.train_queries": 5, "data.val_queries": 2, "data.table.val_share": 0.2} | {
    f"data.table.{name}": f"{{here}}/tables/{file}"
    for name, file in {"train": "train.jsonl", "test": "test.jsonl", "images": "images"}.items()
}

FEW = {"data.world": None, "data.train_queries": 5, "data.val_queries": 2, "data.test_queries": 2, "pools.size": 4}
CAPTIONS = FEW | {
    "data.captions.file": "{here}/captions/one/dataset_coco.json",
    "data.captions.images": "{here}/captions/one",
}
TEXTS = FEW | {
    "data.texts.train": "{here}/texts/one/train.tsv",
    "data.texts.test": "{here}/texts/one/dev.tsv",
    "data.texts.val_share": 0.2,
}
READER = FEW | {"data.reader.name": "sums"}
LEAVING = "{here}/tables/leaving.jsonl"
HUB = FEW | {"data.hub.dataset": "some/data", "data.hub.val_share": 0.2}

BANKS: Mapping[str, Mapping[str, Any]] = {
    "okvqa": OFFICIAL
    | {
        "data.bank.okvqa.questions": "{here}/one/OpenEnded_mscoco_train2014_questions.json",
        "data.bank.okvqa.annotations": "{here}/one/mscoco_train2014_annotations.json",
        "data.bank.okvqa.images": "{here}/one/train2014",
    },
    "table": TABLES
    | {"data.bank.table.file": "{here}/tables/more.jsonl", "data.bank.table.images": "{here}/tables/images"},
    "captions": CAPTIONS
    | {
        "data.bank.captions.file": "{here}/captions/one/dataset_coco.json",
        "data.bank.captions.images": "{here}/captions/one",
    },
    "texts": TEXTS | {"data.bank.texts.file": "{here}/texts/one/more.tsv"},
    "hub": HUB | {"data.bank.hub.dataset": "some/bank", "data.bank.hub.split": "more"},
}
"""A recipe for each format that a bank may have."""

TABLE: Mapping[str, tuple[Any, ...]] = {
    "name": ("other", stages.named, {"store": "{folder}/shared.sqlite"}),
    "seeds": ([1], stages.trained_seeds, {"rce.epochs": 0, "grpo.epochs": 0, "supervised.epochs": 1}),
    "store": ("{folder}/shared.sqlite", stages.stores),
    **{
        f"data.world.{name}": (value, stages.drawn_world)
        for name, value in {
            "seed": 2,
            "bank": 41,
            "train": 41,
            "val": 9,
            "test": 11,
            "artefacts": "few",
            "direct_answers": True,
            "careless_sources": 0,
            "near_duplicates": 0.9,
            "changing_keepers": False,
        }.items()
    },
    **{
        name: (OFFICIAL[name].replace("/one/", "/other/"), stages.data, OFFICIAL)
        for name in OFFICIAL
        if name.startswith("data.okvqa.")
    },
    **{
        f"data.table.{name}": (value, stages.data, TABLES)
        for name, value in {
            "train": "{here}/tables/more.jsonl",
            "test": "{here}/tables/more.jsonl",
            "val": "{here}/tables/more.jsonl",
            "val_share": 0.4,
            "images": "{here}/tables/other",
            "columns.id": "number",
            "columns.image": "other_image",
            "columns.question": "other_question",
            "columns.answers": "other_answers",
        }.items()
    },
    "data.table.confined": (True, stages.faulty_data, TABLES | {"data.table.test": LEAVING}),
    "data.hub.confined": (False, stages.hub_outside, HUB | {"data.hub.columns.image": "outside"}),
    "data.bank.table.confined": (
        True,
        stages.faulty_data,
        BANKS["table"] | {"data.bank.table.file": LEAVING},
    ),
    "data.bank.hub.confined": (False, stages.hub_outside, BANKS["hub"] | {"data.bank.hub.columns.image": "outside"}),
    **{
        f"data.{name}.{key}": (value, look, context | ({f"data.{name}.options": "options"} if more else {}))
        for name, look, context in (
            ("table.columns", stages.data, TABLES),
            ("hub.columns", stages.hub_data, HUB),
            ("bank.table.columns", stages.data, BANKS["table"]),
            ("bank.hub.columns", stages.hub_data, BANKS["hub"]),
        )
        for key, value, more in (("options", "options", False), ("answer_with", "option", True))
    },
    "data.reader.name": ("products", stages.data, READER),
    "data.reader.options": ({"first": 5}, stages.data, READER),
    "data.reader.metric": ("token_f1", stages.measured, READER),
    "data.texts.metric": ("token_f1", stages.measured, TEXTS),
    "data.table.metric": ("exact_match", stages.measured, TABLES),
    **{
        f"data.captions.{name}": (value, stages.data, CAPTIONS)
        for name, value in {
            "file": "{here}/captions/other/dataset_coco.json",
            "images": "{here}/captions/other",
            "question": "What is there?",
        }.items()
    },
    **{
        f"data.texts.{name}": (value, stages.data, TEXTS)
        for name, value in {
            "train": "{here}/texts/other/train.tsv",
            "test": "{here}/texts/other/dev.tsv",
            "val": "{here}/texts/one/more.tsv",
            "val_share": 0.4,
            "text": "text",
            "label": "kind",
            "label_names": {"0": "bad", "1": "good"},
            "question": "Good or bad? {{text}}",
        }.items()
    },
    **{
        f"data.hub.{name}": (value, stages.hub_data, HUB)
        for name, value in {
            "dataset": "other/data",
            "name": "other",
            "revision": "v2",
            "train": "more",
            "test": "more",
            "val": "more",
            "val_share": 0.4,
            "question": "Well, {{text}}",
            "columns.id": "number",
            "columns.image": None,
            "columns.question": "other_question",
            "columns.answers": "other_answers",
        }.items()
    },
    "data.hub.metric": ("exact_match", stages.hub_measured, HUB),
    **{
        f"data.bank.{name}": (
            value,
            stages.hub_data if name.startswith("hub") else stages.data,
            BANKS[name.split(".")[0]],
        )
        for name, value in {
            "okvqa.questions": "{here}/other/OpenEnded_mscoco_train2014_questions.json",
            "okvqa.annotations": "{here}/other/mscoco_train2014_annotations.json",
            "okvqa.images": "{here}/other/train2014",
            "table.images": "{here}/tables/other",
            "table.columns.id": "number",
            "table.columns.image": "other_image",
            "table.columns.question": "other_question",
            "table.columns.answers": "other_answers",
            "table.file": "{here}/tables/train.jsonl",
            "captions.file": "{here}/captions/other/dataset_coco.json",
            "captions.images": "{here}/captions/other",
            "captions.question": "What is there?",
            "captions.split": "test",
            "texts.text": "text",
            "texts.label": "kind",
            "texts.label_names": {"0": "bad", "1": "good"},
            "texts.question": "Good or bad? {{text}}",
            "texts.file": "{here}/texts/other/more.tsv",
            "hub.dataset": "other/bank",
            "hub.name": "other",
            "hub.revision": "v2",
            "hub.columns.id": "number",
            "hub.columns.image": "other_image",
            "hub.columns.question": "other_question",
            "hub.columns.answers": "other_answers",
            "hub.question": "Well, {{text}}",
            "hub.split": "train",
        }.items()
    },
    "data.bar_similarity": (0.3, stages.data),
    "data.skip_bad": (True, stages.faulty_data, TABLES | {"data.table.test": "{here}/tables/faulty.jsonl"}),
    "data.okvqa.val_share": (0.4, stages.data, OFFICIAL | {"data.okvqa.val_share": 0.2}),
    "data.train_queries": (7, stages.data),
    "data.val_queries": (3, stages.data),
    "data.test_queries": (5, stages.data),
    "data.balance_train_queries": (True, stages.data),
    "data.seed": (1, stages.data),
    "pools.sampler": (OTHERS, stages.data),
    "pools.size": (9, stages.data),
    "pools.seed": (1, stages.data),
    "pools.index": ("ivf", stages.data, {"pools.sampler": "text_similar", "pools.probes": 2}),
    "pools.probes": (1, stages.data, {"pools.sampler": "text_similar", "pools.index": "ivf"}),
}
"""Setting -> (another value, the probe that shows it, and what else must be set for it to matter)."""
