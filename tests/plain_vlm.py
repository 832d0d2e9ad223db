"""The slow reference of every VLM: one prompt at a time, by the unmodified model and processor."""

from __future__ import annotations

from typing import Any

import torch
from transformers.processing_utils import ProcessorMixin

from shotsmith.data.images import load_image

Reference = tuple[Any, ProcessorMixin]
"""A model and its processor as transformers loads them."""

# What each chat template puts between the prompt and an answer, and each wording in plain text.
CHAT_LEADS = {"idefics2": " ", "idefics3": " ", "smolvlm": " "}
PLAIN_LEADS = {"caption": " ", "classification": " ", "idefics": " ", "llava": "\n", "qwen": " "}


def text_of(processor, prompt, request):
    """The prompt as the processor takes it."""
    if prompt.layout != "plain":
        return processor.apply_chat_template(prompt.messages(request), add_generation_prompt=True, tokenize=False)
    image = prompt.template.image.replace("{image}", processor.image_token)
    parts = [prompt.system or ""]
    for example in request.demonstrations:
        parts += [image] * len(example.images)
        parts.append(prompt.template.demonstration.format(question=example.question, answer=example.answer))
    parts += [image] * len(request.query.images)
    return "".join([*parts, prompt.template.query.format(question=request.query.question)])


def inputs_of(processor, prompt, request) -> dict[str, Any]:
    text = text_of(processor, prompt, request)
    images = [[load_image(image) for image in request.images]] if request.images else None
    started = processor.tokenizer.bos_token is not None and text.startswith(processor.tokenizer.bos_token)
    return dict(processor(text=[text], images=images, return_tensors="pt", add_special_tokens=not started))


@torch.inference_mode()
def generated(reference, prompt, request, **decoding):
    """The answer by processor and `generate`, alone."""
    model, processor = reference
    inputs = inputs_of(processor, prompt, request)
    plain = {"max_new_tokens": 5, "do_sample": False, "repetition_penalty": 1.0}
    output = model.generate(**inputs, **(plain | decoding))
    tokens = output[0, inputs["input_ids"].shape[1] :].tolist()
    end = next((n for n, token in enumerate(tokens) if token in model.generation_config.eos_token_id), len(tokens))
    return prompt.cut(processor.tokenizer.decode(tokens[:end], skip_special_tokens=True))


@torch.inference_mode()
def scored(reference, family, template, prompt, request, answer):
    """The answer's log-probability token by token: each from a whole pass of the unmodified model."""
    model, processor = reference
    leads = (PLAIN_LEADS, template) if prompt.layout == "plain" else (CHAT_LEADS, family)
    text = text_of(processor, prompt, request)
    short = processor.tokenizer(text)["input_ids"]
    tokens = processor.tokenizer(text + leads[0].get(leads[1], "") + answer)["input_ids"]
    assert tokens[: len(short)] == short and len(tokens) > len(short)
    inputs, total = inputs_of(processor, prompt, request), 0.0
    for token in tokens[len(short) :]:
        total += model(**inputs).logits[0, -1].double().log_softmax(-1)[token].item()
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([[token]])], 1)
        inputs["attention_mask"] = torch.nn.functional.pad(inputs["attention_mask"], (0, 1), value=1)
        if "mm_token_type_ids" in inputs:
            inputs["mm_token_type_ids"] = torch.nn.functional.pad(inputs["mm_token_type_ids"], (0, 1), value=0)
    return total
