"""Episodes as tensors: token ids, M-RoPE positions and what is to be predicted where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from shotsmith.builtin.episodes import Item
from shotsmith.data.world.drawing import draw, random_scene
from shotsmith.data.world.language import COLOURS, FACTS, KINDS, SHAPES

VISIBLE, INFERABLE, NOVEL, END = range(4)
"""What kind of target an answer token is."""
GRID = 4
"""Patches a side of a picture; 2 x 2 of them make one visual token."""
_FACT_NUMBER = {name: i for i, name in enumerate(FACTS)}


class PictureBank:
    """Pictures of every artefact, new and old, as flattened patches."""

    def __init__(self, image_processor: object, renderings: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._renderings = renderings
        pictures = [
            draw(random_scene(rng, shape, colour, old), rng)
            for shape in SHAPES
            for colour in COLOURS
            for old in (False, True)
            for _ in range(renderings)
        ]
        patches = image_processor(images=pictures, return_tensors="pt")["pixel_values"]  # type: ignore[operator]
        self.patches: torch.Tensor = patches.view(len(pictures), GRID * GRID, -1)
        """[pictures, 16, 1176]."""

    def pick(self, rng: np.random.Generator, shape: str, colour: str) -> int:
        """A picture of this artefact; whether it is an old one says nothing."""
        artefact = SHAPES.index(shape) * len(COLOURS) + COLOURS.index(colour)
        return artefact * 2 * self._renderings + int(rng.integers(2 * self._renderings))

    def shape_and_colour(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Indices of shape and colour of pictures [N]: two [N]."""
        artefact = pictures // (2 * self._renderings)
        return artefact // len(COLOURS), artefact % len(COLOURS)


@dataclass(frozen=True, slots=True)
class Targets:
    """Answer tokens of a batch, all [N]. A token is predicted from the position before it."""

    row: torch.Tensor
    position: torch.Tensor
    """Of the token before the answer token."""
    token: torch.Tensor
    kind: torch.Tensor
    of_query: torch.Tensor
    """1 for the query's answer, 0 for a demonstration's."""
    source: torch.Tensor
    """Position of the earlier answer token that states the same fact; -1 where there is none."""
    shape: torch.Tensor
    colour: torch.Tensor
    fact: torch.Tensor
    """Index into FACTS; -1 for the end token, as shape and colour."""


@dataclass(frozen=True, slots=True)
class EpisodeBatch:
    """B episodes, padded on the right (attention is causal, so padding is never looked at)."""

    ids: torch.Tensor
    """[B, L]."""
    positions: torch.Tensor
    """[3, B, L]: time, height, width."""
    pictures: torch.Tensor
    """[pictures of all episodes, in order of appearance]: rows of the bank."""
    targets: Targets


class Layout:
    """Token ids of the pieces a prompt is made of; must give what the chat template gives (a test compares)."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        def encode(text: str) -> list[int]:
            return list(tokenizer(text, add_special_tokens=False)["input_ids"])

        self.start = encode("<|im_start|>user\n")
        self.picture = encode("<|vision_start|>" + "<|image_pad|>" * (GRID // 2) ** 2 + "<|vision_end|>")
        self.ask = encode("<|im_end|>\n<|im_start|>assistant\n")
        self.end = encode("<|im_end|>")[0]
        self.pad = encode("<|endoftext|>")[0]
        self.questions = {
            kind.name: [encode(f"Question: {phrasing} Short answer:") for phrasing in kind.phrasings]
            for kind in KINDS.values()
        }
        self.words = {word: encode(word)[0] for fact in FACTS.values() for word in fact.answers}


def assemble(rng: np.random.Generator, episodes: list[list[Item]], layout: Layout, bank: PictureBank) -> EpisodeBatch:
    """Write out episodes; phrasings and pictures are drawn here."""
    rows: list[list[int]] = []
    positions: list[list[tuple[int, int, int]]] = []
    pictures: list[int] = []
    targets: list[tuple[int, ...]] = []
    for row, items in enumerate(episodes):
        writer = _Writer(layout)
        told: dict[tuple[int, int], int] = {}
        for number, item in enumerate(items):
            of_query = number == len(items) - 1
            pictures.append(bank.pick(rng, item.shape, item.colour))
            questions = layout.questions[item.kind]
            writer.picture()
            writer.text(questions[int(rng.integers(len(questions)))] + (layout.ask if of_query else []))
            for part_number, part in enumerate(item.parts):
                token = layout.words[part.word]
                kind = VISIBLE if part.visible else NOVEL if part.source is None else INFERABLE
                source = -1 if part.source is None else told[part.source]
                seen = (SHAPES.index(item.shape), COLOURS.index(item.colour), _FACT_NUMBER[part.fact.name])
                targets.append((row, len(writer.ids) - 1, token, kind, int(of_query), source, *seen))
                told[number, part_number] = len(writer.ids)
                writer.text([token])
        targets.append((row, len(writer.ids) - 1, layout.end, END, 1, -1, -1, -1, -1))
        writer.text([layout.end])
        rows.append(writer.ids)
        positions.append(writer.positions)
    longest = max(map(len, rows))
    ids = np.full((len(rows), longest), layout.pad)
    places = np.zeros((3, len(rows), longest), dtype=np.int64)
    for row, (tokens, where) in enumerate(zip(rows, positions, strict=True)):
        ids[row, : len(tokens)] = tokens
        places[:, row, : len(tokens)] = np.array(where).T
    columns = torch.tensor(targets).T
    return EpisodeBatch(torch.from_numpy(ids), torch.from_numpy(places), torch.tensor(pictures), Targets(*columns))


class _Writer:
    """Token ids with their M-RoPE positions: text counts up in all three axes, a picture spans height and width."""

    def __init__(self, layout: Layout) -> None:
        self.ids: list[int] = []
        self.positions: list[tuple[int, int, int]] = []
        self._next = 0
        self._picture = layout.picture
        self.text(layout.start)

    def text(self, tokens: list[int]) -> None:
        self.ids += tokens
        self.positions += [(self._next + i,) * 3 for i in range(len(tokens))]
        self._next += len(tokens)

    def picture(self) -> None:
        side = GRID // 2
        self.text(self._picture[:1])
        self.ids += self._picture[1:-1]
        self.positions += [(self._next, self._next + y, self._next + x) for y in range(side) for x in range(side)]
        self._next += side
        self.text(self._picture[-1:])
