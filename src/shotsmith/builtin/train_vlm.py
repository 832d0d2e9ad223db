"""Train the built-in VLM from scratch: `python -m shotsmith.builtin.train_vlm OUT`.

Every episode has facts of its own, so the weights hold none; what is learned is to see, and to read the prompt.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from transformers import Qwen2_5_VLForConditionalGeneration

from shotsmith.builtin.aids import Aids
from shotsmith.builtin.architecture import build_processor, build_vlm, vocabulary_texts
from shotsmith.builtin.batches import EpisodeBatch, Layout, PictureBank, assemble
from shotsmith.builtin.episodes import Difficulty, Item, sample_episode
from shotsmith.builtin.muon import Muon
from shotsmith.builtin.picture_features import picture_features
from shotsmith.builtin.probes import PROBES
from shotsmith.builtin.tokenizer import build_tokenizer

log = logging.getLogger(__name__)
_TARGET_WEIGHTS = torch.tensor([1.0, 1.0, 0.1, 0.05])
"""By kind of target: visible, inferable, novel (cannot be known: only the word class can be learned), end."""
_LENGTHS = (1, 2, 3, 4, 5, 7)
_EARLY, _LATE = (0.0, 0.1, 0.2, 0.2, 0.25, 0.25), (0.06, 0.14, 0.25, 0.22, 0.33, 0.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and save model and processor in the folder OUT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--items", type=int, default=96, help="questions in a batch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    started = time.perf_counter()
    trainer = Trainer(options.seed, options.steps, options.items)
    for step in range(options.steps):
        trainer.step(step)
        if (step + 1) % 200 == 0 or step + 1 == options.steps:
            seconds = round(time.perf_counter() - started)
            log.info("step %d, %d s, %s", step + 1, seconds, json.dumps(trainer.progress()))
            trainer.save(options.out)
    log.info("probes on new pictures: %s", json.dumps(trainer.probe(800)))


class Trainer:
    """Model, aids and optimisers."""

    def __init__(self, seed: int, steps: int, items: int, *, newest: bool = True) -> None:
        """`newest` says which of several statements about a fact the model learns to believe, newest or oldest."""
        self.newest = newest
        tokenizer = build_tokenizer(vocabulary_texts(), max_length=1024)
        self.processor = build_processor(tokenizer)
        self.model = build_vlm(tokenizer, seed)
        self.aids = Aids(self.model)
        self.layout = Layout(tokenizer)
        self.bank = PictureBank(self.processor.image_processor, renderings=16, seed=seed)
        self.new_pictures = PictureBank(self.processor.image_processor, renderings=3, seed=seed + 999)
        self.rng = np.random.default_rng(seed + 1)
        self.steps, self.items = steps, items
        self.averages: dict[str, float] = {}
        matrices, rest = _split_parameters(self.model)
        self.optimizers: list[tuple[torch.optim.Optimizer, float]] = [
            (torch.optim.AdamW([*rest, *self.aids.parameters()], betas=(0.9, 0.98), weight_decay=0.01), 3e-3),
            (Muon(matrices, lr=6e-3), 6e-3),
        ]

    def step(self, step: int) -> None:
        """One update."""
        done = step / self.steps
        batch = assemble(self.rng, self._episodes(done), self.layout, self.bank)
        self.model.train()
        logits, features = self._forward(batch, self.bank)
        targets = batch.targets
        losses = F.cross_entropy(logits, targets.token, reduction="none")
        weights = _TARGET_WEIGHTS[targets.kind]
        loss = (losses * weights).sum() / weights.sum()
        looking, mass = self.aids.looking(targets)
        seeing = self.aids.seeing(features, *self.bank.shape_and_colour(batch.pictures))
        aid = 0.5 * seeing + 0.4 * self.aids.binding(targets)
        loss = loss + max(0.0, 1 - done / 0.6) * 0.5 * looking + max(0.0, 1 - done / 0.7) * aid
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        rate = min(1.0, (step + 1) / 60) * (1.0 if done < 0.6 else max(0.02, (1 - done) / 0.4))
        for optimizer, peak in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        right = (logits.argmax(-1) == targets.token).float()
        for name, kind in (("visible", 0), ("inferable", 1)):
            of = targets.kind == kind
            if of.any():
                self._average(name, float(right[of].mean()))
        self._average("attention", mass)

    def probe(self, count: int) -> dict[str, float]:
        """Share of probe questions answered right, on new pictures."""
        rng = np.random.default_rng(7)
        self.model.eval()
        return {
            name: round(self._accuracy(rng, [probe(rng) for _ in range(count)]), 3) for name, probe in PROBES.items()
        }

    def progress(self) -> dict[str, float]:
        """Running averages and quick probes."""
        return {**{k: round(v, 3) for k, v in self.averages.items()}, **self.probe(128)}

    def save(self, folder: Path) -> None:
        """Write model and processor."""
        self.model.save_pretrained(folder)
        self.processor.save_pretrained(folder)

    def _episodes(self, done: float) -> list[list[Item]]:
        length = int(self.rng.choice(_LENGTHS, p=_EARLY if done < 0.6 else _LATE))
        change = 0.15 * min(1.0, max(0.0, (done - 0.15) / 0.3))
        difficulty = Difficulty(near=0.6 * min(1.0, 2 * done + 0.2), change=change, newest=self.newest)
        return [sample_episode(self.rng, length, difficulty) for _ in range(max(8, self.items // length))]

    def _forward(self, batch: EpisodeBatch, bank: PictureBank) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [N, vocabulary] at the targets; picture features [pictures, visual tokens, hidden]."""
        model = self.model.model
        features = picture_features(model.visual, bank.patches[batch.pictures])
        embedded = model.get_input_embeddings()(batch.ids)
        embedded = embedded.masked_scatter((batch.ids == self.model.config.image_token_id)[..., None], features)
        states = model.language_model(
            inputs_embeds=embedded, position_ids=batch.positions, use_cache=False
        ).last_hidden_state
        return self.model.lm_head(states[batch.targets.row, batch.targets.position]).float(), features

    @torch.no_grad()
    def _accuracy(self, rng: np.random.Generator, episodes: list[list[Item]]) -> float:
        batch = assemble(rng, episodes, self.layout, self.new_pictures)
        logits, _ = self._forward(batch, self.new_pictures)
        targets = batch.targets
        of = targets.of_query == 1
        right = torch.ones(len(episodes))
        hits = (logits.argmax(-1) == targets.token).float()
        right.scatter_reduce_(0, targets.row[of], hits[of], "amin")
        return float(right.mean())

    def _average(self, name: str, value: float) -> None:
        self.averages[name] = 0.95 * self.averages.get(name, value) + 0.05 * value


def _split_parameters(
    model: Qwen2_5_VLForConditionalGeneration,
) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    matrices: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
        (matrices if is_matrix else rest).append(parameter)
    return matrices, rest


if __name__ == "__main__":
    main()
