"""The token ids of a prompt, exactly those of `processor.apply_chat_template`, without doing its work anew each time.

The images cut a prompt into pieces of text. The placeholder of an image is a special token, and a tokenizer splits
at special tokens before anything else, so a piece gets the same ids alone as in the whole (it is tokenised between
two placeholders, so that it is neither the start nor the end of the text). Pieces recur, as examples do, and are
remembered. Where the chat template or the tokenizer is not of that kind, the whole prompt is rendered and tokenised,
as it is for a language model, which has no placeholder for an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shotsmith.errors import DataError, VLMError
from shotsmith.records import Request
from shotsmith.vlms.prompting.prompts import DEFAULT_PROMPT, Message, Prompt

Ids = NDArray[np.int64]
Shown = tuple[int, ...]
"""How many images each example of a prompt has."""
Frame = tuple[str, ...]
"""What the chat template puts before, between and after the texts of a prompt, image placeholders included."""

_REMEMBERED = 200_000


class PromptTokens:
    """Renders and tokenises prompts for one processor."""

    def __init__(self, processor: Any, prompt: Prompt = DEFAULT_PROMPT) -> None:
        self._processor = processor
        self._prompt = prompt
        self._lead = prompt.lead(processor)
        self._tokenizer = processor.tokenizer
        self._image: str | None = processor.image_token
        """The placeholder of an image; None where the model takes text alone."""
        self._image_id: int | None = processor.image_token_id
        self._splits = self._image is not None and self._image_splits()
        self._frame = lru_cache(maxsize=1000)(self._find_frame)
        self._piece = lru_cache(maxsize=_REMEMBERED)(self._tokenise_piece)

    def prompt(self, request: Request) -> list[Ids]:
        """The ids of the pieces before the first image, between images, and after the last: one more than images.

        Raises DataError where a question or answer holds the image placeholder itself, or an example has an image and
        the model takes text alone.
        """
        pieces = self._pieces(request)
        return [self._piece(piece) for piece in pieces] if self._splits else self._tokenise_whole(pieces)

    def text(self, request: Request, answer: str = "") -> str:
        """The prompt as it is tokenised, with one placeholder for each image, and an answer at its end if one is given.

        Raises DataError where a question or answer holds the image placeholder itself.
        """
        return self._joined(self._pieces(request)) + (self._lead + answer if answer else "")

    def adds_special_tokens(self, text: str) -> bool:
        """Whether the tokenizer puts its special tokens around a prompt, as transformers has it after a chat template.

        For images and text: unless the prompt begins with one. For text alone: only where there is no chat template.
        """
        if self._image is None and self._prompt.layout != "plain":
            return False
        bos = self._tokenizer.bos_token
        return bos is None or not text.startswith(bos)

    def answer(self, request: Request, answer: str) -> Ids | None:
        """The ids of `answer` as the model would emit them after the prompt.

        They are what prompt + answer has beyond the prompt, the space between the two included (Prompt.lead); None
        where it does not begin with the ids of the prompt (the tokenizer merges across the border), or nothing is left.
        """
        pieces = self._pieces(request)
        extended = [*pieces[:-1], pieces[-1] + self._lead + answer]
        if self._image is not None and self._image in answer:
            raise DataError(f"the answer {answer!r} contains the VLM's image placeholder", row=request.query.id)
        if self._splits:
            short, long = self._piece(pieces[-1]), self._piece(extended[-1])
        else:
            short, long = self._tokenise_whole(pieces)[-1], self._tokenise_whole(extended)[-1]
        added = long[len(short) :]
        return added if answer and len(added) and np.array_equal(long[: len(short)], short) else None

    def _pieces(self, request: Request) -> list[str]:
        if self._image is None and request.images:
            shown = (*request.demonstrations, request.query)
            culprit = next(example for example in shown if example.images)
            problem = "the example has an image, but the model takes text alone"
            raise DataError(problem, file=culprit.image, row=culprit.id, field="image")
        frame = self._frame(tuple(len(example.images) for example in (*request.demonstrations, request.query)))
        wanted = self._prompt.texts(request)
        if self._image is not None and any(self._image in text for text in wanted):
            raise DataError("a question or answer contains the VLM's image placeholder", row=request.query.id)
        if frame is None:
            return self._cut(self._rendered(self._prompt.messages(request)))
        return self._cut("".join(part for pair in zip(frame, (*wanted, ""), strict=True) for part in pair))

    def _cut(self, text: str) -> list[str]:
        return [text] if self._image is None else text.split(self._image)

    def _joined(self, pieces: Sequence[str]) -> str:
        return (self._image or "").join(pieces)

    def _rendered(self, chat: list[Message]) -> str:
        return self._prompt.render(self._processor, chat)

    def _find_frame(self, shown: Shown) -> Frame | None:
        """What the template puts around the texts of so many examples; None where it changes or reorders them."""
        texts = range(self._prompt.count_texts(len(shown)))
        plain = self._framed(shown, [f"mark{number}mark" for number in texts])
        spaced = self._framed(shown, [f" \t{{{{mark}}}} {number}:\n'\" \n" for number in texts])
        return plain if plain == spaced else None

    def _framed(self, shown: Shown, marks: Sequence[str]) -> Frame | None:
        images = [[""] * count for count in shown]
        rest = self._rendered(self._prompt.arrange(images, marks))
        if self._image is not None and rest.count(self._image) != sum(shown):
            return None
        around = []
        for mark in marks:
            if rest.count(mark) != 1:
                return None
            before, _, rest = rest.partition(mark)
            around.append(before)
        return (*around, rest)

    def _tokenise_piece(self, piece: str) -> Ids:
        ids = self._tokenizer(self._joined(["", piece, ""]), add_special_tokens=False)["input_ids"]
        return np.asarray(ids[1:-1], dtype=np.int64)

    def _tokenise_whole(self, pieces: Sequence[str]) -> list[Ids]:
        text = self._joined(pieces)
        special = self.adds_special_tokens(text)
        ids = np.asarray(self._tokenizer(text, add_special_tokens=special)["input_ids"], dtype=np.int64)
        if self._image is None:
            return [ids]
        borders = np.flatnonzero(ids == self._image_id)
        return [part[part != self._image_id] for part in np.split(ids, borders)]

    def _image_splits(self) -> bool:
        """Whether the tokenizer splits at the placeholder of an image. Raises VLMError where it is no special token."""
        token = self._tokenizer.added_tokens_decoder.get(self._image_id)
        if token is None or not token.special:
            raise VLMError(f"the tokenizer has no special token {self._image!r}: images cannot be placed in a prompt")
        strips = token.lstrip or token.rstrip or token.normalized or token.single_word
        return not strips and self._tokenizer.num_special_tokens_to_add() == 0
