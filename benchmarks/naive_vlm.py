"""The loop everybody writes first: processor and model as transformers gives them, prompt by prompt."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from shotsmith.builtin.processor import load_processor
from shotsmith.records import Completion, Request
from shotsmith.vlms.prompting.prompts import cut_answer, messages


class NaiveVLM:
    """Answers one prompt at a time by `generate`, and scores an answer by a pass over prompt and answer."""

    def __init__(self, path: Path, new_tokens: int) -> None:
        self._model = Qwen2_5_VLForConditionalGeneration.from_pretrained(path, dtype="auto").eval()
        self._processor = load_processor(path)
        self._new_tokens = new_tokens

    def complete(self, request: Request) -> Completion:
        """All that is asked for, in as many passes as things."""
        text = self._text(request) if request.text else None
        return Completion(text, {answer: self._log_prob(request, answer) for answer in request.answers})

    def _inputs(self, request: Request) -> dict[str, torch.Tensor]:
        return dict(
            self._processor.apply_chat_template(
                messages(request), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
            )
        )

    @torch.inference_mode()
    def _text(self, request: Request) -> str:
        inputs = self._inputs(request)
        output = self._model.generate(
            **inputs, max_new_tokens=self._new_tokens, do_sample=False, repetition_penalty=1.0
        )
        new = output[0, inputs["input_ids"].shape[1] :]
        return cut_answer(self._processor.tokenizer.decode(new, skip_special_tokens=True))

    @torch.inference_mode()
    def _log_prob(self, request: Request, answer: str) -> float:
        inputs = self._inputs(request)
        text = self._processor.apply_chat_template(messages(request), add_generation_prompt=True, tokenize=False)
        length = len(self._processor.tokenizer(text)["input_ids"])
        added = torch.tensor([self._processor.tokenizer(text + answer)["input_ids"][length:]])
        pad = (0, added.shape[1])
        inputs["input_ids"] = torch.cat([inputs["input_ids"], added], 1)
        inputs["attention_mask"] = torch.nn.functional.pad(inputs["attention_mask"], pad, value=1)
        inputs["mm_token_type_ids"] = torch.nn.functional.pad(inputs["mm_token_type_ids"], pad)
        log_probs = self._model(**inputs).logits[0, -added.shape[1] - 1 : -1].float().log_softmax(-1)
        return float(log_probs.gather(-1, added[0, :, None]).sum())
