"""`rollouts.require_right` keeps the training queries that at least one rollout got right, whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from setting_probes.stages import parts_of

from shotsmith.errors import InputError
from shotsmith.experiment.rollouts import record_rollouts
from shotsmith.experiment.scoring import Scorer
from shotsmith.recipe import Recipe, parse_recipe


def recipe(require_right: bool) -> Recipe:
    return parse_recipe(
        {
            "data": {
                "world": {"preset": "first", "seed": 1, "train": 60, "val": 8, "test": 10},
                **{"train_queries": 20, "val_queries": 6, "test_queries": 4},
            },
            "pools": {"size": 8},
            "policy": {"order": "inwards"},
            "beam": {"queries": 1},
            "rollouts": {"sampled": 0, "random": 2, "require_right": require_right},
        }
    )


def test_queries_without_a_right_rollout_are_left_out_and_the_others_stay_whole(tmp_path: Path):
    with parts_of(recipe(require_right=False), tmp_path / "all") as parts:
        everything, asked = record_rollouts(parts, "train", "here", 0)
        pairs = [
            (query, tuple(position for position in sequence if position >= 0))
            for query, group in zip(everything.rows.tolist(), everything.sequences.tolist(), strict=True)
            for sequence in group
            if sequence[0] >= 0
        ]
        outcomes = Scorer(parts, "train").outcomes(pairs, "here")
        right = {query for (query, _), outcome in zip(pairs, outcomes, strict=True) if outcome and outcome.accuracy > 0}
    with parts_of(recipe(require_right=True), tmp_path / "right") as parts:
        kept, asked_again = record_rollouts(parts, "train", "here", 0)
    assert 0 < len(right) < 20
    assert set(kept.rows.tolist()) == right
    assert asked == asked_again
    rows = [everything.rows.tolist().index(query) for query in kept.rows.tolist()]
    assert kept.sequences.tolist() == everything.sequences[rows].tolist()
    assert kept.values.tolist() == everything.values[rows].tolist()


def test_validation_keeps_all_its_queries(tmp_path: Path):
    with parts_of(recipe(require_right=True), tmp_path) as parts:
        groups, _ = record_rollouts(parts, "val", "here", 0)
    assert len(groups) == 6


def test_where_nothing_is_right_there_is_nothing_to_train_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("setting_probes.stages.digest", lambda *_parts: "000001")
    with (
        parts_of(recipe(require_right=True), tmp_path) as parts,
        pytest.raises(InputError, match="no training query has a right rollout"),
    ):
        record_rollouts(parts, "train", "here", 0)
