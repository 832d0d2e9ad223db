import dataclasses
import math
import shutil

import numpy as np
import pytest
import small_vlm
import torch
from PIL import Image

from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.errors import DataError, InputError, VLMError
from shotsmith.recipe import VLMSettings
from shotsmith.records import Completion, Example, Failure, Request
from shotsmith.vlms.pretrained import loading
from shotsmith.vlms.prompting import prompts
from shotsmith.vlms.prompting.prompts import cut_answer, messages
from shotsmith.vlms.qwen.layout import in_line
from shotsmith.vlms.qwen.local import load_vlm


def inputs_of(reference, request):
    _, processor = reference
    return processor.apply_chat_template(
        messages(request), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )


def rows_of(vlm, requests):
    """The first row of each request."""
    rows = {}
    for number, row, _ in vlm._rows(requests):
        rows.setdefault(number, row)
    return list(rows.values())


@torch.inference_mode()
def generated(reference, request, new_tokens=5):
    """The answer by processor and `generate`, one prompt at a time."""
    model, processor = reference
    inputs = inputs_of(reference, request)
    output = model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False, repetition_penalty=1.0)
    tokens = output[0, inputs["input_ids"].shape[1] :].tolist()
    ends = model.generation_config.eos_token_id
    if tokens[-1] in (ends if isinstance(ends, list) else [ends]):
        tokens.pop()
    return processor.tokenizer.decode(tokens, skip_special_tokens=True)


@torch.inference_mode()
def scored(reference, request, answer):
    """The answer's log-probability token by token: each from a whole pass of the unmodified model."""
    model, processor = reference
    inputs = dict(inputs_of(reference, request))
    text = processor.apply_chat_template(messages(request), add_generation_prompt=True, tokenize=False)
    short = processor.tokenizer(text)["input_ids"]
    tokens = processor.tokenizer(text + answer)["input_ids"][len(short) :]
    assert tokens
    total = 0.0
    for token in tokens:
        total += model(**inputs).logits[0, -1].double().log_softmax(-1)[token].item()
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([[token]])], 1)
        inputs["attention_mask"] = torch.nn.functional.pad(inputs["attention_mask"], (0, 1), value=1)
        inputs["mm_token_type_ids"] = torch.nn.functional.pad(inputs["mm_token_type_ids"], (0, 1), value=0)
    return total


def with_answers(request, *answers, text=True):
    return Request(request.query, request.demonstrations, answers, text)


def draft(row, tokens):
    """The row with these tokens as its given answer."""
    return dataclasses.replace(row, answer=np.array(tokens, dtype=np.int64)) if tokens else row


@pytest.fixture
def passes(vlm, monkeypatch):
    """The shapes [rows, tokens] of the forward passes of the language model."""
    shapes = []
    forward = vlm._decoder._forward
    monkeypatch.setattr(
        vlm._decoder,
        "_forward",
        lambda embedded, *rest: shapes.append(tuple(embedded.shape[:2])) or forward(embedded, *rest),
    )
    return shapes


@pytest.fixture(scope="module")
def requests(examples):
    return small_vlm.draw_requests(examples, 25)


class TestAnswers:
    def test_a_batch_of_any_shots_answers_as_generate_does_one_by_one(self, vlm, reference, requests):
        texts = [completion.text for completion in vlm.complete(requests)]
        assert texts == [cut_answer(generated(reference, request)) for request in requests]
        assert len(set(texts)) > 1

    @pytest.mark.parametrize("new_tokens", [1, 2, 7])
    def test_answers_are_as_long_as_allowed(self, folder, reference, requests, new_tokens):
        vlm = load_vlm(VLMSettings(path=str(folder), max_new_tokens=new_tokens))
        texts = [completion.text for completion in vlm.complete(requests[:8])]
        assert texts == [cut_answer(generated(reference, request, new_tokens)) for request in requests[:8]]

    def test_a_given_answer_never_changes_the_text(self, vlm, requests):
        plain = [completion.text for completion in vlm.complete(requests)]
        for given in ("dax", "red blue green", "what is it called color where from used"):
            asked = [with_answers(request, given) for request in requests]
            assert [completion.text for completion in vlm.complete(asked)] == plain

    def test_drafts_that_agree_in_full_or_in_part_do_not_change_the_text(self, vlm, requests):
        rows = rows_of(vlm, requests)
        tokens = [result.tokens for result in vlm._decoder.decode(rows)]
        assert max(map(len, tokens)) > 1
        for cut in range(4):
            for wrong in ([], [7], [7, 8, 9, 7, 8, 9, 7]):
                drafts = [draft(row, own[:cut] + wrong) for row, own in zip(rows, tokens, strict=True)]
                assert [result.tokens for result in vlm._decoder.decode(drafts)] == tokens

    def test_a_draft_that_agrees_is_cut_at_the_longest_answer_allowed(self, vlm, requests, monkeypatch):
        rows = rows_of(vlm, requests)
        monkeypatch.setattr(vlm._decoder, "_ends", frozenset())
        tokens = [result.tokens for result in vlm._decoder.decode(rows)]
        monkeypatch.setattr(vlm._decoder, "_max_new_tokens", 3)
        drafts = [draft(row, own) for row, own in zip(rows, tokens, strict=True)]
        assert [result.tokens for result in vlm._decoder.decode(drafts)] == [own[:3] for own in tokens]

    def test_a_draft_that_agrees_is_cut_at_an_end_token_within_it(self, vlm, requests, monkeypatch):
        rows = rows_of(vlm, requests)
        monkeypatch.setattr(vlm._decoder, "_ends", frozenset())
        tokens = [result.tokens for result in vlm._decoder.decode(rows)]
        for row, own in zip(rows, tokens, strict=True):
            monkeypatch.setattr(vlm._decoder, "_ends", frozenset({own[2]}))
            (result,) = vlm._decoder.decode([draft(row, own)])
            assert result.tokens == own[: own.index(own[2])]

    def test_a_prompt_is_answered_in_a_batch_as_alone(self, vlm, requests):
        asked = [with_answers(request, request.query.answer) for request in requests]
        together = vlm.complete(asked)
        for request, completion in zip(asked, together, strict=True):
            (alone,) = vlm.complete([request])
            assert alone.text == completion.text
            assert alone.log_probs == pytest.approx(dict(completion.log_probs), abs=1e-4)


class TestLogProbs:
    def test_they_are_those_of_the_answer_s_tokens_one_by_one(self, vlm, reference, requests):
        asked = [
            with_answers(request, request.query.answer, "red", text=bool(n % 2)) for n, request in enumerate(requests)
        ]
        for request, completion in zip(asked, vlm.complete(asked), strict=True):
            for answer, value in completion.log_probs.items():
                assert value == pytest.approx(scored(reference, request, answer), abs=1e-4)
            assert set(completion.log_probs) == {request.query.answer, "red"}
            assert (completion.text is not None) == request.text

    def test_they_are_log_probabilities(self, vlm, examples):
        words = sorted({word for word in small_vlm.WORDS})
        (completion,) = vlm.complete([Request(examples[0], answers=tuple(words), text=False)])
        assert set(completion.log_probs) == set(words)
        assert sum(map(math.exp, completion.log_probs.values())) <= 1 + 1e-5
        assert all(value < 0 for value in completion.log_probs.values())

    def test_an_answer_without_tokens_of_its_own_is_a_failure(self, vlm, examples):
        completions = vlm.complete([Request(examples[0], answers=("",)), Request(examples[1], answers=("red",))])
        assert isinstance(completions[0], Failure)
        assert isinstance(completions[1], Completion)


class TestEconomy:
    def test_nothing_is_decoded_where_no_text_is_wanted(self, vlm, requests, passes):
        before = vlm.work.decoded
        vlm.complete([with_answers(request, request.query.answer, text=False) for request in requests])
        assert passes and all(shape[1] > 1 for shape in passes)
        assert vlm.work.decoded == before

    def test_an_answer_that_the_model_itself_would_give_costs_no_further_pass(self, vlm, requests, passes):
        rows = rows_of(vlm, requests)
        tokens = [result.tokens for result in vlm._decoder.decode(rows)]
        assert any(shape[1] == 1 for shape in passes)
        passes.clear()
        vlm._decoder.decode([draft(row, own) for row, own in zip(rows, tokens, strict=True) if own])
        assert passes and all(shape[1] > 1 for shape in passes)

    def test_rows_that_have_ended_are_not_decoded_further(self, vlm, requests, passes):
        rows = rows_of(vlm, requests)
        lengths = [len(result.tokens) for result in vlm._decoder.decode(rows)]
        limit = vlm._decoder._max_new_tokens
        going_on = [sum(length >= step for length in lengths) for step in range(1, limit)]
        assert [shape for shape in passes if shape[1] == 1] == [(count, 1) for count in going_on if count]

    def test_the_logits_of_a_large_vocabulary_are_never_held_for_all_positions(self, vlm, requests, monkeypatch):
        seen = []
        model = vlm._decoder._model
        handle = model.lm_head.register_forward_hook(lambda module, args, output: seen.append(output.shape))
        try:
            vlm.complete([with_answers(request, "dax red") for request in requests])
        finally:
            handle.remove()
        assert sum(shape[0] for shape in seen) < 12 * len(requests)

    def test_several_answers_of_a_prompt_have_it_computed_once(self, vlm, requests):
        before = dataclasses.replace(vlm.work)
        vlm.complete([with_answers(request, "red", "blue", "tea", "red", text=False) for request in requests])
        prompts = sum(map(vlm.length, requests))
        assert vlm.work.rows - before.rows == 3 * len(requests)
        assert vlm.work.tokens - before.tokens > 3 * prompts
        assert vlm.work.computed - before.computed < 1.5 * prompts

    def test_only_one_of_several_answers_is_decoded_beyond(self, vlm, requests):
        one, several = dataclasses.replace(vlm.work), dataclasses.replace(vlm.work)
        vlm.complete([with_answers(request, "red") for request in requests])
        alone = vlm.work.decoded - one.decoded
        several = vlm.work.decoded
        vlm.complete([with_answers(request, "red", "blue") for request in requests])
        assert vlm.work.decoded - several == alone > 0


class TestPositions:
    def test_they_are_those_of_the_model_s_own_rope_index(self, vlm, reference, requests):
        model, _ = reference
        numbers: dict[str, int] = {}
        for request in requests:
            line = in_line(rows_of(vlm, [request])[0], numbers)
            inputs = inputs_of(reference, request)
            expected, delta = model.model.get_rope_index(
                inputs["input_ids"], inputs["mm_token_type_ids"], inputs["image_grid_thw"]
            )
            ids = np.where(line.ids < 0, model.config.image_token_id, line.ids)
            assert ids.tolist() == inputs["input_ids"][0].tolist()
            assert line.positions.tolist() == expected[:, 0].tolist()
            assert line.following == inputs["input_ids"].shape[1] + delta.item()

    def test_length_is_that_of_the_processor_s_prompt(self, vlm, reference, requests):
        for request in requests:
            assert vlm.length(request) == inputs_of(reference, request)["input_ids"].shape[1]


class TestTrouble:
    def test_an_image_that_cannot_be_decoded_is_the_data_s_fault(self, vlm, examples, tmp_path):
        path = tmp_path / "torn.png"
        path.write_bytes(examples[0].image.read_bytes()[:-40])
        with pytest.raises(DataError, match=r"torn\.png"):
            vlm.complete([Request(Example(1, (path,), 1, "what?", ("a",)))])

    def test_logits_that_are_not_finite_fail_their_row_only(self, vlm, requests, tmp_path):
        asked = [with_answers(request, "red") for request in requests[:4]]
        before = vlm.complete(asked)
        image = tmp_path / "nan.png"
        Image.new("RGB", (56, 56), "white").save(image)
        (features,) = vlm._vision.encode([image])
        with torch.inference_mode():
            features.features.fill_(float("nan"))
        spoilt = Request(Example(1, (image,), 1, "what?", ("red",)), answers=("red",))
        completions = vlm.complete([*asked[:2], spoilt, *asked[2:]])
        assert isinstance(completions.pop(2), Failure)
        assert [completion.text for completion in completions] == [completion.text for completion in before]

    def test_logits_that_turn_bad_while_decoding_are_a_failure_too(self, vlm, requests, monkeypatch):
        decoder = vlm._decoder
        scores, go_on = decoder._scores, decoder._go_on

        def spoilt(hidden, targets):
            best, log_probs = scores(hidden, targets)
            return best, log_probs * float("nan")

        def going_on(*arguments):
            monkeypatch.setattr(decoder, "_scores", spoilt)
            go_on(*arguments)

        expected = [len(result.tokens) for result in decoder.decode(rows_of(vlm, requests))]
        monkeypatch.setattr(decoder, "_go_on", going_on)
        completions = vlm.complete(requests)
        assert [isinstance(completion, Failure) for completion in completions] == [length > 0 for length in expected]

    def test_too_large_a_batch_is_halved_until_it_fits(self, vlm, requests, monkeypatch):
        asked = [with_answers(request, "red") for request in requests]
        expected = vlm.complete(asked)
        decode = vlm._decoder.decode

        def small_memory(rows):
            if len(rows) > 5:
                raise torch.OutOfMemoryError("no room")
            return decode(rows)

        monkeypatch.setattr(vlm._decoder, "decode", small_memory)
        completions = vlm.complete(asked)
        assert [completion.text for completion in completions] == [completion.text for completion in expected]

    def test_a_single_prompt_beyond_memory_is_the_vlm_s_error(self, vlm, requests, monkeypatch):
        def no_memory(rows):
            raise torch.OutOfMemoryError("no room")

        monkeypatch.setattr(vlm._decoder, "decode", no_memory)
        with pytest.raises(VLMError, match="memory"):
            vlm.complete(requests[:3])

    def test_nothing_asked_is_nothing_answered(self, vlm, examples, passes):
        assert vlm.complete([]) == []
        assert vlm.complete([Request(examples[0], text=False)]) == [Completion(None)]
        assert passes == []


class TestIdentity:
    def test_a_copy_of_the_folder_is_the_same_vlm(self, plain_folder, tmp_path):
        copy = shutil.copytree(plain_folder, tmp_path / "copy")
        (copy / "README.md").write_text("a model card decides nothing")
        assert load_vlm(VLMSettings(path=str(copy))).identity == load_vlm(VLMSettings(path=str(plain_folder))).identity

    def test_everything_that_decides_an_answer_is_in_it(self, plain_folder, tmp_path, monkeypatch):
        settings = VLMSettings(path=str(plain_folder))
        identities = [load_vlm(settings).identity]
        identities.append(load_vlm(settings.model_copy(update={"max_new_tokens": 6})).identity)
        identities.append(load_vlm(settings.model_copy(update={"dtype": "bfloat16"})).identity)
        other = shutil.copytree(plain_folder, tmp_path / "template")
        template = other / "chat_template.jinja"
        template.write_text(template.read_text().replace("assistant", "user"))
        identities.append(load_vlm(settings.model_copy(update={"path": str(other)})).identity)
        other = shutil.copytree(plain_folder, tmp_path / "weights")
        tokenizer = small_vlm.word_tokenizer()
        small_vlm.build_model(tokenizer, seed=99).save_pretrained(other)
        identities.append(load_vlm(settings.model_copy(update={"path": str(other)})).identity)
        monkeypatch.setattr(prompts, "PROMPT_VERSION", "another")
        identities.append(load_vlm(settings).identity)
        assert len(set(identities)) == len(identities)

    def test_how_it_is_run_is_not(self, plain_folder):
        settings = VLMSettings(path=str(plain_folder))
        other = settings.model_copy(update={"batch_tokens": 100, "device": "cpu"})
        assert load_vlm(settings).identity == load_vlm(other).identity


class TestLoading:
    def test_settings_take_effect(self, plain_folder, requests):
        vlm = load_vlm(VLMSettings(path=str(plain_folder), batch_tokens=123, dtype="bfloat16", device="cpu"))
        assert vlm.batch_tokens == 123
        assert vlm._decoder._model.dtype == torch.bfloat16
        assert all(isinstance(completion, Completion) for completion in vlm.complete(requests[:4]))

    def test_arithmetic_is_bfloat16_on_cuda_unless_another_is_asked_for(self, plain_folder):
        cuda, cpu = torch.device("cuda"), torch.device("cpu")
        assert loading._dtype(VLMSettings(), cuda) == torch.bfloat16
        assert loading._dtype(VLMSettings(), cpu) == "auto"
        assert loading._dtype(VLMSettings(dtype="float32"), cuda) == torch.float32
        assert "dtype=float32" in load_vlm(VLMSettings(path=str(plain_folder))).identity
        assert "dtype=bfloat16" in load_vlm(VLMSettings(path=str(plain_folder), dtype="bfloat16")).identity

    @pytest.mark.parametrize("path", ["/no/such/folder", "./nowhere", "plain-name", "a/b/c"])
    def test_a_folder_that_is_not_there_is_named(self, path):
        with pytest.raises(InputError, match=path):
            load_vlm(VLMSettings(path=path))

    def test_a_hub_id_that_cannot_be_had_is_named(self):
        with pytest.raises(InputError, match="nobody/nothing"):
            load_vlm(VLMSettings(path="nobody/nothing"))

    def test_another_kind_of_model_is_refused(self, plain_folder, tmp_path):
        other = shutil.copytree(plain_folder, tmp_path / "other")
        (other / "config.json").write_text('{"model_type": "gpt2"}')
        with pytest.raises(InputError, match="lacks weights"):
            load_vlm(VLMSettings(path=str(other)))

    @pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
    @pytest.mark.parametrize("damage", ["torn", "gone"])
    def test_a_damaged_folder_is_an_error_that_names_it(self, plain_folder, tmp_path, name, damage):
        other = shutil.copytree(plain_folder, tmp_path / "damaged")
        file = other / name
        if damage == "torn":
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        else:
            file.unlink()
        with pytest.raises(InputError, match="damaged"):
            load_vlm(VLMSettings(path=str(other)))

    @pytest.mark.parametrize("device", ["cuda:99", "quantum"])
    def test_a_device_that_is_not_there_is_named(self, plain_folder, device):
        with pytest.raises(InputError, match=device):
            load_vlm(VLMSettings(path=str(plain_folder), device=device))


def test_store_and_collector_get_from_it_what_it_would_say_alone(vlm, reference, requests, tmp_path):
    asked = [with_answers(request, request.query.answer) for request in requests]
    with Store.open(tmp_path / "store.sqlite") as store:
        completions = Collector(store, vlm).ask(asked, "a")
        assert store.count("a") == len({(request.query.id, request.demonstrations) for request in requests})
    for request, completion in zip(asked, completions, strict=True):
        assert completion.text == cut_answer(generated(reference, request))
        assert completion.log_probs[request.query.answer] == pytest.approx(
            scored(reference, request, request.query.answer), abs=1e-4
        )
