"""The server backend against a server on loopback that fails as real ones do."""

from __future__ import annotations

import base64
import json
import random
import signal
import threading

import pytest
import stub_server
from stub_server import FAULTS, SLOW, asked, load, right, said

from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.errors import DataError, InputError, VLMError
from shotsmith.files import file_digest
from shotsmith.recipe import VLMSettings
from shotsmith.records import Completion, Example, Failure, Request
from shotsmith.vlms.load import load_vlm
from shotsmith.vlms.prompting.prompts import messages
from shotsmith.vlms.remote import retry

pytestmark = pytest.mark.usefixtures("quick")


def test_a_third_of_failures_of_every_kind_loses_nothing_and_asks_nothing_answered_again(stub, examples, tmp_path):
    draws = random.Random(0)
    quick_faults = [fault for fault in FAULTS if fault not in SLOW]
    stub.late = 4.0

    def fault(_body):
        if len(stub.bodies) in (5, 10, 15, 20):  # in the first wave: they are waited for together
            return SLOW[len(stub.bodies) % 2]
        return draws.choice(quick_faults) if draws.random() < 0.3 else None

    stub.fault = fault
    requests = asked(examples, 300)
    with Store.open(tmp_path / "store.sqlite") as store:
        completions = Collector(store, load(stub, timeout_seconds=3.0)).ask(requests, "here")
        assert completions == [right(request) for request in requests]
        assert store.failures() == {}
        assert store.count() == 300
        Collector(store, load(stub)).ask(requests, "again")
    assert set(stub.failed) == {*FAULTS, None}
    assert len(stub.answered) == 300
    assert set(stub.answered.values()) == {1}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_stays_broken_is_a_failure_of_that_request_only_and_never_a_completion(stub, examples, fault):
    requests = asked(examples, 6)
    bad = requests[2].query.question
    stub.fault = lambda body: fault if bad in json.dumps(body) else None
    completions = load(stub, retries=1, timeout_seconds=0.5).complete(requests)
    assert isinstance(completions.pop(2), Failure)
    assert completions == [right(request) for n, request in enumerate(requests) if n != 2]
    assert stub.failed[fault] == 2


@pytest.mark.parametrize("status", ["429", "503"])
def test_a_server_that_says_when_to_come_back_is_not_asked_earlier(stub, examples, status, monkeypatch):
    monkeypatch.setattr(retry, "LONGEST_PAUSE", 5.0)
    stub.headers = {"Retry-After": "0.4"}
    stub.fault = lambda _body: status if len(stub.bodies) == 1 else None
    requests = asked(examples, 1)
    assert load(stub).complete(requests) == [right(requests[0])]
    first, second = stub.asked_at
    assert second - first >= 0.4


def test_what_a_server_has_answered_of_a_request_is_not_asked_again_when_the_rest_failed(stub, examples, tmp_path):
    request = Request(examples[0], answers=("red", "dark red tea"))
    stub.fault = lambda body: "500" if body["messages"][-1] == said("dark red tea") and len(stub.bodies) < 5 else None
    with Store.open(tmp_path / "store.sqlite") as store:
        (completion,) = Collector(store, load(stub, kind="vllm", retries=1)).ask([request], "here")
    assert completion.log_probs == {"red": -1.5, "dark red tea": -4.5}
    assert set(stub.answered.values()) == {1} and len(stub.answered) == 3


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_ends_all_work_at_once_and_the_same_work_goes_on(stub, examples, tmp_path):
    requests = asked(examples, 40)
    before = set(threading.enumerate())

    def interrupt(_body):
        if len(stub.bodies) == 20:
            signal.raise_signal(signal.SIGINT)
            return "late"
        return None

    stub.fault = interrupt
    with Store.open(tmp_path / "store.sqlite") as store:
        with pytest.raises(KeyboardInterrupt):
            Collector(store, load(stub, concurrency=2)).ask(requests, "here")
        left = [thread for thread in set(threading.enumerate()) - before if "process_request" not in thread.name]
        assert left == []
        assert store.count() == 16  # two batches of four times two; the third was under way
        assert Collector(store, load(stub, concurrency=2)).ask(requests, "here") == list(map(right, requests))
    assert sum(stub.answered.values()) <= 40 + 4 * 2


def test_a_request_that_is_wrong_is_asked_once_and_fails_with_the_server_s_words(stub, examples):
    requests = asked(examples, 4)
    stub.fault = lambda body: "400" if requests[1].query.question in json.dumps(body) else None
    completions = load(stub).complete(requests)
    assert "400" in completions[1].reason and "made up 400" in completions[1].reason
    assert completions[0] == right(requests[0])
    assert stub.failed["400"] == 1


@pytest.mark.parametrize("status", ["401", "403", "404"])
def test_what_no_request_can_mend_ends_the_batch_at_once(stub, examples, status):
    vlm = load(stub, concurrency=2)
    stub.fault = lambda _body: status
    with pytest.raises(VLMError, match=f"made up {status}"):
        vlm.complete(asked(examples, 40))
    assert stub.failed[status] <= 2


def test_what_was_answered_before_the_end_is_stored(stub, examples, tmp_path):
    vlm = load(stub, concurrency=1)
    stub.fault = lambda _body: "401" if len(stub.bodies) > 3 else None
    with Store.open(tmp_path / "store.sqlite") as store:
        with pytest.raises(VLMError, match="refuses the key"):
            Collector(store, vlm).ask(asked(examples, 10), "here")
        assert store.count() == 3
        stub.fault = lambda _body: None
        Collector(store, vlm).ask(asked(examples, 10), "here")
    assert set(stub.answered.values()) == {1}


def test_a_wrong_key_is_one_clear_error_and_a_missing_one_names_its_variable(stub, monkeypatch):
    stub.key = "right"
    monkeypatch.setenv("STUB_KEY", "wrong")
    with pytest.raises(VLMError, match=r"refuses the key.*no such key"):
        load(stub, api_key_env="STUB_KEY")
    monkeypatch.setenv("STUB_KEY", "right")
    assert load(stub, api_key_env="STUB_KEY").identity
    monkeypatch.delenv("STUB_KEY")
    with pytest.raises(InputError, match="STUB_KEY"):
        load(stub, api_key_env="STUB_KEY")


@pytest.mark.parametrize(("kind", "gives"), [("openai", False), ("vllm", True)])
def test_a_server_says_that_it_counts_no_tokens_and_whether_it_gives_log_probs(stub, kind, gives):
    vlm = load(stub, kind=kind)
    assert (vlm.counts_tokens, vlm.gives_log_probs) == (False, gives)


def test_a_server_that_is_gone_is_an_error_not_failures(stub, examples):
    vlm = load(stub, retries=1)
    stub.shutdown()
    stub.server_close()
    with pytest.raises(VLMError, match="cannot be reached"):
        vlm.complete(asked(examples, 5))
    with pytest.raises(VLMError, match="does not say which models"):
        load(stub, retries=1)


def test_the_prompt_is_that_of_all_backends_with_images_by_content(stub, examples):
    two = Example(7, (*examples[0].images, *examples[7].images), 7, "which?", ("red",))
    request = Request(two, (examples[1], two, Example(8, (), 8, "what?", ("red",))))
    load(stub).complete([request])
    load(stub, kind="vllm").complete([request])
    plain, with_ids = stub.bodies
    assert (plain["temperature"], plain["max_tokens"], plain["model"]) == (0, 5, "tiny")
    assert plain["frequency_penalty"] == with_ids["frequency_penalty"] == 0
    assert "repetition_penalty" not in plain and with_ids["repetition_penalty"] == 1  # a checkpoint may ask for more
    for body, ids in ((plain, False), (with_ids, True)):
        expected = messages(request)[0]["content"]
        for part, wanted in zip(body["messages"][0]["content"], expected, strict=True):
            if wanted["type"] == "text":
                assert part == wanted
                continue
            head, _, data = part["image_url"]["url"].partition(",")
            image = next(one.image for one in examples if str(one.image) == wanted["image"])
            assert (head, base64.b64decode(data)) == ("data:image/png;base64", image.read_bytes())
            assert part.get("uuid") == (file_digest(image) if ids else None)


def test_no_more_requests_are_under_way_than_allowed(stub, examples):
    stub.pause = 0.005
    load(stub, concurrency=3).complete(asked(examples, 30))
    assert 1 < stub.most_busy <= 3


def test_no_thread_is_left(stub, examples):
    before = set(threading.enumerate())
    load(stub).complete(asked(examples, 20))
    left = [thread for thread in set(threading.enumerate()) - before if "process_request" not in thread.name]
    assert left == []


def test_log_probabilities_are_summed_over_the_answer_s_tokens_alone(stub, examples):
    query = examples[0]
    (completion,) = load(stub, kind="vllm").complete([Request(query, answers=("red", "dark red tea"), text=False)])
    assert completion == Completion(None, {"red": -1.5, "dark red tea": -4.5})
    sent = [body["messages"][-1] for body in stub.bodies]
    assert sent == [said("red"), said("dark red tea")]
    assert all(body["continue_final_message"] and not body["add_generation_prompt"] for body in stub.bodies)


def test_an_answer_that_begins_within_a_token_is_a_failure(stub, examples, monkeypatch):
    within = [None, {"1": {"logprob": -1, "decoded_token": "\nre"}}]
    monkeypatch.setattr(stub_server, "prompt_log_probs", lambda _: within)
    (completion,) = load(stub, kind="vllm").complete([Request(examples[0], answers=("e",))])
    assert isinstance(completion, Failure)


def test_where_a_server_gives_no_log_probabilities_nothing_is_asked_and_it_is_said_who_needs_them(stub, examples):
    with pytest.raises(VLMError, match=r"beam data.*answer_probability.*vlm\.server\.kind"):
        load(stub).complete([Request(examples[0]), Request(examples[1], answers=("red",))])
    assert stub.bodies == []


def test_a_damaged_image_is_found_before_anything_is_asked(stub, examples, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"bad\.png"):
        load(stub).complete([Request(examples[0]), Request(Example(1, (bad,), 1, "what?", ("a",)))])
    assert stub.bodies == []


def test_the_identity_tells_models_and_decodings_apart_but_not_addresses(stub):
    identity = load(stub).identity
    assert load(stub, url=stub.url.replace("127.0.0.1", "localhost"), concurrency=1).identity == identity
    others = [load_vlm(VLMSettings(max_new_tokens=3, server={"url": stub.url})).identity]
    for change in ({"id": "other"}, {"root": "other"}, {"revision": "abc"}):
        stub.model = stub.model | change
        others.append(load(stub).identity)
    assert len({identity, *others}) == 5


def test_a_model_that_the_server_has_not_is_named_with_those_it_has(stub):
    with pytest.raises(InputError, match=r"it lists tiny; it says 404 to large: .*no large here"):
        load(stub, model="large")


def test_a_model_that_the_server_has_but_does_not_list_is_taken_where_it_is_named(stub):
    assert load(stub, model="folder").identity.startswith("server folder prompt=")
    stub.model = None
    with pytest.raises(InputError, match="it lists none; name one"):
        load(stub)
