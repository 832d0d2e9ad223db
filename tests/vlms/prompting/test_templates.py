"""Prompt templates: their files, their wording in every layout, and the answers they find in what models write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shotsmith.errors import InputError, RecipeError
from shotsmith.recipe import VLMSettings, parse_recipe
from shotsmith.recipe.models import PromptSettings
from shotsmith.recipe.servers import ServerSettings
from shotsmith.records import Example, Request
from shotsmith.vlms.prompting.prompts import DEFAULT_PROMPT, Prompt, load_prompt
from shotsmith.vlms.prompting.template import TEMPLATES, load_template
from shotsmith.vlms.remote.server import ServerVLM

NAMES = sorted(path.stem for path in TEMPLATES.glob("*.yaml"))
SHOWN = Example(1, (Path("shown.png"),), 1, "what is it?", ("tea", "cup", "cup"))
ASKED = Example(2, (Path("asked.png"),), 2, "where from?", ("paris",))
REQUEST = Request(ASKED, (SHOWN,))
GOOD = {
    "demonstration": "Q: {question} A: {answer}",
    "query": "Q: {question} A:",
    "answer": {"ends": ["Q:"]},
}


class Bare:
    """In place of a processor, where none is asked."""

    image_token = "<image>"


def write(folder, **changes):
    path = folder / "own.yaml"
    value = {**GOOD, **changes}
    path.write_text(yaml.safe_dump({name: part for name, part in value.items() if part is not None}))
    return path


class TestFiles:
    def test_the_package_has_those_that_the_documents_name(self):
        assert NAMES == ["caption", "classification", "flamingo", "idefics", "llava", "qwen", "vqa"]

    def test_one_of_your_own_is_read_from_its_path(self, tmp_path):
        prompt = load_prompt(PromptSettings(template=str(write(tmp_path)), layout="plain"))
        assert prompt.texts(REQUEST) == ["Q: what is it? A: cup", "Q: where from? A:"]

    def test_a_changed_file_is_read_anew(self, tmp_path):
        before = load_prompt(PromptSettings(template=str(write(tmp_path))))
        after = load_prompt(PromptSettings(template=str(write(tmp_path, query="Asked: {question} A:"))))
        assert before.identity != after.identity

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"query": None}, "query: Field required"),
            ({"quary": "x"}, "unknown field 'quary' (did you mean 'query'?)"),
            ({"answer": {"ends": ["x"], "end": 1}}, "unknown field 'answer.end' (did you mean 'ends'?)"),
            ({"answer": {"ends": []}}, "answer.ends"),
            ({"answer": {"ends": [""]}}, "answer.ends"),
            ({"demonstration": "Q: {question} A:"}, "demonstration: the placeholder {answer} is missing"),
            ({"demonstration": "A: {answer}"}, "demonstration: the placeholder {question} is missing"),
            ({"query": "A:"}, "query: the placeholder {question} is missing"),
            ({"query": "Q: {question} A: {answer}"}, "query: the placeholder {answer} has no place here"),
            ({"query": "Q: {question} {question}"}, "query: the placeholder {question} has no place here"),
            ({"query": "Q: {qestion}"}, "query: the placeholder {qestion} has no place here"),
            ({"image": "<img>"}, "image: the placeholder {image} is missing"),
            ({"query": "Q: {question"}, "query: expected '}' before end of string"),
            ({"query": "Q: {question!r}"}, "query: in braces stands the name"),
            ({"query": "Q: {question.real}"}, "query: in braces stands the name"),
            ({"query": 3}, "query: Input should be a valid string"),
        ],
    )
    def test_a_fault_is_told_with_file_and_field(self, tmp_path, changes, said):
        with pytest.raises(InputError) as raised:
            load_template(str(write(tmp_path, **changes)))
        assert str(raised.value).startswith(f"{tmp_path / 'own.yaml'}: ")
        assert said in str(raised.value)

    @pytest.mark.parametrize("text", ["- a list", "{", "query: [", "\x00", ""])
    def test_a_file_that_is_no_mapping_is_refused_by_name(self, tmp_path, text):
        path = tmp_path / "own.yaml"
        path.write_text(text)
        with pytest.raises(InputError, match=r"own\.yaml"):
            load_template(str(path))

    def test_a_name_that_is_not_there_is_answered_with_those_that_are(self):
        with pytest.raises(InputError, match=r"vlm\.prompt\.template.*caption.*vqa"):
            load_template("no-such")


class TestLayouts:
    def test_turns_of_their_own_hold_question_and_answer(self):
        prompt = Prompt(load_template("vqa"), "multi_turn", "Be brief.")
        turns = prompt.messages(REQUEST)
        assert [(turn["role"], [part.get("text") for part in turn["content"]]) for turn in turns] == [
            ("system", ["Be brief."]),
            ("user", [None, "Question:what is it? Short answer:"]),
            ("assistant", ["cup"]),
            ("user", [None, "Question:where from? Short answer:"]),
        ]

    def test_one_turn_holds_all(self):
        (turn,) = Prompt(load_template("llava")).messages(REQUEST)
        asked = "Answer the question using a single word or phrase."
        assert [part.get("text", part.get("image")) for part in turn["content"]] == [
            "shown.png",
            f"what is it?\n{asked}\ncup\n",
            "asked.png",
            f"where from?\n{asked}",
        ]

    @pytest.mark.parametrize(
        ("template", "text"),
        [
            ("vqa", "<image>Question:what is it? Short answer:cup<image>Question:where from? Short answer:"),
            (
                "flamingo",
                "<image>Question:what is it? Short answer:cup<|endofchunk|><image>Question:where from? Short answer:",
            ),
            ("caption", "<image>Caption: cup\n<image>Caption:"),
            ("classification", "<image>Text: what is it?\nLabel: cup\n\n<image>Text: where from?\nLabel:"),
            (
                "qwen",
                "<|vision_start|><image><|vision_end|>Question: what is it? Short answer: cup\n"
                "<|vision_start|><image><|vision_end|>Question: where from? Short answer:",
            ),
        ],
    )
    def test_plain_text_is_exactly_this(self, template, text):
        prompt = Prompt(load_template(template), "plain")
        assert prompt.render(Bare, prompt.messages(REQUEST)) == text

    def test_a_system_prompt_stands_first_in_plain_text(self):
        prompt = Prompt(load_template("caption"), "plain", "Describe.\n")
        assert prompt.render(Bare, prompt.messages(Request(ASKED))) == "Describe.\n<image>Caption:"

    @pytest.mark.parametrize("layout", ["single_turn", "multi_turn", "plain"])
    @pytest.mark.parametrize("template", NAMES)
    def test_the_query_s_own_answer_is_in_no_prompt(self, template, layout):
        assert "paris" not in str(Prompt(load_template(template), layout).messages(REQUEST))

    @pytest.mark.parametrize("layout", ["single_turn", "multi_turn", "plain"])
    def test_an_example_without_an_image_puts_none_into_it(self, layout):
        bare = replace(SHOWN, images=())
        chat = Prompt(load_template("classification"), layout).messages(Request(ASKED, (bare,)))
        assert [part.get("image") for turn in chat for part in turn["content"] if part["type"] == "image"] == [
            "asked.png"
        ]

    @given(st.text(max_size=20), st.text(max_size=20))
    def test_braces_in_a_question_or_answer_are_left_alone(self, question, answer):
        example = Example(1, (), 1, f"{{{question}}}", (f"{{answer}}{answer}",))
        for name in NAMES:
            template = load_template(name)
            text, _ = Prompt(template).texts(Request(ASKED, (example,)))
            assert f"{{answer}}{answer}" in text
            assert (f"{{{question}}}" in text) == ("{question}" in template.demonstration)


class TestIdentity:
    def test_the_default_has_the_version_alone(self):
        assert load_prompt(PromptSettings()).identity == DEFAULT_PROMPT.identity == "1"

    def test_the_same_content_in_another_file_is_the_same(self, tmp_path):
        own = tmp_path / "copy.yaml"
        own.write_text((TEMPLATES / "qwen.yaml").read_text())
        assert load_prompt(PromptSettings(template=str(own))).identity == "1"

    def test_every_template_layout_and_system_prompt_is_another(self):
        prompts = [
            Prompt(load_template(name), layout, system)
            for name in NAMES
            for layout in ("single_turn", "multi_turn", "plain")
            for system in (None, "", "Be brief.")
        ]
        assert len({prompt.identity for prompt in prompts}) == len(prompts)


# What models of each family write after such a prompt, and the answer in it.
WRITTEN = {
    "qwen": [
        ("Red.", "Red"),
        ("red\nQuestion: what is it? Short answer: a cup", "red"),
        ("Tokyo, Japan", "Tokyo, Japan"),
        ("St. Paul.", "St. Paul"),
        ("1.5 meters", "1.5 meters"),
        ("yes Short answer: yes", "yes"),
        (" nike .", "nike"),
    ],
    "vqa": [
        ("red", "red"),
        (" a red cup, on a table", "a red cup"),
        ("Question:what is it?", ""),
        ("baseball Short answer:", "baseball"),
        ("cup Answer: cup", "cup"),
        ("20,000", "20,000"),
        ("no.", "no."),
        ("tennis\n\nA man", "tennis"),
    ],
    "flamingo": [
        ("red<|endofchunk|><image>Question:what", "red"),
        (" surfing Question:what is he", "surfing"),
        ("a dog<image>", "a dog"),
        ("cat, dog", "cat"),
    ],
    "idefics": [
        (" Red.", "Red"),
        ("Answer: Red.", "Red"),
        ("Assistant: 3.", "3"),
        ("Short answer: tennis", "tennis"),
        (" Yes.<end_of_utterance>\nUser: <image>", "Yes"),
        (" red User: what is it?", "red"),
        ("Questionable", "Questionable"),
        (" cup<fake_token_around_image><image>", "cup"),
        ("Mt. Fuji, Japan.", "Mt. Fuji, Japan"),
    ],
    "llava": [
        ("Red", "Red"),
        ("The answer is red.", "red"),
        ("Answer: red", "red"),
        ("Wood\nAnswer the question using a single word or phrase.", "Wood"),
        ("10:30 am", "10:30 am"),
        ("Yes<|im_end|>", "Yes"),
    ],
    "caption": [
        ("A man rides a wave on a surfboard.", "A man rides a wave on a surfboard"),
        (" Caption: two dogs, one white, run\nCaption: a cat", "two dogs, one white, run"),
        ("a dog Caption: a cat", "a dog"),
        ("A St. Bernard in the snow.\n", "A St. Bernard in the snow"),
    ],
    "classification": [
        ("positive", "positive"),
        (" Positive.\n\nText: the film", "Positive"),
        ("Label: negative", "negative"),
        ("negative, because it is dull", "negative"),
        ("positive (9/10)", "positive"),
        ("very negative Text: a", "very negative"),
    ],
}


@pytest.mark.parametrize(
    ("template", "written", "answer"), [(name, *pair) for name, pairs in WRITTEN.items() for pair in pairs]
)
def test_the_answer_is_found_in_what_the_models_of_a_family_write(template, written, answer):
    assert load_template(template).answer.cut(written) == answer


def test_every_template_is_in_the_table_of_what_is_written():
    assert sorted(WRITTEN) == NAMES


@pytest.mark.parametrize("name", NAMES)
@given(st.data())
def test_an_answer_holds_none_of_its_ends_nor_surrounding_space(name, data):
    rule = load_template(name).answer
    parts = st.sampled_from([*rule.starts, *rule.ends, "red", " ", ".", "Short", "x"])
    written = "".join(data.draw(st.lists(parts, max_size=8)))
    answer = rule.cut(written)
    assert not any(end in answer for end in rule.ends)
    assert answer == answer.strip()
    assert answer in written


def test_a_server_is_sent_the_turns_of_the_layout(examples):
    prompt = Prompt(load_template("vqa"), "multi_turn", "Be brief.")
    server = ServerVLM(ServerSettings(url="http://x/v1"), prompt, key="", model="m", identity="i", max_new_tokens=5)
    chat = server._chat(Request(examples[0], (examples[1],)))
    assert [turn["role"] for turn in chat] == ["system", "user", "assistant", "user"]
    kinds = ["text", "image_url", "text", "text", "image_url", "text"]
    assert [part["type"] for turn in chat for part in turn["content"]] == kinds
    assert chat[1]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    "settings",
    [{"num_beams": 2}, {"min_new_tokens": 1}, {"prompt": {"layout": "plain"}}],
    ids=str,
)
def test_a_server_is_not_asked_for_what_it_cannot_do(settings):
    with pytest.raises(ValidationError, match="a server"):
        VLMSettings(server={"url": "http://x/v1"}, **settings)


class TestNamedDecoding:
    def test_the_predecessor_s_is_five_tokens_three_beams_and_no_length_penalty(self):
        settings = VLMSettings(decoding="predecessor")
        assert (settings.max_new_tokens, settings.num_beams) == (5, 3)
        assert (settings.length_penalty, settings.min_new_tokens) == (0.0, 0)
        assert VLMSettings(decoding="predecessor", num_beams=5).num_beams == 5

    def test_greedy_is_the_default(self):
        assert VLMSettings(decoding="greedy") == VLMSettings()

    def test_an_unknown_one_is_answered_with_those_that_are_known(self):
        with pytest.raises(RecipeError, match=r"vlm: no decoding is called 'sample'; there are greedy, predecessor"):
            parse_recipe({"data": {"world": {}}, "vlm": {"decoding": "sample"}})
        with pytest.raises(RecipeError, match=r"unknown key 'vlm.decodin' \(did you mean 'decoding'\?\)"):
            parse_recipe({"data": {"world": {}}, "vlm": {"decodin": "greedy"}})

    def test_more_tokens_than_allowed_cannot_be_the_least(self):
        with pytest.raises(ValidationError, match="min_new_tokens"):
            VLMSettings(min_new_tokens=6)
