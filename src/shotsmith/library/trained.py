"""The selector of a run: its best policy, its encoder, its bank, and what its evaluation says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file

from shotsmith.checkpoints.native import Manifest, load_policy
from shotsmith.checkpoints.ranking import best_checkpoint, rank
from shotsmith.data.load import load_splits
from shotsmith.embeddings.cached import read_embedded
from shotsmith.embeddings.embedded import Embedded
from shotsmith.embeddings.load import load_encoder
from shotsmith.errors import InputError
from shotsmith.files import read_json
from shotsmith.library.bank import Bank
from shotsmith.library.card import UNFAMILIAR_SHARE, Accuracy, Card
from shotsmith.library.choosing import PolicyChooser
from shotsmith.library.familiar import Familiar, familiar
from shotsmith.library.selector import Selector
from shotsmith.runs import PHASES, Run


def from_run(run: Run, checkpoint: Path | None, device: torch.device) -> Selector:
    """The selector with the best checkpoint of the last phase of any seed, or with the `checkpoint` given.

    Raises InputError where nothing has been trained yet, CheckpointError for a damaged checkpoint.
    """
    policy, manifest = load_policy(_best(run) if checkpoint is None else checkpoint)
    recipe = run.recipe
    known = _familiar(run)
    card = Card(
        name=recipe.name,
        encoder=recipe.encoder.without_cluster,
        encoder_identity=manifest.encoder,
        vlm=recipe.vlm,
        vlm_identity=manifest.vlm,
        shots=manifest.shots,
        data=recipe.data.model_dump(mode="json", exclude_defaults=True),
        unfamiliar_below=None if known is None else known.below,
        **_measured(run, manifest),
    )
    selector = Selector(
        card,
        PolicyChooser(policy.to(device), manifest),
        lambda: load_encoder(recipe.encoder),
        own_bank=lambda: _bank(run, selector),
        familiar=known,
    )
    return selector


def _best(run: Run) -> Path:
    """The checkpoint with the highest validation reward among the best of each seed."""
    rows = run.epochs()
    trained = [phase for phase in PHASES if any(row["phase"] == phase for row in rows)]
    if not trained:
        raise InputError("nothing has been trained in this run yet", file=run.folder)
    phase = trained[-1]
    seeds = sorted({int(row["seed"]) for row in rows if row["phase"] == phase})
    best = [best_checkpoint(rows, seed, phase, getattr(run.recipe, phase).best_by) for seed in seeds]
    row: dict[str, Any] = (rank(best, "val_reward", 1) or best)[0]
    return run.epoch(int(row["seed"]), phase, int(row["epoch"]))


def _bank(run: Run, selector: Selector) -> tuple[Bank, Embedded | None]:
    """The bank of the run, and its embeddings where the files still are what was embedded."""
    splits = load_splits(run.recipe.data, run.world, check=False, skipped=run.skipped)
    examples = splits.bank
    named = splits.named()
    text_only = not any(example.images for part in (*named.values(), examples) for example in part)
    file = run.embeddings("train" if splits.own_bank is None else "bank")
    embedded = read_embedded(examples, selector.encoder, file, text_only=text_only)
    if embedded is not None:
        embedded = Embedded(embedded.images, embedded.questions, run.recipe.encoder.joined == "mean")
    return Bank(tuple(examples), tuple(example.id for example in examples)), embedded


def _familiar(run: Run) -> Familiar | None:
    files = [run.embeddings(split) for split in ("train", "val")]
    if not all(file.exists() for file in files):
        return None
    averaged = run.recipe.encoder.joined == "mean"
    train, val = (Embedded(held["images"], held["questions"], averaged) for held in map(load_file, files))
    return familiar(train, val, UNFAMILIAR_SHARE) if len(train.questions) and len(val.questions) else None


def _measured(run: Run, manifest: Manifest) -> dict[str, Any]:
    """The rows of the evaluation that say how good the selector is; nothing where there has been none."""
    if not run.summary.exists():
        return {}
    summary = read_json(run.summary)
    best = summary["best_free"]["selector"] if summary.get("best_free") else None
    fields = Accuracy.model_fields
    rows = tuple(
        Accuracy.model_validate({key: value for key, value in row.items() if key in fields})
        for row in summary["test"]
        if row["selector"] in (manifest.phase, best) and np.isfinite(row["accuracy"])
    )
    return {"results": rows, "best_free": best}
