"""Causal language models as VLMs of examples without images: as the unmodified model answers, one by one."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
import small_language_models
import small_vlm
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from shotsmith.errors import DataError, InputError
from shotsmith.recipe import VLMSettings
from shotsmith.recipe.models import PromptSettings
from shotsmith.records import Completion, Request
from shotsmith.vlms.general import GeneralVLM
from shotsmith.vlms.load import load_vlm
from shotsmith.vlms.pretrained.loading import load_processor_and_prompt
from shotsmith.vlms.prompting.prompts import load_prompt
from shotsmith.vlms.prompting.shown import show_prompt

ANSWERS = ("red blue", "paris", "zq")


@pytest.fixture(scope="module", params=sorted(small_language_models.FAMILIES))
def folder(request, tmp_path_factory):
    return small_language_models.FAMILIES[request.param](tmp_path_factory.mktemp("language-model"))


@pytest.fixture(scope="module")
def reference(folder):
    """Model and tokenizer as transformers loads them, nothing changed."""
    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def requests(examples):
    bare = [replace(example, images=()) for example in examples]
    return [*small_vlm.draw_requests(bare, 7, shots=3), Request(bare[0]), Request(bare[1], tuple(bare[2:6]))]


@lru_cache
def made(folder: Path, layout: str = "single_turn") -> GeneralVLM:
    vlm = load_vlm(VLMSettings(path=str(folder), prompt=PromptSettings(layout=layout)))
    assert isinstance(vlm, GeneralVLM)
    return vlm


def ids_of(tokenizer, layout, request):
    """The prompt by the tokenizer alone: its chat template, or plain text with its special tokens."""
    prompt = load_prompt(PromptSettings(layout=layout))
    turns = prompt.messages(request)
    texts = [{"role": turn["role"], "content": "".join(part["text"] for part in turn["content"])} for turn in turns]
    if layout == "plain":
        return tokenizer("".join(turn["content"] for turn in texts))["input_ids"]
    return tokenizer.apply_chat_template(texts, add_generation_prompt=True, tokenize=True, return_dict=False)


@torch.inference_mode()
def generated(reference, layout, request):
    model, tokenizer = reference
    ids = torch.tensor([ids_of(tokenizer, layout, request)])
    output = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False, repetition_penalty=1.0
    )
    text = tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)
    return load_prompt(PromptSettings(layout=layout)).cut(text)


@torch.inference_mode()
def scored(reference, layout, request, answer):
    """The log-probability of an answer's tokens, from one pass over prompt and answer."""
    model, tokenizer = reference
    prompt = ids_of(tokenizer, layout, request)
    lead = " " if layout == "plain" else ""  # what the template "qwen" puts before an answer in plain text
    given = tokenizer(lead + answer, add_special_tokens=False)["input_ids"]
    log_probs = model(torch.tensor([prompt + given])).logits[0].double().log_softmax(-1)
    return sum(log_probs[len(prompt) + place - 1, token].item() for place, token in enumerate(given))


@pytest.mark.parametrize("layout", ["single_turn", "multi_turn", "plain"])
def test_answers_are_those_of_generate_for_single_prompts_and_batches(folder, reference, requests, layout):
    vlm = made(folder, layout)
    expected = [generated(reference, layout, request) for request in requests]
    alone = [completion.text for request in requests for completion in vlm.complete([request])]
    together = [completion.text for completion in vlm.complete(requests)]
    assert alone == together == expected
    assert len(set(expected)) > 1


@pytest.mark.parametrize("layout", ["single_turn", "multi_turn", "plain"])
def test_log_probabilities_are_those_of_one_pass_over_prompt_and_answer(folder, reference, requests, layout):
    asked = [replace(request, answers=ANSWERS, text=False) for request in requests]
    for request, completion in zip(asked, made(folder, layout).complete(asked), strict=True):
        assert isinstance(completion, Completion) and completion.text is None
        for answer in ANSWERS:
            expected = scored(reference, layout, request, answer)
            assert completion.log_probs[answer] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("layout", ["single_turn", "multi_turn", "plain"])
def test_the_tokens_of_a_prompt_are_those_of_the_tokenizer_and_are_counted_without_weights(
    folder, reference, requests, layout
):
    settings = VLMSettings(path=str(folder), prompt=PromptSettings(layout=layout))
    processor, prompt = load_processor_and_prompt(folder, settings)
    for request in requests:
        expected = ids_of(reference[1], layout, request)
        assert list(show_prompt(processor, prompt, request).ids) == expected
        assert made(folder, layout).length(request) == len(expected)


def test_an_example_with_an_image_is_refused_by_name(folder, examples):
    vlm, bare = made(folder), replace(examples[1], images=())
    for asked in (Request(examples[0]), Request(bare, (examples[0],))):
        for ask in (vlm.length, lambda request: vlm.complete([request])):
            with pytest.raises(DataError, match="takes text alone") as caught:
                ask(asked)
            assert (caught.value.file, caught.value.row) == (str(examples[0].image), examples[0].id)


def test_what_decides_a_completion_is_in_the_identity(folder, tmp_path):
    plain = load_vlm(VLMSettings(path=str(folder), max_new_tokens=3)).identity
    assert plain != made(folder).identity and " text prompt=" in plain


def test_a_chat_layout_needs_a_chat_template_and_plain_text_does_not(tmp_path):
    folder = small_language_models.save_llama(tmp_path, template=None)
    with pytest.raises(InputError, match="no chat template"):
        load_vlm(VLMSettings(path=str(folder)))
    assert load_vlm(VLMSettings(path=str(folder), prompt=PromptSettings(layout="plain"))).batch_tokens


def test_code_in_the_model_s_folder_is_never_run(tmp_path):
    folder = small_language_models.save_qwen2(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "unheard_of",
        "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    mark = tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(mark)!r}, 'w').close()\nraise RuntimeError\n")
    with pytest.raises(InputError):
        load_vlm(VLMSettings(path=str(folder)))
    assert not mark.exists()
