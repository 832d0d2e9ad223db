"""One bad reply fails one prompt, after its retries; the others of its batch are kept, and the run goes on."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest
import stub_server
from stub_server import Stub, asked, completion, load, prompt_log_probs, right, said

from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.errors import VLMError
from shotsmith.records import Completion, Example, Failure, Request

pytestmark = pytest.mark.usefixtures("quick")

BAD: dict[str, Any] = {
    "half a character": completion("red \ud800"),
    "too deep": b"[" * 200_000,
    "a number": b"7",
    "NaN": json.dumps(completion("red") | {"created": float("nan")}).encode(),
    "no message": completion("red") | {"choices": [{"index": 0, "finish_reason": "stop"}]},
    "a list as text": completion([{"type": "text", "text": "red"}]),
    "no model": {key: value for key, value in completion("red").items() if key != "model"},
    "an error": {"error": {"message": "overloaded"}},
    "gave up": completion("red", "error"),
    "no UTF-8": b'{"choices": "\xff"}',
}
FINAL: dict[str, Any] = {
    "filtered": completion("", "content_filter"),
    "filtered with a text": completion("red", "content_filter"),
    "refused": completion(None, refusal="I cannot help with that."),
    "refused with a text": completion("red", refusal="no"),
    "another model": completion("red") | {"model": "large"},
}


@pytest.mark.parametrize("name", [*BAD, *FINAL])
def test_the_prompt_fails_and_the_others_are_stored(
    stub: Stub, examples: list[Example], name: str, tmp_path: Path
) -> None:
    requests = asked(examples, 5)
    question = requests[2].query.question
    stub.fault = lambda body: (BAD | FINAL)[name] if question in json.dumps(body) else None
    with Store.open(tmp_path / "store.sqlite") as store:
        results = Collector(store, load(stub, retries=2)).ask(requests, "here")
        failed = results.pop(2)
        assert isinstance(failed, Failure)
        assert results == [right(request) for n, request in enumerate(requests) if n != 2]
        assert store.count() == 4 and store.failures() == {failed.reason: 2 if name in BAD else 1}
    tries = sum(question in json.dumps(body) for body in stub.bodies)
    assert tries == (2 * 3 if name in BAD else 1), "what may change is tried again, what cannot is not"


@pytest.mark.parametrize(
    "after",
    ["Fri, 45 Nov 2026 99:99:99 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "1e400", "9" * 400, "inf", "Thu, 1 Jan"],
)
def test_an_impossible_retry_after_is_no_more_than_a_pause(stub: Stub, examples: list[Example], after: str) -> None:
    stub.headers = {"Retry-After": after}
    stub.fault = lambda _body: "429" if len(stub.bodies) == 1 else None
    (request,) = asked(examples, 1)
    started = time.monotonic()
    assert load(stub).complete([request]) == [right(request)]
    assert time.monotonic() - started < 2


def test_a_reply_that_is_too_long_or_a_bomb_is_refused(stub: Stub, examples: list[Example]) -> None:
    (request,) = asked(examples, 1)
    vlm = load(stub, retries=0, reply_megabytes=0.01)
    stub.fault = lambda _body: completion("red " * 5000)
    (failed,) = vlm.complete([request])
    assert isinstance(failed, Failure) and "vlm.server.reply_megabytes" in failed.reason
    stub.headers = {"Content-Encoding": "gzip"}
    stub.fault = lambda _body: gzip.compress(bytes(10_000_000))
    (failed,) = vlm.complete([request])
    assert isinstance(failed, Failure) and "vlm.server.reply_megabytes" in failed.reason
    stub.fault = lambda _body: gzip.compress(json.dumps(completion("red")).encode())
    assert vlm.complete([request]) == [Completion("red")]


@pytest.mark.parametrize(
    "value", [7, "red", [7], [{}], [{"1": {"logprob": "x"}}], [{"1": {"logprob": -1}}] * 3, {}, []]
)
def test_malformed_log_probabilities_fail_their_prompt_alone(
    stub: Stub, examples: list[Example], value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        stub_server, "prompt_log_probs", lambda text: value if text == "bad" else prompt_log_probs(text)
    )
    requests = [Request(examples[0], answers=("red",)), Request(examples[1], answers=("bad",))]
    good, bad = load(stub, kind="vllm", retries=1).complete(requests)
    assert isinstance(good, Completion) and good.log_probs == {"red": -1.5}
    assert isinstance(bad, Failure)


def test_a_server_without_log_probabilities_fails_its_prompts_and_is_not_asked_again(
    stub: Stub, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stub_server, "prompt_log_probs", lambda _: None)
    (failed,) = load(stub, kind="vllm").complete([Request(examples[0], answers=("red",), text=False)])
    assert isinstance(failed, Failure) and "may be no vLLM server" in failed.reason
    assert len(stub.bodies) == 1


def test_a_text_that_was_cut_off_is_known_as_such_for_ever(stub: Stub, examples: list[Example], tmp_path: Path) -> None:
    stub.fault = lambda _body: completion("a red", "length")
    with Store.open(tmp_path / "store.sqlite") as store:
        for _ in range(2):
            (told,) = Collector(store, load(stub)).ask(asked(examples, 1), "here")
            assert isinstance(told, Completion) and told.truncated
    assert len(stub.bodies) == 1


def test_a_prompt_that_is_forbidden_does_not_end_the_run_but_many_in_a_row_do(
    stub: Stub, examples: list[Example]
) -> None:
    vlm = load(stub, concurrency=1)
    requests = asked(examples, 12)
    stub.fault = lambda body: "403" if requests[3].query.question in json.dumps(body) else None
    results = vlm.complete(requests[:6])
    assert isinstance(results.pop(3), Failure) and all(isinstance(result, Completion) for result in results)
    stub.fault = lambda _body: "403"
    with pytest.raises(VLMError, match="forbids this"):
        vlm.complete(requests)
    assert stub.failed["403"] == 1 + 8


@pytest.mark.parametrize("status", ["402", "403", "404"])
def test_the_first_prompt_of_all_may_be_forbidden(stub: Stub, examples: list[Example], status: str) -> None:
    requests = asked(examples, 6)
    stub.fault = lambda body: status if requests[0].query.question in json.dumps(body) else None
    first, *others = load(stub, concurrency=2).complete(requests)
    assert isinstance(first, Failure) and others == list(map(right, requests[1:]))


def test_a_forbidden_prompt_does_not_wait_for_others_that_are_given_up(stub: Stub, examples: list[Example]) -> None:
    requests = asked(examples, 6)
    stub.fault = lambda body: "403" if requests[0].query.question in json.dumps(body) else "401"
    with pytest.raises(VLMError):
        load(stub, concurrency=2).complete(requests)


def test_a_redirection_is_not_followed_with_the_key(stub: Stub, examples: list[Example]) -> None:
    stub.headers = {"Location": "http://127.0.0.1:1/v1"}
    stub.fault = lambda _body: "307"
    (failed,) = load(stub).complete(asked(examples, 1))
    assert isinstance(failed, Failure) and "redirects to http://127.0.0.1:1/v1" in failed.reason


def test_another_name_in_replies_is_taken_where_the_recipe_says_so(stub: Stub, examples: list[Example]) -> None:
    stub.fault = lambda _body: completion("red") | {"model": "deployment"}
    assert load(stub, reply_model="deployment").complete(asked(examples, 1)) == [Completion("red")]


def test_a_list_of_models_with_a_number_in_it_is_read(stub: Stub) -> None:
    stub.listed = [7, None, stub.model]
    assert load(stub).identity.startswith("server tiny ")


def test_a_list_that_cannot_be_read_ends_the_run_in_one_line_unless_the_model_is_named(stub: Stub) -> None:
    stub.listed = 7
    with pytest.raises(VLMError, match="does not say which models it has") as caught:
        load(stub, retries=1)
    assert "\n" not in str(caught.value)
    assert load(stub, retries=1, model="tiny").identity.startswith("server tiny ")


WORDS = {"Question:": 1, "assistant": 2, "pim": 58, "palau": 77, "kiki": 53}


def with_ids(body: Any) -> dict[str, Any]:
    """A reply as vLLM gives it for a tokenizer whose tokens, decoded one by one, have lost their spaces."""
    ids = [WORDS["Question:"], WORDS["assistant"]]
    if body["messages"][-1]["role"] == "assistant":
        ids += [WORDS[word] for word in body["messages"][-1]["content"].split()]
    reply = completion("kiki", "length" if body["max_tokens"] == 1 else "stop")
    texts = {number: "" for number in ids}
    if "prompt_logprobs" in body:
        told = [{str(number): {"logprob": -number / 10, "decoded_token": texts[number]}} for number in ids[1:]]
        reply["prompt_logprobs"] = [None, *told]
    return reply | {"usage": {"prompt_tokens": len(ids)}, **stub_ids(body, ids)}


def stub_ids(body: Any, ids: list[int]) -> dict[str, Any]:
    return {"prompt_token_ids": ids} if body.get("return_token_ids") else {}


@pytest.mark.parametrize("tells_ids", [True, False], ids=["by ids", "by number"])
@pytest.mark.parametrize("text", [True, False], ids=["with text", "without"])
def test_answers_of_several_tokens_are_told_by_ids_or_number(
    stub: Stub, examples: list[Example], text: bool, tells_ids: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not tells_ids:
        monkeypatch.setitem(globals(), "stub_ids", lambda _body, _ids: {})
    stub.fault = with_ids
    vlm = load(stub, kind="vllm")
    for query in examples[:3]:
        (told,) = vlm.complete([Request(query, answers=("pim palau", "kiki"), text=text)])
        assert isinstance(told, Completion)
        assert told.log_probs == pytest.approx({"pim palau": -13.5, "kiki": -5.3})
    alone = [body for body in stub.bodies if body["messages"][-1]["role"] == "user"]
    if tells_ids:
        assert len(alone) == (3 if text else 1), "what is known of an answer is not asked for again"


def test_an_answer_that_merges_with_the_prompt_is_asked_for_once(stub: Stub, examples: list[Example]) -> None:
    merged = [None, {"2": {"logprob": -1.0, "decoded_token": "\nre"}}]
    stub.fault = lambda body: (
        completion("")
        | {
            "prompt_logprobs": merged,
            "prompt_token_ids": [1, 2] if body["messages"][-1] == said("e") else [1, 3],
        }
    )
    (failed,) = load(stub, kind="vllm").complete([Request(examples[0], answers=("e",), text=False)])
    assert isinstance(failed, Failure) and failed.permanent and "cannot be told" in failed.reason
    assert len(stub.bodies) == 2


def test_token_ids_of_one_bad_reply_do_not_spoil_other_prompts(stub: Stub, examples: list[Example]) -> None:
    def cut_short(body: Any) -> Any:
        reply = with_ids(body)
        if body["messages"][-1]["role"] == "user" and len(stub.bodies) < 3:
            reply["prompt_token_ids"] = reply["prompt_token_ids"][:1]
            if len(stub.bodies) < 2:
                del reply["usage"]
        return reply

    stub.fault = cut_short
    vlm = load(stub, kind="vllm", retries=0, concurrency=1)
    results = vlm.complete([Request(query, answers=("kiki",)) for query in examples[:4]])
    assert isinstance(results[1], Failure) or results[1].log_probs == pytest.approx({"kiki": -5.3})
    assert [result.log_probs for result in results[2:]] == [{"kiki": -5.3}] * 2
