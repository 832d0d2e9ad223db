"""Imported records as training sees them: pools, rewards and the split of the predecessor, nothing made up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from shotsmith.compat.files.records import Imported, ImportedBeam, ImportedQuery, ImportedRollout
from shotsmith.compat.training_data import TrainingData
from shotsmith.errors import InputError
from shotsmith.recipe import RewardSettings

EMBEDDINGS = np.arange(60, dtype=np.float32).reshape(20, 3)
REWARD = RewardSettings(mode="hard_plus_soft")


def rollout(query: int, sequence: tuple[int, ...] = (11, 12), **changed: object) -> ImportedRollout:
    whole = ImportedRollout(
        query, 0, sequence, correct=1.0, vqa_accuracy=0.6, gt_prob=0.4, relevance=0.7, token_f1=0.5, eval_mode="vqaEval"
    )
    return replace(whole, **changed)  # type: ignore[arg-type]


def imported(*rollouts: ImportedRollout, pool: tuple[int, ...] | None = (12, 11, 13), **more: object) -> Imported:
    queries = tuple(ImportedQuery(query, pool=pool) for query in sorted({each.query for each in rollouts}))
    return Imported(queries=queries, rollouts=rollouts, **{"embeddings": {"candidate": EMBEDDINGS}, **more})  # type: ignore[arg-type]


def test_the_last_fifth_of_the_queries_by_idx_validates() -> None:
    data = TrainingData(imported(*(rollout(query) for query in (9, 3, 5, 1, 7))), REWARD)
    assert (data.train.queries, data.val.queries) == ((1, 3, 5, 7), (9,))


def test_pools_keep_their_order_and_sequences_point_into_them() -> None:
    data = TrainingData(imported(rollout(1), rollout(2, (13, 12))), REWARD)
    inputs = data.inputs(data.train, torch.device("cpu"))
    assert inputs.pools.tolist() == [[12, 11, 13]]
    assert inputs.queries.tolist() == [EMBEDDINGS[1].tolist()]
    assert data.groups(data.train, "train").sequences.tolist() == [[[1, 0]]]
    assert data.groups(data.val, "val").sequences.tolist() == [[[2, 0]]]


def test_without_a_pool_the_sorted_set_of_what_was_used_is_one() -> None:
    data = TrainingData(imported(rollout(1, (14, 11)), rollout(1, (12, 14)), rollout(2), pool=None), REWARD)
    assert data.train.pools == ((11, 12, 14),)


@pytest.mark.parametrize(
    ("settings", "value"),
    [
        ({"mode": "hard_plus_soft"}, 1.6),
        ({"mode": "separated", "hard_weight": 2.0}, 4.6),
        ({"mode": "soft_only"}, 0.6),
        ({"mode": "hard01_plus_gtprob"}, 1.4),
        ({"mode": "hard_plus_gtprob_plus_rel"}, 1.4),
        ({"answer_probability": 0.0, "answer_rouge_l": 0.0, "answer_f1": 2.0}, 1.6),
        ({"mode": "hard_only", "demonstration_cost": 0.1}, 0.8),
    ],
)
def test_the_reward_is_computed_from_the_stored_figures(settings: dict[str, float], value: float) -> None:
    data = TrainingData(imported(rollout(1), rollout(2)), RewardSettings.model_validate(settings))
    assert data.groups(data.train, "train").values.item() == pytest.approx(value)


@pytest.mark.parametrize("settings", [{}, {"mode": "legacy"}, {"cider": 1.0, "answer_probability": 0.0}])
def test_a_reward_of_what_is_not_stored_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"holds no .*reward\.mode=hard_plus_soft"):
        TrainingData(imported(rollout(1)), RewardSettings.model_validate(settings))


def test_nothing_is_learned_from_rows_that_are_left_out_and_all_are_counted() -> None:
    rows = [
        rollout(1),
        rollout(1, left_out="failed", correct=None, vqa_accuracy=None),
        rollout(1, left_out="fallback", correct=None, vqa_accuracy=None),
        rollout(1, (11, 11), left_out="repeated"),
        rollout(1, (11, 19)),
        rollout(1, ()),
        rollout(1, (13, 11), vqa_accuracy=None),
        rollout(2),
    ]
    data = TrainingData(imported(*rows), REWARD)
    groups = data.groups(data.train, "train")
    assert groups.sequences.tolist() == [[[1, 0]]] and groups.valid.all()
    reasons = ("failed", "fallback", "repeated", "outside_pool", "empty", "no vqa_accuracy")
    assert data.counts == {"train rollouts": 1, **{f"train rollouts left out: {reason}": 1 for reason in reasons}}


def test_the_empty_sequence_is_learned_where_the_policy_can_stop() -> None:
    data = TrainingData(imported(rollout(1, ()), rollout(2)), REWARD, stop_below=2)
    assert len(data.groups(data.train, "train")) == 1


def test_a_candidate_without_an_embedding_cannot_be_chosen() -> None:
    data = TrainingData(imported(rollout(1), rollout(2), pool=(12, 500, 11)), REWARD)
    assert data.inputs(data.train, torch.device("cpu")).pools.tolist() == [[12, -1, 11]]


def test_rollouts_of_a_query_without_an_embedding_are_counted() -> None:
    data = TrainingData(imported(rollout(1), rollout(2), rollout(500), rollout(500)), REWARD)
    assert (data.train.queries, data.val.queries) == ((1,), (2,))
    assert data.counts == {"rollouts of queries without pool or embedding": 2}


def test_beams_of_training_queries_alone_are_imitated() -> None:
    beams = tuple(ImportedBeam(query, sequence, 0.1) for query in (1, 2, 4) for sequence in ((11, 12), (13, 12)))
    data = TrainingData(imported(rollout(1), rollout(2), beams=beams), REWARD)
    assert (data.train.queries, data.val.queries) == ((1, 4), (2,))
    groups = data.beams()
    assert groups.rows.tolist() == [0, 1] and groups.values.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert data.counts["beams of validation queries left out"] == 2
    assert (data.has_beams, data.has_rollouts, data.beam_shots) == (True, True, (2,))


def test_queries_without_a_right_rollout_can_be_left_out() -> None:
    rows = [rollout(1), rollout(2, correct=0.0, vqa_accuracy=0.0), rollout(3)]
    assert len(TrainingData(imported(*rows), REWARD).train.queries) == 2
    data = TrainingData(imported(*rows), REWARD, require_right=True)
    assert data.groups(data.train, "train").rows.tolist() == [0]


def test_features_of_image_and_text_stand_side_by_side() -> None:
    features = {"image": EMBEDDINGS, "text": EMBEDDINGS + 100}
    data = TrainingData(imported(rollout(1), rollout(2), embeddings=features), REWARD)
    assert data.inputs(data.train, torch.device("cpu")).embedding_width == 6


def test_without_embeddings_or_queries_there_is_nothing_to_train_on() -> None:
    with pytest.raises(InputError, match="no embeddings"):
        TrainingData(imported(rollout(1), embeddings={}), REWARD)
    with pytest.raises(InputError, match="neither RL data nor beam data"):
        TrainingData(imported(), REWARD)
