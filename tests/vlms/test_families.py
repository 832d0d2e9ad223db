"""Every family of models, by small ones of the real class: as the unmodified model and processor answer one by one."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import pytest
import small_families
import small_vlm
import torch
from PIL import Image
from plain_vlm import generated, inputs_of, scored, text_of
from transformers import AutoConfig, AutoModelForImageTextToText

from shotsmith.errors import DataError, InputError, VLMError
from shotsmith.recipe import VLMSettings
from shotsmith.recipe.models import PromptSettings
from shotsmith.records import Completion, Example, Failure, Request
from shotsmith.vlms.general import GeneralVLM
from shotsmith.vlms.load import load_vlm
from shotsmith.vlms.pretrained.loading import Pretrained, load_pretrained
from shotsmith.vlms.pretrained.processors import load_processor
from shotsmith.vlms.prompting.prompts import DEFAULT_PROMPT, Prompt
from shotsmith.vlms.prompting.shown import show_prompt
from shotsmith.vlms.prompting.template import TEMPLATES, load_template
from shotsmith.vlms.qwen.local import LocalVLM, local_vlm

NAMES = sorted(path.stem for path in TEMPLATES.glob("*.yaml"))
LAYOUTS = ("single_turn", "multi_turn", "plain")


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    @lru_cache
    def folder(family):
        made = tmp_path_factory.mktemp(family)
        small_families.FAMILIES[family](made)
        return made

    return folder


@pytest.fixture(scope="session")
def loaded(folders):
    """What the package loads of a family."""
    return lru_cache(lambda family, fast=False: load_pretrained(VLMSettings(path=str(folders(family)))))


@pytest.fixture(scope="session")
def references(folders):
    """Model and processor of a family as transformers loads them, nothing changed."""

    @lru_cache
    def reference(family):
        folder = folders(family)
        model = AutoModelForImageTextToText.from_pretrained(folder).eval()
        return model, load_processor(folder, AutoConfig.from_pretrained(folder))

    return reference


@pytest.fixture(scope="session")
def requests(examples):
    bare = [replace(example, images=()) for example in examples[:4]]
    drawn = small_vlm.draw_requests(examples, 7, shots=3)
    return [*drawn, Request(bare[0], (bare[1],)), Request(examples[0], (bare[2],))]


def made(loaded, family, template="qwen", layout="single_turn", system=None, **settings):
    """The VLM of a family with this prompt and decoding."""
    fast = family == "fast"
    pretrained = loaded("qwen2_5_vl" if fast else family, fast)
    prompt = Prompt(load_template(template), layout, system)
    pretrained = Pretrained(pretrained.model, pretrained.processor, prompt, "it")
    asked = VLMSettings(**settings)
    return local_vlm(pretrained, asked) if fast else GeneralVLM(pretrained, asked)


EVERY = [*small_families.FAMILIES, "fast"]


class TestTokenExactness:
    @pytest.mark.parametrize("template", NAMES)
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("family", EVERY)
    def test_log_probabilities_are_those_of_the_answer_s_tokens_one_by_one(
        self, loaded, references, requests, family, layout, template
    ):
        vlm = made(loaded, family, template, layout, system="Be brief." if layout == "multi_turn" else None)
        prompt = vlm._prompts._prompt
        start = NAMES.index(template) % 5
        asked = [replace(request, answers=("red blue",), text=False) for request in requests[start::5]]
        for request, completion in zip(asked, vlm.complete(asked), strict=True):
            reference = references("qwen2_5_vl" if family == "fast" else family)
            expected = scored(reference, family, template, prompt, request, "red blue")
            assert completion.log_probs["red blue"] == pytest.approx(expected, abs=1e-4)

    @pytest.mark.parametrize(
        "decoding",
        [{}, {"num_beams": 3, "length_penalty": 0.0}, {"num_beams": 2, "min_new_tokens": 3, "max_new_tokens": 4}],
        ids=["greedy", "predecessor", "longer"],
    )
    @pytest.mark.parametrize("family", small_families.FAMILIES)
    def test_texts_are_those_of_generate_one_by_one(self, loaded, references, requests, family, decoding):
        vlm = made(loaded, family, **decoding)
        asked = requests[::2] if decoding else requests
        texts = [completion.text for completion in vlm.complete(asked)]
        assert texts == [generated(references(family), vlm._prompts._prompt, request, **decoding) for request in asked]
        assert len(set(texts)) > 1

    @pytest.mark.parametrize("layout", ["multi_turn", "plain"])
    @pytest.mark.parametrize("family", EVERY)
    def test_texts_are_so_in_every_layout(self, loaded, references, requests, family, layout):
        vlm = made(loaded, family, "vqa", layout, system="Answer.")
        reference = references("qwen2_5_vl" if family == "fast" else family)
        texts = [completion.text for completion in vlm.complete(requests[3:8:2])]
        assert texts == [generated(reference, vlm._prompts._prompt, request) for request in requests[3:8:2]]

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("family", EVERY)
    def test_several_images_of_an_example_are_answered_as_by_processor_and_generate(
        self, loaded, references, examples, family, layout
    ):
        two, other = (replace(one, images=one.images + examples[5].images) for one in examples[:2])
        bare = replace(examples[2], images=())
        requests = [Request(two), Request(examples[3], (other, bare)), Request(two, (examples[3], other))]
        vlm, reference = made(loaded, family, layout=layout), references("qwen2_5_vl" if family == "fast" else family)
        prompt = vlm._prompts._prompt
        completions = vlm.complete([replace(request, answers=("red blue",)) for request in requests])
        assert [one.text for one in completions] == [generated(reference, prompt, request) for request in requests]
        expected = [scored(reference, family, "qwen", prompt, request, "red blue") for request in requests]
        assert [one.log_probs["red blue"] for one in completions] == pytest.approx(expected, abs=1e-4)

    @pytest.mark.parametrize("family", EVERY)
    def test_length_is_that_of_the_processor_s_prompt(self, loaded, references, requests, family):
        _, processor = references("qwen2_5_vl" if family == "fast" else family)
        for layout in LAYOUTS:
            vlm = made(loaded, family, layout=layout)
            for request in requests[::3]:
                ids = inputs_of(processor, vlm._prompts._prompt, request)["input_ids"]
                # IDEFICS2 joins the frames of two images that nothing separates, or sets a space after one.
                slack = len(request.images) + 1 if family == "idefics2" else 0
                assert abs(vlm.length(request) - ids.shape[1]) <= slack

    @pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
    def test_positions_are_those_of_the_model_s_own_rope_index(self, loaded, requests, family, monkeypatch):
        vlm = made(loaded, family)
        seen = []
        forward = vlm._model.model.language_model.forward
        monkeypatch.setattr(
            vlm._model.model.language_model,
            "forward",
            lambda *args, **options: seen.append(options["position_ids"]) or forward(*args, **options),
        )
        asked = [replace(request, answers=("red",), text=False) for request in requests[:6]]
        vlm.complete(asked)
        for row, request in enumerate(asked):
            inputs = inputs_of(vlm._processor, vlm._prompts._prompt, request)
            expected, _ = vlm._model.model.get_rope_index(
                inputs["input_ids"], inputs["mm_token_type_ids"], inputs["image_grid_thw"]
            )
            length, answer = expected.shape[-1], len(vlm._prompts.answer(request, "red"))
            assert torch.equal(seen[0][:, row, -length - answer : -answer], expected[:, 0])
            assert expected[1].ne(expected[2]).any(), "rows and columns of images differ"


class TestShown:
    @pytest.mark.parametrize("family", small_families.FAMILIES)
    def test_a_prompt_is_shown_as_it_is_sent(self, loaded, references, requests, family):
        for layout in LAYOUTS:
            prompt = Prompt(load_template("vqa"), layout)
            for request in requests[1::3]:
                shown = show_prompt(loaded(family).processor, prompt, request)
                processor = references(family)[1]
                assert shown.text == text_of(processor, prompt, request)
                assert list(shown.ids) == inputs_of(processor, prompt, request)["input_ids"][0].tolist()
                assert tuple(image.file for image in shown.images) == request.images
                placeholders = shown.ids.count(processor.image_token_id)
                assert placeholders <= sum(image.tokens for image in shown.images) < len(shown.ids)
                assert all((image.width, image.height) == Image.open(image.file).size for image in shown.images)

    @pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
    def test_the_grid_of_an_image_is_that_of_its_tokens(self, loaded, requests, family):
        for image in show_prompt(loaded(family).processor, DEFAULT_PROMPT, requests[3]).images:
            rows, columns = image.grid
            assert rows * columns == image.tokens
            assert (rows > columns) == (image.height > image.width) or rows == columns

    @pytest.mark.parametrize("family", ["idefics3", "smolvlm"])
    def test_the_grid_of_an_image_that_is_cut_is_that_of_its_tiles(self, loaded, requests, family):
        for image in show_prompt(loaded(family).processor, DEFAULT_PROMPT, requests[3]).images:
            rows, columns = image.grid
            tiles = rows * columns + (rows * columns > 1)
            assert 4 * tiles < image.tokens < 4 * tiles + 3 * tiles + rows + 4


class TestWays:
    def test_the_fast_way_is_taken_where_it_fits_and_there_alone(self, folders):
        path = str(folders("qwen2_5_vl"))
        assert isinstance(load_vlm(VLMSettings(path=path)), LocalVLM)
        for settings in ({"num_beams": 2}, {"min_new_tokens": 1}, {"attention": "eager"}, {"device_map": "auto"}):
            assert isinstance(load_vlm(VLMSettings(path=path, **settings)), GeneralVLM)
        assert isinstance(load_vlm(VLMSettings(path=str(folders("qwen3_vl")))), GeneralVLM)

    @pytest.mark.parametrize("settings", [{"attention": "eager"}, {"device_map": "auto"}], ids=str)
    def test_both_ways_say_the_same(self, folders, requests, settings):
        asked = [replace(request, answers=("red",)) for request in requests]
        path = str(folders("qwen2_5_vl"))
        fast = load_vlm(VLMSettings(path=path)).complete(asked)
        general = load_vlm(VLMSettings(path=path, **settings)).complete(asked)
        assert [completion.text for completion in general] == [completion.text for completion in fast]
        for one, other in zip(general, fast, strict=True):
            assert one.log_probs == pytest.approx(dict(other.log_probs), abs=1e-4)

    @pytest.mark.parametrize("family", small_families.FAMILIES)
    def test_half_precision_says_nearly_the_same(self, folders, loaded, requests, family):
        asked = [replace(request, answers=("red",)) for request in requests[1:4]]
        half = load_vlm(VLMSettings(path=str(folders(family)), dtype="bfloat16")).complete(asked)
        whole = made(loaded, family).complete(asked)
        gaps = [abs(a.log_probs["red"] - b.log_probs["red"]) for a, b in zip(half, whole, strict=True)]
        assert 0 < max(gaps) < 1
        assert all(completion.text is not None for completion in half)

    def test_what_decides_an_answer_is_in_the_identity_and_how_it_is_run_is_not(self, folders, tmp_path):
        base = {"path": str(folders("smolvlm"))}
        own = tmp_path / "own.yaml"
        own.write_text("demonstration: '{question} {answer}'\nquery: '{question}'\nanswer: {ends: ['!']}\n")
        changes = [
            {},
            {"num_beams": 3},
            {"num_beams": 3, "length_penalty": 0.0},
            {"min_new_tokens": 1},
            {"max_new_tokens": 6},
            {"attention": "eager"},
            {"dtype": "bfloat16"},
            {"prompt": PromptSettings(template="vqa")},
            {"prompt": PromptSettings(template=str(own))},
            {"prompt": PromptSettings(layout="multi_turn")},
            {"prompt": PromptSettings(layout="plain")},
            {"prompt": PromptSettings(system="Be brief.")},
        ]
        identities = [load_pretrained(VLMSettings(**base, **change)).identity for change in changes]
        assert len(set(identities)) == len(identities)
        others = {"batch_tokens": 9, "device": "cpu", "device_map": "auto", "length_penalty": 2.0}
        assert load_pretrained(VLMSettings(**base, **others)).identity == identities[0]

    def test_the_identity_of_the_default_stays_what_it_was(self):
        assert load_pretrained(VLMSettings()).identity == (
            "qwen2_5_vl 36f7e50d71960b59800e44353f7cc1ee48d40ae65f12c33565b3b079eb9e1130 Qwen2VLImageProcessorPil "
            "prompt=1 greedy max_new_tokens=5 dtype=float32"
        )

    def test_a_model_without_a_chat_template_needs_the_plain_layout(self, tmp_path):
        small_families.save_idefics2(tmp_path)
        (tmp_path / "chat_template.jinja").unlink()
        with pytest.raises(InputError, match="plain"):
            load_vlm(VLMSettings(path=str(tmp_path)))
        load_vlm(VLMSettings(path=str(tmp_path), prompt=PromptSettings(layout="plain")))

    @pytest.mark.parametrize("name", ["preprocessor_config.json", "tokenizer.json", "model.safetensors"])
    def test_a_damaged_folder_is_an_error_that_names_it(self, tmp_path, name):
        small_families.save_llava_onevision(tmp_path)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-40])
        with pytest.raises(InputError, match=tmp_path.name):
            load_vlm(VLMSettings(path=str(tmp_path)))


class TestTrouble:
    @pytest.fixture
    def vlm(self, loaded):
        return made(loaded, "idefics3")

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("family", ["idefics3", "fast"])
    def test_an_answer_without_tokens_of_its_own_is_a_failure(self, loaded, examples, family, layout):
        asked = [Request(examples[0], answers=("",)), Request(examples[1], answers=("red",))]
        failed, told = made(loaded, family, layout=layout).complete(asked)
        assert isinstance(failed, Failure) and isinstance(told, Completion)

    def test_a_prompt_the_processor_refuses_is_named_by_its_query(self, loaded, examples, tmp_path):
        image = tmp_path / "thin.png"
        Image.new("RGB", (1, 900)).save(image)
        thin = Example(77, (image,), 77, "what?", ("a",))
        with pytest.raises(DataError, match="row 77"):
            made(loaded, "qwen3_vl").complete([Request(examples[0]), Request(thin), Request(examples[1])])

    def test_an_image_that_cannot_be_decoded_is_the_data_s_fault(self, vlm, tmp_path):
        path = tmp_path / "torn.png"
        Image.effect_noise((60, 60), 50).save(path)
        path.write_bytes(path.read_bytes()[:-400])
        with pytest.raises(DataError, match=r"torn\.png"):
            vlm.complete([Request(Example(1, (path,), 1, "what?", ("a",)))])

    def test_logits_that_are_not_finite_are_failures(self, vlm, requests, monkeypatch):
        head = vlm._model.lm_head
        handle = head.register_forward_hook(lambda module, args, output: output * float("nan"))
        try:
            completions = vlm.complete([replace(requests[0], answers=("red",)), requests[1]])
        finally:
            handle.remove()
        assert all(isinstance(completion, Failure) for completion in completions)

    def test_too_large_a_batch_is_halved_until_it_fits(self, vlm, requests, monkeypatch):
        expected = vlm.complete(requests)
        generate = vlm._generate

        def small_memory(rows):
            if len(rows) > 2:
                raise torch.OutOfMemoryError("no room")
            return generate(rows)

        monkeypatch.setattr(vlm, "_generate", small_memory)
        assert vlm.complete(requests) == expected

    def test_a_single_prompt_beyond_memory_is_the_vlm_s_error(self, vlm, requests, monkeypatch):
        def no_memory(rows):
            raise torch.OutOfMemoryError("no room")

        monkeypatch.setattr(vlm, "_score", no_memory)
        with pytest.raises(VLMError, match="memory"):
            vlm.complete([replace(requests[0], answers=("red",), text=False)])

    def test_nothing_asked_is_nothing_answered(self, vlm, examples):
        assert vlm.complete([]) == []
        assert vlm.complete([Request(examples[0], text=False)]) == [Completion(None)]
