import copy

import numpy as np
import pytest
import small_vlm
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken

from shotsmith.builtin.processor import load_processor
from shotsmith.errors import DataError, VLMError
from shotsmith.records import Example, Request
from shotsmith.vlms.prompting.prompt_tokens import PromptTokens
from shotsmith.vlms.prompting.prompts import messages

ODD_TEXTS = st.one_of(
    st.text(max_size=12),
    st.lists(
        st.sampled_from(["what", " ", "\n", "\n\n", "  it", "?", "dax", "é", "颜色", "🙂", "<|im_end|>", "'s", "\t"]),
        max_size=6,
    ).map("".join),
)


@pytest.fixture(scope="module")
def processor(folder):
    return load_processor(folder)


def expected(processor, request):
    """The ids by the processor's own way, image placeholders included."""
    ids = processor.apply_chat_template(messages(request), add_generation_prompt=True, tokenize=True)
    return ids[0] if isinstance(ids[0], list) else ids


def joined(pieces, ids, image_id):
    """The pieces with as many placeholders between them as there are in `ids`."""
    ids = np.asarray(ids)
    images = ids == image_id
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], images.astype(int), [0]]))))[::2]
    parts = [pieces[0]]
    for piece, run in zip(pieces[1:], runs, strict=True):
        parts += [np.full(run, image_id), piece]
    return np.concatenate(parts).tolist()


def check(prompts, processor, request):
    ids = expected(processor, request)
    assert joined(prompts.prompt(request), ids, processor.image_token_id) == list(ids)


def test_pieces_are_the_tokens_of_the_chat_template(processor, examples):
    prompts = PromptTokens(processor)
    assert prompts._splits and prompts._frame((1, 1, 1)) is not None, "the quick way is the one to be tested"
    for request in small_vlm.draw_requests(examples, 20):
        check(prompts, processor, request)


@given(questions=st.lists(ODD_TEXTS, min_size=1, max_size=3), answer=ODD_TEXTS)
@settings(max_examples=30)
def test_pieces_are_exact_whatever_the_texts(processor, examples, questions, answer):
    image = examples[0].image
    *shown, query = [Example(0, (image,), 0, question, (answer,)) for question in questions]
    check(PromptTokens(processor), processor, Request(query, tuple(shown)))


@pytest.mark.parametrize(
    ("name", "find", "put"),
    [
        ("trimmed texts", "{{ part.text }}", "{{ part.text | trim }}"),
        ("texts in upper case after a picture", "{{ part.text }}", "{{ part.text | upper }}"),
        ("texts said twice", "{{ part.text }}", "{{ part.text }}{{ part.text }}"),
        ("texts without their marks", "{{ part.text }}", "{{ part.text | replace('mark', '') }}"),
    ],
)
def test_templates_that_change_texts_are_rendered_whole(plain_folder, examples, name, find, put):
    processor = load_processor(plain_folder)
    assert find in processor.chat_template
    processor.chat_template = processor.chat_template.replace(find, put)
    prompts = PromptTokens(processor)
    assert prompts._frame((1, 1)) is None
    for request in small_vlm.draw_requests(examples, 6):
        check(prompts, processor, request)


def test_templates_that_number_the_pictures_are_exact(qwen_folder, examples):
    processor = load_processor(qwen_folder)
    processor.chat_template = processor.chat_template.replace("{% if add_vision_id %}", "{% if true %}")
    prompts = PromptTokens(processor)
    assert "Picture 3: " in prompts._rendered(messages(Request(examples[0], tuple(examples[1:3]))))
    for request in small_vlm.draw_requests(examples, 8):
        check(prompts, processor, request)


@pytest.mark.parametrize("option", ["lstrip", "rstrip"])
def test_tokenizers_whose_placeholder_takes_spaces_are_given_the_whole_text(qwen_folder, examples, option):
    processor = load_processor(qwen_folder)
    tokenizer = copy.deepcopy(processor.tokenizer)
    tokenizer.add_tokens([AddedToken(processor.image_token, special=True, **{option: True})], special_tokens=True)
    processor.tokenizer = tokenizer
    prompts = PromptTokens(processor)
    assert not prompts._splits
    for request in small_vlm.draw_requests(examples, 6):
        check(prompts, processor, request)


def test_a_tokenizer_that_knows_no_placeholder_is_refused(plain_folder):
    processor = load_processor(plain_folder)
    processor.image_token_id = processor.tokenizer.convert_tokens_to_ids("dax")
    with pytest.raises(VLMError, match="special token"):
        PromptTokens(processor)


@pytest.mark.parametrize("place", ["question", "answer"])
def test_a_text_that_holds_the_placeholder_is_the_data_s_fault(processor, examples, place):
    text = f"what {processor.image_token}?"
    image = examples[0].image
    shown = Example(7, (image,), 7, text if place == "question" else "what?", (text if place == "answer" else "a",))
    with pytest.raises(DataError, match="placeholder"):
        PromptTokens(processor).prompt(Request(examples[0], (shown,)))
    with pytest.raises(DataError, match="placeholder"):
        PromptTokens(processor).answer(Request(examples[0]), text)


def test_an_answer_s_tokens_are_what_it_adds_to_the_prompt(processor, examples):
    prompts = PromptTokens(processor)
    for request in small_vlm.draw_requests(examples, 10):
        answer = request.query.answer
        text = prompts._rendered(messages(request))
        with_answer = processor.tokenizer(text + answer)["input_ids"]
        added = prompts.answer(request, answer)
        assert processor.tokenizer(text)["input_ids"] + added.tolist() == with_answer
        assert processor.tokenizer.decode(added).strip() == answer


@pytest.mark.parametrize("answer", ["", "\n\ndax"])
def test_an_answer_that_cannot_be_told_from_the_prompt_has_no_tokens(qwen_folder, examples, answer):
    prompts = PromptTokens(load_processor(qwen_folder))
    assert prompts.answer(Request(examples[0]), "dax") is not None
    assert prompts.answer(Request(examples[0]), answer) is None
