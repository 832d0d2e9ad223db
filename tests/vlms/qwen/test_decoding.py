"""What shared beginnings must not change, and what they must save. Answers themselves: test_local.py."""

import copy
import random
from types import SimpleNamespace

import pytest
import torch

from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.recipe import VLMSettings
from shotsmith.records import Request
from shotsmith.vlms.qwen import decoding
from shotsmith.vlms.qwen.decoding import Decoder
from shotsmith.vlms.qwen.local import load_vlm
from shotsmith.vlms.qwen.prefixes import shared_beginnings
from shotsmith.vlms.work import Work


@pytest.fixture(scope="module")
def requests(examples):
    """As beam search asks: candidates after each of a few beams, for two queries; and some prompts of other kinds."""
    draws = random.Random(3)
    found = []
    for query in examples[:2]:
        for beam in [tuple(draws.sample(examples[2:], 2)) for _ in range(2)]:
            found += [Request(query, (*beam, one), (query.answer,), text=False) for one in examples[2:]]
    found += [Request(examples[0], tuple(draws.sample(examples, shots))) for shots in (0, 1, 2, 3, 4)]
    found.append(Request(examples[1], tuple(examples[2:4]), ("red", "blue", examples[1].answer)))
    return draws.sample(found, len(found))


@pytest.fixture
def rows(vlm, requests):
    return [row for _, row, _ in vlm._rows(requests)]


@pytest.fixture(params=[0, 256], ids=["passes for nothing", "cheap passes"])
def sharing(request, monkeypatch):
    """With passes for nothing all that can be shared is, over several levels."""
    monkeypatch.setattr(decoding, "PASS_TOKENS", request.param)


def decoder_of(vlm, *, limit=8192, share=True):
    return Decoder(vlm._decoder._model, 5, limit, Work(), share=share)


def test_sharing_changes_no_token_and_no_log_probability(vlm, rows, sharing):
    decoder, alone = decoder_of(vlm), decoder_of(vlm, share=False)
    for one, other in zip(decoder.decode(rows), alone.decode(rows), strict=True):
        assert one.tokens == other.tokens
        assert one.log_prob == (None if other.log_prob is None else pytest.approx(other.log_prob, abs=1e-4))
        assert one.finite and other.finite
    assert decoder._work.tokens == alone._work.tokens == alone._work.computed
    assert decoder._work.computed < 0.75 * alone._work.computed


def test_levels_continue_one_another(vlm, rows, monkeypatch):
    plans = []
    monkeypatch.setattr(
        decoding, "shared_beginnings", lambda prompts, _: plans.append(shared_beginnings(prompts, 0)) or plans[-1]
    )
    decoder_of(vlm).decode(rows)
    assert plans[0].levels > 2


def test_no_pass_looks_at_more_than_the_limit_unless_it_is_of_one_row(vlm, rows):
    for limit in (1, 400):
        seen = []
        decoder = decoder_of(vlm, limit=limit)
        forward = decoder._forward
        decoder._forward = lambda *given, seen=seen, forward=forward: seen.append(given[:2]) or forward(*given)
        assert len(decoder.decode(rows)) == len(rows)
        prefilled = [mask for embedded, mask in seen if embedded.shape[1] > 1]
        assert all(len(mask) == 1 or mask.numel() <= limit for mask in prefilled)


def test_the_same_rows_give_the_same_bits(vlm, rows):
    once, again = (decoder_of(vlm).decode(rows) for _ in range(2))
    assert once == again


def test_work_is_counted(vlm, rows, sharing):
    decoder = decoder_of(vlm)
    shapes = []
    forward = decoder._forward
    decoder._forward = lambda embedded, *rest: shapes.append(embedded.shape[:2].numel()) or forward(embedded, *rest)
    decoded = decoder.decode(rows)
    work = decoder._work
    assert work.rows == len(rows)
    assert work.computed + work.padding + work.decoded == sum(shapes)
    assert work.decoded >= sum(len(one.tokens) - 1 for one in decoded if one.tokens)
    assert 0 < work.prefix_hits < 1


def test_a_vlm_counts_what_its_decoder_and_its_vision_tower_do(plain_folder, requests):
    vlm = load_vlm(VLMSettings(path=str(plain_folder)))
    vlm.complete(requests)
    assert vlm.work.rows == len(requests) + 2
    assert vlm.work.images == sum(len(request.images) for request in requests)
    assert vlm.work.images - vlm.work.remembered == len({image for request in requests for image in request.images})


def test_nothing_is_shared_where_tokens_do_not_see_all_before_them(vlm):
    sliding = copy.deepcopy(vlm._decoder._model.config.get_text_config())
    sliding.sliding_window = 8
    sliding.layer_types = ["sliding_attention"] * sliding.num_hidden_layers
    model = SimpleNamespace(
        config=SimpleNamespace(get_text_config=lambda: sliding),
        generation_config=SimpleNamespace(eos_token_id=1),
        device=torch.device("cpu"),
    )
    assert not Decoder(model, 5, 100, Work())._share
    assert decoder_of(vlm)._share


class Killed(BaseException):
    """Stands for kill -9."""


def test_a_collection_that_is_stopped_and_resumed_is_the_same_to_the_last_bit(folder, requests, tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "PASS_TOKENS", 0)
    settings = VLMSettings(path=str(folder), batch_tokens=900)
    work = []

    def collect(store, stop_after=None):
        vlm = load_vlm(settings)
        complete, done = vlm.complete, []
        work.append(vlm.work)

        def stopping(batch):
            if len(done) == stop_after:
                raise Killed
            done.append(batch)
            return complete(batch)

        vlm.complete = stopping
        return Collector(store, vlm).ask(requests, "a")

    with Store.open(tmp_path / "whole.sqlite") as store:
        whole = collect(store)
    assert work[0].prefix_hits > 0.2, "beginnings are shared"
    with Store.open(tmp_path / "stopped.sqlite") as store:
        with pytest.raises(Killed):
            collect(store, stop_after=2)
        assert 0 < store.count("a") < len(requests)
        assert collect(store) == whole
