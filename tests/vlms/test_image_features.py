"""An image passes the vision part of a model once; token exactness is asked in test_families."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import wraps

import pytest
import small_families

from shotsmith.recipe import VLMSettings
from shotsmith.records import Request
from shotsmith.vlms import image_features as module
from shotsmith.vlms.general import GeneralVLM
from shotsmith.vlms.pretrained.loading import load_pretrained
from shotsmith.vlms.qwen.local import local_vlm

FAMILIES = sorted(small_families.FAMILIES)


@pytest.fixture(scope="module", params=FAMILIES)
def pretrained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    small_families.FAMILIES[request.param](folder)
    return load_pretrained(VLMSettings(path=str(folder)))


@pytest.fixture(scope="module")
def requests(examples):
    """Two to four images each, which many of them share; a single one; and none."""
    draws = random.Random(5)
    several = [Request(examples[0], tuple(draws.sample(examples[1:6], n)), ("red blue",)) for n in (1, 2, 3, 2, 1, 3)]
    bare = replace(examples[0], images=())
    return [*several, Request(examples[1], (), ("red blue",)), Request(bare, (replace(examples[1], images=()),))]


def counted(vlm):
    """How often the vision part is passed."""
    passes = []
    compute = vlm._features._compute
    vlm._features._compute = wraps(compute)(lambda *given, **options: passes.append(1) or compute(*given, **options))
    return passes


def test_each_image_passes_the_vision_part_once(pretrained, requests):
    vlm = GeneralVLM(pretrained, VLMSettings())
    passes = counted(vlm)
    first = vlm.complete(requests)
    images = {(image, len(request.images) == 1) for request in requests for image in request.images}
    looks_closer = "batch_num_images" in vlm._features._accepted
    assert len(passes) == (len(images) if looks_closer else len({image for image, _ in images}))
    assert vlm.complete(requests[::-1])[::-1] == first
    assert len(passes) == len(vlm._features._kept)


def test_what_is_not_kept_is_computed_again_and_the_same(pretrained, requests):
    vlm, forgetful = GeneralVLM(pretrained, VLMSettings()), GeneralVLM(pretrained, VLMSettings())
    forgetful._features._limit = 0
    passes = counted(forgetful)
    for _ in range(2):
        for kept, computed in zip(vlm.complete(requests), forgetful.complete(requests), strict=True):
            assert kept.text == computed.text
            assert kept.log_probs == pytest.approx(computed.log_probs, abs=1e-5)
    assert len(passes) > len(vlm._features._kept)
    assert not forgetful._features._kept
    assert forgetful._features._bytes == 0


def test_another_run_finds_them_on_disk(pretrained, requests, tmp_path):
    kept = VLMSettings(vision_cache={"folder": tmp_path})
    first, second = GeneralVLM(pretrained, kept), GeneralVLM(pretrained, kept)
    answers = first.complete(requests)
    passes = counted(second)
    assert second.complete(requests) == answers
    assert not passes
    assert len(list(tmp_path.rglob("*.safetensors"))) == len(first._features._kept) == len(second._features._kept)


def test_the_fast_and_the_general_way_share_a_folder_and_not_its_files(examples, requests, qwen_folder, tmp_path):
    """One model under one identity, on one device and then spread over several, say."""
    settings = VLMSettings(path=str(qwen_folder), vision_cache={"folder": tmp_path})
    loaded = load_pretrained(settings)
    expected = GeneralVLM(loaded, VLMSettings()).complete(requests)
    for vlm in (local_vlm(load_pretrained(settings), settings), GeneralVLM(loaded, settings)) * 2:
        for one, other in zip(vlm.complete(requests), expected, strict=True):
            assert one.text == other.text
            assert one.log_probs == pytest.approx(other.log_probs, abs=1e-4)


def test_memory_is_bounded_and_the_least_recently_used_goes_first(pretrained, examples):
    vlm = GeneralVLM(pretrained, VLMSettings())
    ask = [Request(example, (), ("red",), text=False) for example in examples[:4]]
    vlm.complete(ask[:1])
    one = vlm._features._bytes
    assert one > 0
    vlm._features._limit = 2 * one
    for request in (ask[1], ask[0], ask[2]):
        vlm.complete([request])
    assert vlm._features._bytes <= 2 * one or len(vlm._features._kept) <= 1
    passes = counted(vlm)
    vlm.complete([ask[2]])
    assert not passes
    vlm.complete([ask[1]])
    assert passes


def test_the_model_is_its_own_again_afterwards(pretrained, requests, monkeypatch):
    vlm = GeneralVLM(pretrained, VLMSettings())
    vlm.complete(requests[:2])
    assert "get_image_features" not in vars(pretrained.model.model)
    monkeypatch.setattr(vlm._features, "_features", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        vlm.complete(requests[:2])
    assert "get_image_features" not in vars(pretrained.model.model)


def test_a_model_of_another_family_computes_its_own(pretrained, requests, monkeypatch):
    before = GeneralVLM(pretrained, VLMSettings()).complete(requests)
    monkeypatch.setattr(module, "FAMILIES", module.FAMILIES - {pretrained.model.config.model_type})
    vlm = GeneralVLM(pretrained, VLMSettings())
    for one, other in zip(vlm.complete(requests), before, strict=True):
        assert one.text == other.text
        assert one.log_probs == pytest.approx(other.log_probs, abs=1e-4)
    assert not vlm._features._kept


def test_every_family_that_is_checked_keeps_them():
    assert set(FAMILIES) == module.FAMILIES
