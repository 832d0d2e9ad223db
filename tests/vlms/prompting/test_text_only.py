"""Examples without an image or with several, alone and among others."""

from dataclasses import replace

import pytest
import small_vlm
import torch

from shotsmith.builtin.processor import load_processor
from shotsmith.records import Request
from shotsmith.vlms.prompting.prompt_tokens import PromptTokens
from shotsmith.vlms.prompting.prompts import cut_answer, messages


@pytest.fixture(scope="module")
def requests(examples):
    """Prompts with images everywhere, nowhere, in the query alone, in some demonstrations, and several at a time."""
    bare = [replace(example, images=()) for example in examples]
    mixed = [pair[number % 2] for number, pair in enumerate(zip(examples, bare, strict=True))]
    return [
        request
        for number, some in enumerate((examples, bare, mixed))
        for request in small_vlm.draw_requests(some, 8, seed=number)
    ] + [
        Request(examples[0], (bare[1],)),
        Request(bare[0], (examples[1],)),
        Request(bare[2]),
        Request(pair(examples[0], examples[1])),
        Request(pair(examples[2], examples[3]), (bare[1], pair(examples[3], examples[2]), examples[4])),
        Request(bare[0], (pair(examples[5], examples[5]),)),
    ]


def pair(one, other):
    """The first example with the images of both."""
    return replace(one, images=one.images + other.images)


@torch.inference_mode()
def answered(reference, request):
    """The unmodified model's answer to one prompt, and the log-probability of 'dax', token by token."""
    model, processor = reference
    inputs = processor.apply_chat_template(
        messages(request), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    output = model.generate(**inputs, max_new_tokens=5, do_sample=False, repetition_penalty=1.0)
    ends = model.generation_config.eos_token_id
    given = output[0, inputs["input_ids"].shape[1] :].tolist()
    if given[-1] in (ends if isinstance(ends, list) else [ends]):
        given.pop()
    text = processor.tokenizer.decode(given, skip_special_tokens=True)
    prompt = processor.apply_chat_template(messages(request), add_generation_prompt=True, tokenize=False)
    tokens = [processor.tokenizer(each)["input_ids"] for each in (prompt, prompt + "dax")]
    total = 0.0
    for token in tokens[1][len(tokens[0]) :]:
        total += model(**inputs).logits[0, -1].double().log_softmax(-1)[token].item()
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([[token]])], 1)
        for name, value in (("attention_mask", 1), ("mm_token_type_ids", 0)):
            if name in inputs:
                inputs[name] = torch.nn.functional.pad(inputs[name], (0, 1), value=value)
    return cut_answer(text), total


def test_an_example_without_an_image_puts_none_into_the_prompt(examples):
    bare = replace(examples[0], images=())
    request = Request(bare, (examples[1], bare))
    (turn,) = messages(request)
    assert [part["type"] for part in turn["content"]] == ["image", "text", "text", "text"]
    assert request.images == (examples[1].image,)


def test_several_images_stand_before_the_text_of_their_example_in_their_order(examples):
    request = Request(pair(examples[0], examples[1]), (pair(examples[2], examples[1]),))
    (turn,) = messages(request)
    assert [part["type"] for part in turn["content"]] == ["image", "image", "text"] * 2
    shown = [part["image"] for part in turn["content"] if part["type"] == "image"]
    assert shown == [str(examples[n].image) for n in (2, 1, 0, 1)] == [str(image) for image in request.images]


def test_the_pieces_are_the_tokens_of_the_chat_template(folder, requests):
    processor = load_processor(folder)
    prompts = PromptTokens(processor)
    for request in requests:
        ids = processor.apply_chat_template(messages(request), add_generation_prompt=True, tokenize=True)
        ids = ids[0] if isinstance(ids[0], list) else ids
        pieces = prompts.prompt(request)
        assert len(pieces) == len(request.images) + 1
        assert [one for piece in pieces for one in piece.tolist()] == [
            one for one in ids if one != processor.image_token_id
        ]


def test_one_batch_with_and_without_images_answers_as_the_unmodified_model_does(vlm, reference, requests):
    asked = [replace(request, answers=("dax",)) for request in requests]
    expected = [answered(reference, request) for request in requests]
    for completions in (vlm.complete(asked), [one for request in asked for one in vlm.complete([request])]):
        assert [one.text for one in completions] == [text for text, _ in expected]
        assert [one.log_probs["dax"] for one in completions] == pytest.approx([lp for _, lp in expected], abs=1e-4)
    assert len({text for request, (text, _) in zip(requests, expected, strict=True) if not request.images}) > 1


def test_a_batch_without_any_image_answers_as_one_with_images(vlm, requests):
    bare = [request for request in requests if not request.images]
    together = dict(zip(requests, vlm.complete(requests), strict=True))
    assert len(bare) > 5
    assert vlm.complete(bare) == [together[request] for request in bare]
