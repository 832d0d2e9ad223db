"""POST /v1/chat/completions, before a stub of an upstream server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from running_server import running
from small_selector import body_of
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import shotsmith
from shotsmith.records import Example
from shotsmith.serve.app import create_app
from shotsmith.serve.settings import ServeSettings

World = tuple[list[Example], list[Example]]


class Stub:
    """An upstream server that remembers what it was asked, and whether it was left in the middle of an answer."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.left = 0
        routes = [
            Route("/v1/chat/completions", self.complete, methods=["POST"]),
            Route("/v1/models", self.models),
        ]
        self.app = Starlette(routes=routes)

    async def models(self, request: Request) -> Response:
        self.headers.append(dict(request.headers))
        return JSONResponse({"object": "list", "data": [{"id": "m"}]})

    async def complete(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        if status := body.get("status"):
            return JSONResponse({"error": {"message": "no"}}, status, headers={"retry-after": "7", "x-secret": "s"})
        if body.get("stream"):
            return StreamingResponse(self.pieces(body["pieces"]), media_type="text/event-stream")
        for _ in range(body.get("wait", 0)):
            if await request.is_disconnected():
                self.left += 1
                return Response()
            await asyncio.sleep(0.02)
        return JSONResponse({"choices": [{"message": {"content": "an answer"}}]})

    async def pieces(self, count: int) -> AsyncIterator[bytes]:
        try:
            for number in range(count):
                yield f"data: {number}\n\n".encode()
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            self.left += 1
            raise


@pytest.fixture
def stub() -> Stub:
    return Stub()


@pytest.fixture
def upstream(stub: Stub) -> Iterator[str]:
    with running(stub.app) as url:
        yield f"{url}/v1"


@pytest.fixture
def proxy(shared: shotsmith.Selector, upstream: str) -> Iterator[httpx2.Client]:
    app = create_app(shared, ServeSettings(upstream=upstream, shots=2))
    with running(app) as url, httpx2.Client(base_url=url, timeout=20) as client:
        yield client


def chat_of(example: Example, **more: Any) -> dict[str, Any]:
    body = body_of(example)
    parts = [{"type": "image_url", "image_url": {"url": body["image"]}}, {"type": "text", "text": body["question"]}]
    return {"model": "m", "messages": [{"role": "user", "content": parts}], **more}


def selected(answer: httpx2.Response) -> Any:
    return json.loads(answer.headers["x-shotsmith-selection"])


def until(condition: Any) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_demonstrations_are_inserted_and_nothing_else_is_changed(
    proxy: httpx2.Client, stub: Stub, shared: shotsmith.Selector, world: World
) -> None:
    more = {"temperature": 0.1, "max_tokens": 5, "seed": 2**40, "metadata": {"ü": [None, 1.5]}}
    for query in world[1][:3]:
        answer = proxy.post("/v1/chat/completions", json=chat_of(query, **more))
        chosen = shared.select(question=query.question, image=query.image, shots=2)
        assert stub.bodies[-1] == {"model": "m", "messages": chosen.messages(), **more}
        assert answer.json() == {"choices": [{"message": {"content": "an answer"}}]}
        assert selected(answer) == {"ids": list(chosen.ids), "chosen_by": "mixed", "unfamiliar": False}


def test_a_header_says_how_many(proxy: httpx2.Client, stub: Stub, world: World) -> None:
    for shots in (0, 3):
        answer = proxy.post(
            "/v1/chat/completions", json=chat_of(world[1][0]), headers={"x-shotsmith-shots": str(shots)}
        )
        assert len(selected(answer)["ids"]) == shots
        assert len(stub.bodies[-1]["messages"][0]["content"]) == 2 * (shots + 1)
    for wrong in ("auto", "-1", "65", "two", "1e3", "9" * 50):
        answer = proxy.post("/v1/chat/completions", json=chat_of(world[1][0]), headers={"x-shotsmith-shots": wrong})
        assert answer.status_code in (400, 422) and len(stub.bodies) == 2


def test_a_chat_that_asks_nothing_is_passed_on_unchanged(proxy: httpx2.Client, stub: Stub) -> None:
    body = {"model": "m", "messages": [{"role": "assistant", "content": "hello"}]}
    assert selected(proxy.post("/v1/chat/completions", json=body))["ids"] == []
    assert stub.bodies == [body]
    assert "shotsmith_passed_on_total 1.0" in proxy.get("/metrics").text


def test_streams_come_through_piece_by_piece(proxy: httpx2.Client, world: World) -> None:
    chat = chat_of(world[1][0], stream=True, pieces=20)
    started, times, text = time.monotonic(), [], ""
    with proxy.stream("POST", "/v1/chat/completions", json=chat) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream") and len(selected(answer)["ids"]) == 2
        for piece in answer.iter_raw():
            times.append(time.monotonic() - started)
            text += piece.decode()
    assert text == "".join(f"data: {number}\n\n" for number in range(20))
    assert len(times) > 5 and times[-1] - times[0] > 0.2


def test_a_stream_ends_upstream_when_the_client_goes(proxy: httpx2.Client, stub: Stub, world: World) -> None:
    chat = chat_of(world[1][0], stream=True, pieces=10_000)
    with proxy.stream("POST", "/v1/chat/completions", json=chat) as answer:
        next(answer.iter_raw())
    until(lambda: stub.left == 1)


def test_a_request_ends_upstream_when_the_client_goes(proxy: httpx2.Client, stub: Stub, world: World) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        proxy.post("/v1/chat/completions", json=chat_of(world[1][0], wait=10_000), timeout=0.5)
    until(lambda: stub.left == 1)
    assert proxy.post("/v1/chat/completions", json=chat_of(world[1][0])).status_code == 200


def test_errors_of_the_upstream_server_are_passed_back(proxy: httpx2.Client, world: World) -> None:
    for status in (400, 429, 500):
        answer = proxy.post("/v1/chat/completions", json=chat_of(world[1][0], status=status))
        assert (answer.status_code, answer.json()) == (status, {"error": {"message": "no"}})
        assert answer.headers["retry-after"] == "7" and "x-secret" not in answer.headers


def test_models_are_those_of_the_upstream_server(proxy: httpx2.Client) -> None:
    assert proxy.get("/v1/models").json()["data"] == [{"id": "m"}]


@pytest.mark.parametrize(
    ("settings", "given", "passed"),
    [
        ({}, "Bearer mine", "Bearer mine"),
        ({}, None, None),
        ({"upstream_key": "theirs"}, "Bearer mine", "Bearer theirs"),
        ({"key": "ours"}, "Bearer ours", None),
        ({"key": "ours", "upstream_key": "theirs"}, "Bearer ours", "Bearer theirs"),
    ],
)
def test_keys_go_where_they_belong(
    shared: shotsmith.Selector, stub: Stub, upstream: str, settings: Any, given: str | None, passed: str | None
) -> None:
    app = create_app(shared, ServeSettings(upstream=upstream, **settings))
    headers = {} if given is None else {"authorization": given}
    with running(app) as url:
        assert httpx2.get(f"{url}/v1/models", headers=headers).status_code == 200
    assert stub.headers[-1].get("authorization") == passed


def test_without_an_upstream_server_there_is_an_error(shared: shotsmith.Selector, world: World) -> None:
    cases = [(None, 404, "--upstream"), ("http://127.0.0.1:9/v1", 502, "cannot be reached")]
    for upstream, status, problem in cases:
        with running(create_app(shared, ServeSettings(upstream=upstream))) as url:
            answer = httpx2.post(f"{url}/v1/chat/completions", json=chat_of(world[1][0]))
            assert answer.status_code == status and problem in answer.json()["error"]["message"]


def test_a_silent_upstream_server_is_given_up(shared: shotsmith.Selector, upstream: str, world: World) -> None:
    app = create_app(shared, ServeSettings(upstream=upstream, upstream_seconds=0.3))
    with running(app) as url:
        answer = httpx2.post(f"{url}/v1/chat/completions", json=chat_of(world[1][0], wait=500), timeout=20)
    assert answer.status_code == 504


@pytest.mark.parametrize("upstream", ["", "localhost:8000", "ftp://a/v1", "http://", "http://[::1"])
def test_an_address_that_is_none_is_an_error(shared: shotsmith.Selector, upstream: str) -> None:
    with pytest.raises(shotsmith.ShotsmithError, match="--upstream"):
        create_app(shared, ServeSettings(upstream=upstream))


def test_an_image_by_url_is_not_fetched(proxy: httpx2.Client, stub: Stub, world: World) -> None:
    chat = chat_of(world[1][0])
    for url in ("http://127.0.0.1:1/a.png", "file:///etc/passwd", "gopher://a"):
        chat["messages"][0]["content"][0]["image_url"]["url"] = url
        answer = proxy.post("/v1/chat/completions", json=chat)
        assert answer.status_code in (403, 422)
        assert answer.json()["error"]["param"] == "messages[0].images[0]"
    assert stub.bodies == []


@pytest.mark.parametrize("raw", ["{", "[1]", '{"messages": [{"role": "user", "content": "\\ud800"}]}'])
def test_what_is_no_chat_is_refused(proxy: httpx2.Client, stub: Stub, raw: str) -> None:
    answer = proxy.post("/v1/chat/completions", content=raw, headers={"content-type": "application/json"})
    assert answer.status_code == 400 and answer.json()["error"]["type"] == "invalid_request_error"
    odd = '{"messages": [{"role": "assistant", "content": "\\ud800"}], "x": NaN}'
    answer = proxy.post("/v1/chat/completions", content=odd, headers={"content-type": "application/json"})
    assert answer.status_code == 400 and stub.bodies == []
