"""Train the built-in CLIP from scratch: `python -m shotsmith.builtin.train_clip OUT`.

Contrastive learning of pictures and their captions (Radford et al. 2021, arXiv 2103.00020), and of the phrasings of a
question with each other. No answer to any question is ever shown to it.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and save model, tokenizer and image processor in the folder OUT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--pictures", type=int, default=16384)
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
    scenes, pixels = _pictures(rng, options.pictures, images)
    started = time.perf_counter()
    for step in range(options.steps):
        rows = rng.choice(len(scenes), _BATCH, replace=False)
        captions = [scenes[row].caption for row in rows]
        loss, right = _caption_loss(model, tokenizer, pixels[rows], captions)
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


def _pictures(rng: np.random.Generator, count: int, images: Any) -> tuple[list[Scene], torch.Tensor]:
    scenes = [
        random_scene(
            rng,
            SHAPES[int(rng.integers(len(SHAPES)))],
            COLOURS[int(rng.integers(len(COLOURS)))],
            bool(rng.random() < 0.5),
        )
        for _ in range(count)
    ]
    return scenes, images(images=[draw(scene, rng) for scene in scenes], return_tensors="pt")["pixel_values"]


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
