"""Train the built-in CLIP from scratch: `python -m shotsmith.builtin.train_clip OUT`.

Contrastive learning of pictures and their captions (Radford et al. 2021, arXiv 2103.00020), and of the phrasings of a
question with each other. Some captions of a batch differ in the shape alone (hard negatives, as in Yuksekgonul et al.
2023, arXiv 2210.01936): without them colour and background tell nearly every caption of a batch apart, and shape is
hardly learned. No answer to any question is ever shown to it.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from shotsmith.builtin.tokenizer import build_clip_tokenizer
from shotsmith.data.world.drawing import BACKDROPS, BACKGROUNDS, SIZE, Scene, draw, random_scene
from shotsmith.data.world.language import COLOURS, KINDS, SHAPES

log = logging.getLogger(__name__)
_HIDDEN, _LAYERS, _HEADS, _WIDTH = 64, 3, 4, 64
_LONGEST_TEXT = 24
_QUESTION_WEIGHT = 0.2
_BATCH = 128
_IN_EVERY_SHAPE = 2
"""Scenes of a batch that it holds in every shape."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and save model, tokenizer and image processor in the folder OUT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--scenes", type=int, default=8192, help="each is drawn once in every shape")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    tokenizer = build_clip_tokenizer(_texts(), _LONGEST_TEXT)
    images = CLIPImageProcessorPil(size={"height": SIZE, "width": SIZE}, do_center_crop=False)
    model = _build(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=options.steps, pct_start=0.05)
    scenes, pictures = _pictures(rng, options.scenes)
    started = time.perf_counter()
    for step in range(options.steps):
        rows = _batch(rng, len(scenes))
        pixels = images(images=list(pictures[rows]), return_tensors="pt")["pixel_values"]
        loss, right = _caption_loss(model, tokenizer, pixels, [scenes[row].caption for row in rows])
        loss = loss + _QUESTION_WEIGHT * _question_loss(model, tokenizer, rng)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        if (step + 1) % 100 == 0:
            seconds = time.perf_counter() - started
            log.info("step %d, %d s, loss %.3f, captions found %.2f", step + 1, seconds, loss.item(), right)
    for part in (model, tokenizer, images):
        part.save_pretrained(options.out)


def _build(tokenizer: PreTrainedTokenizerFast) -> CLIPModel:
    tower = {"hidden_size": _HIDDEN, "intermediate_size": 2 * _HIDDEN, "num_attention_heads": _HEADS}
    text = {
        **tower,
        "num_hidden_layers": _LAYERS - 1,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": _LONGEST_TEXT,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {**tower, "num_hidden_layers": _LAYERS, "image_size": SIZE, "patch_size": 8}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=_WIDTH))


def _texts() -> list[str]:
    captions = [
        Scene(shape, colour, old, background, backdrop).caption
        for shape in SHAPES
        for colour in COLOURS
        for old in (False, True)
        for background in BACKGROUNDS
        for backdrop in BACKDROPS
    ]
    return captions + [phrasing for kind in KINDS.values() for phrasing in kind.phrasings]


def _pictures(rng: np.random.Generator, count: int) -> tuple[list[Scene], npt.NDArray[np.uint8]]:
    """`count` random scenes, each in every shape, one after another; and their pictures [scenes, SIZE, SIZE, 3]."""
    scenes: list[Scene] = []
    pictures = np.empty((count * len(SHAPES), SIZE, SIZE, 3), dtype=np.uint8)
    for _ in range(count):
        colour = COLOURS[int(rng.integers(len(COLOURS)))]
        scene = random_scene(rng, SHAPES[0], colour, bool(rng.random() < 0.5))
        for shape in SHAPES:
            pictures[len(scenes)] = np.asarray(draw(replace(scene, shape=shape), rng))
            scenes.append(replace(scene, shape=shape))
    return scenes, pictures


def _batch(rng: np.random.Generator, pictures: int) -> npt.NDArray[np.int64]:
    """Rows of a batch: some scenes in every shape, and pictures at random."""
    alike = rng.choice(pictures // len(SHAPES), _IN_EVERY_SHAPE, replace=False)[:, None] * len(SHAPES)
    alike = (alike + np.arange(len(SHAPES))).ravel()
    return np.concatenate([alike, rng.choice(pictures, _BATCH - len(alike), replace=False)])


def _caption_loss(
    model: CLIPModel, tokenizer: PreTrainedTokenizerFast, pixels: torch.Tensor, captions: list[str]
) -> tuple[torch.Tensor, float]:
    """InfoNCE in both directions; equal captions share the target. Also the share of captions found."""
    image = F.normalize(model.get_image_features(pixel_values=pixels).pooler_output, dim=-1)
    text = _embed_texts(model, tokenizer, captions)
    logits = model.logit_scale.exp().clamp(max=100) * image @ text.T
    same = torch.tensor([[a == b for b in captions] for a in captions], dtype=torch.float32)
    targets = same / same.sum(1, keepdim=True)
    loss = (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2
    found = same.gather(1, logits.argmax(1, keepdim=True)).mean()
    return loss, float(found)


def _question_loss(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, rng: np.random.Generator) -> torch.Tensor:
    """Two phrasings of one question attract each other, phrasings of different questions repel."""
    pairs = [kind.phrasings[:: int(rng.choice([-1, 1]))] for kind in KINDS.values()]
    one, other = (_embed_texts(model, tokenizer, [pair[side] for pair in pairs]) for side in (0, 1))
    return F.cross_entropy(10.0 * one @ other.T, torch.arange(len(pairs)))


def _embed_texts(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> torch.Tensor:
    tokens = tokenizer(texts, padding=True, return_tensors="pt")
    features = model.get_text_features(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
    return F.normalize(features.pooler_output, dim=-1)


if __name__ == "__main__":
    main()
