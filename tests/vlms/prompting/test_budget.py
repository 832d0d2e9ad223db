"""Prompts within a budget: what is left out, what is shown without images, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.builtin import VLM_PATH
from shotsmith.builtin.processor import load_processor
from shotsmith.errors import DataError
from shotsmith.recipe import VLMSettings
from shotsmith.recipe.models import PromptSettings
from shotsmith.records import Example, Request
from shotsmith.vlms.pretrained.lengths import load_budget
from shotsmith.vlms.prompting.budget import PromptBudget, shortened
from shotsmith.vlms.prompting.prompts import messages

TEXT, IMAGE, ALONE = 3, 10, 14
"""Tokens of an example's text, an image among others, and an image alone (some models look closer at it)."""


def length(request: Request) -> int:
    images = len(request.images)
    return TEXT * (len(request.demonstrations) + 1) + (ALONE if images == 1 else IMAGE * images)


def example(number: int, images: int) -> Example:
    paths = tuple(Path(f"{number}-{image}.png") for image in range(images))
    return Example(number, paths, number, f"what is {number}?", ("red",))


numbers_of_images = st.integers(0, 3)
requests = st.builds(
    lambda query, shown: Request(example(0, query), tuple(example(1 + n, images) for n, images in enumerate(shown))),
    numbers_of_images,
    st.lists(numbers_of_images, max_size=6),
)
bound = st.none() | st.integers(1, 120)
budgets = st.builds(
    PromptSettings,
    max_tokens=bound,
    max_images=st.none() | st.integers(1, 15),
    over_budget=st.sampled_from(["leave_out", "show_without_image"]),
)


def fits(request: Request, settings: PromptSettings) -> bool:
    tokens, images = settings.max_tokens, settings.max_images
    return (tokens is None or length(request) <= tokens) and (images is None or len(request.images) <= images)


def earlier(request: Request, settings: PromptSettings) -> list[tuple[Example, ...]]:
    """Every form of the demonstrations, from all as they are to none, written out anew: the farthest go first."""
    shown, forms = list(request.demonstrations), [tuple(request.demonstrations)]
    if settings.over_budget == "show_without_image":
        for place, one in enumerate(shown):
            if one.images:
                shown[place] = replace(one, images=())
                forms.append(tuple(shown))
    while shown:
        del shown[0]
        forms.append(tuple(shown))
    return forms


@given(requests, budgets)
def test_a_prompt_is_the_first_form_that_fits_and_the_query_stays_as_it_is(request: Request, settings: PromptSettings):
    budget = PromptBudget(settings, length)
    fitting = [form for form in earlier(request, settings) if fits(replace(request, demonstrations=form), settings)]
    if not fitting:
        with pytest.raises(DataError, match="even without demonstrations") as caught:
            budget.fit(request)
        assert caught.value.row == request.query.id
        return
    fitted = budget.fit(request)
    assert fitted.request == replace(request, demonstrations=fitting[0])
    assert budget.fit(fitted.request).request == fitted.request
    assert fits(fitted.request, settings)


@given(requests, budgets)
def test_the_counts_tell_what_was_left_out_and_what_lost_its_images(request: Request, settings: PromptSettings):
    try:
        fitted = PromptBudget(settings, length).fit(request)
    except DataError:
        return
    shown, before = fitted.request.demonstrations, request.demonstrations
    assert len(shown) + fitted.left_out == len(before)
    lost = sum(bool(had.images) and not has.images for had, has in zip(before[fitted.left_out :], shown, strict=True))
    assert lost == fitted.without_image
    assert shortened(before, fitted.left_out, fitted.without_image) == shown


@given(requests)
def test_without_a_bound_that_binds_nothing_changes(request: Request):
    for settings in (PromptSettings(), PromptSettings(max_tokens=1000, max_images=30)):
        assert PromptBudget(settings, length).fit(request).request == request


@given(requests, st.integers(1, 100), st.integers(1, 100))
def test_a_larger_budget_of_images_never_shows_less(request: Request, one: int, other: int):
    small, large = (PromptSettings(max_images=images) for images in sorted((one, other)))
    try:
        fewer = PromptBudget(small).fit(request)
    except DataError:
        return
    assert PromptBudget(large).fit(request).left_out <= fewer.left_out


def test_tokens_need_something_that_counts_them():
    with pytest.raises(ValueError, match="counts tokens"):
        PromptBudget(PromptSettings(max_tokens=10))
    with pytest.raises(ValueError, match=r"needs server\.processor"):
        VLMSettings(server={"url": "http://x/v1"}, prompt=PromptSettings(max_tokens=10))


@pytest.mark.parametrize("path", ["builtin", "server"])
def test_tokens_are_counted_as_the_vlm_s_processor_counts_them(examples: list[Example], path: str):
    processor = load_processor(VLM_PATH)
    full = Request(examples[0], tuple(examples[1:7]))

    def tokens(request: Request) -> int:
        ids = processor.apply_chat_template(messages(request), add_generation_prompt=True, tokenize=True)
        return len(ids[0] if isinstance(ids[0], list) else ids)

    served = {"server": {"url": "http://x/v1", "processor": "builtin"}} if path == "server" else {}
    for left_out in range(7):
        kept = replace(full, demonstrations=full.demonstrations[left_out:])
        for spare in (0, 1):
            prompt = PromptSettings(max_tokens=tokens(kept) - spare)
            budget = load_budget(VLMSettings(prompt=prompt, **served))
            assert budget is not None
            if left_out + spare > 6:
                with pytest.raises(DataError):
                    budget.fit(full)
            else:
                assert budget.fit(full).left_out == left_out + spare
                assert tokens(budget.fit(full).request) <= tokens(kept) - spare
