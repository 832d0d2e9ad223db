"""Batches the VLM is trained on must be what it is asked later: same tokens, same positions, same pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from shotsmith.builtin.architecture import build_processor, build_vlm, vocabulary_texts
from shotsmith.builtin.batches import INFERABLE, EpisodeBatch, Layout, PictureBank, assemble
from shotsmith.builtin.episodes import Difficulty, sample_episode
from shotsmith.builtin.muon import orthogonalise
from shotsmith.builtin.picture_features import picture_features
from shotsmith.builtin.tokenizer import build_tokenizer
from shotsmith.data.world.drawing import draw, random_scene
from shotsmith.records import Example, Request
from shotsmith.vlms.prompting.prompts import messages

TOKENIZER = build_tokenizer(vocabulary_texts(), 1024)
PROCESSOR = build_processor(TOKENIZER)
LAYOUT = Layout(TOKENIZER)


@pytest.fixture(scope="module")
def bank() -> PictureBank:
    return PictureBank(PROCESSOR.image_processor, renderings=1, seed=0)


def batch_of(seed: int, bank: PictureBank, length: int = 4, count: int = 6) -> EpisodeBatch:
    rng = np.random.default_rng(seed)
    episodes = [sample_episode(rng, length, Difficulty(near=0.6, change=0.3)) for _ in range(count)]
    return assemble(rng, episodes, LAYOUT, bank)


def test_tokens_are_those_of_the_chat_template(tmp_path: Path, bank: PictureBank) -> None:
    rng = np.random.default_rng(1)
    items = sample_episode(rng, 4, Difficulty(near=0.6, change=0.0))
    image = tmp_path / "picture.png"
    draw(random_scene(rng, "star", "red", False), rng).save(image)
    ids = assemble(np.random.default_rng(2), [items], LAYOUT, bank).ids[0].tolist()
    texts = TOKENIZER.decode(ids).split("Question: ")[1:]
    examples = [
        Example(i, (image,), i, text.split(" Short answer:")[0], (" ".join(p.word for p in item.parts),))
        for i, (item, text) in enumerate(zip(items, texts, strict=True))
    ]
    request = Request(examples[-1], tuple(examples[:-1]))
    prompt = PROCESSOR.apply_chat_template(
        messages(request), tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )["input_ids"][0].tolist()
    answer = TOKENIZER(examples[-1].answer)["input_ids"]
    assert ids == [*prompt, *answer, LAYOUT.end]


def test_positions_are_those_the_model_computes(bank: PictureBank) -> None:
    batch = batch_of(3, bank)
    model = build_vlm(TOKENIZER, 0)
    ids = batch.ids[:1]
    length = int((ids[0] == LAYOUT.end).nonzero().max()) + 1
    ids = ids[:, :length]
    pictures = int((ids == model.config.vision_start_token_id).sum())
    expected, _ = model.model.get_rope_index(
        input_ids=ids,
        mm_token_type_ids=(ids == model.config.image_token_id).int(),
        image_grid_thw=torch.tensor([[1, 4, 4]] * pictures),
        attention_mask=torch.ones_like(ids),
    )
    assert torch.equal(expected, batch.positions[:, :1, :length])


def test_a_source_is_the_place_where_the_same_word_was_said(bank: PictureBank) -> None:
    targets, ids = (batch := batch_of(4, bank, length=5, count=30)).targets, batch.ids
    of = targets.kind == INFERABLE
    assert of.sum() > 20
    assert torch.equal(ids[targets.row[of], targets.source[of]], targets.token[of])
    assert torch.equal(ids[targets.row, targets.position + 1], targets.token)
    assert (targets.source[of] <= targets.position[of]).all()


def test_features_in_one_pass_are_the_vision_towers(bank: PictureBank) -> None:
    tower = build_vlm(TOKENIZER, 0).model.visual
    patches = bank.patches[:5]
    with torch.no_grad():
        ours = picture_features(tower, patches)
        theirs = tower(patches.flatten(0, 1), grid_thw=torch.tensor([[1, 4, 4]] * 5)).pooler_output
    assert torch.allclose(ours.flatten(0, 1), theirs, atol=1e-5)


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    matrices = torch.randn(3, 20, 12, generator=torch.Generator().manual_seed(0))
    for batch in (matrices, matrices.mT):
        values = torch.linalg.svdvals(orthogonalise(batch, 8))
        assert values.min() > 0.6
        assert values.max() < 1.4


def test_an_unknown_word_falls_apart_into_characters_and_comes_back() -> None:
    ids = TOKENIZER("zebra-42")["input_ids"]
    assert TOKENIZER.unk_token_id not in ids
    assert TOKENIZER.decode(ids) == "zebra-42"
