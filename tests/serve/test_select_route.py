"""POST /select."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_selector import body_of
from starlette.testclient import TestClient

import shotsmith
from shotsmith.records import Example

Client = Callable[..., TestClient]
World = tuple[list[Example], list[Example]]


def test_the_server_selects_what_the_library_selects(client: Client, shared: shotsmith.Selector, world: World) -> None:
    queries = world[1][:6]
    expected = shared.select_many([{"question": one.question, "image": one.image} for one in queries], shots=3)
    answer = client().post("/select", json={"queries": [body_of(one) for one in queries], "shots": 3}).json()
    for one, found in zip(expected, answer["selections"], strict=True):
        told = one.to_json()
        shown = [
            {key: value for key, value in example.items() if key not in ("image", "images")}
            for example in told["examples"]
        ]
        assert found == {**told, "examples": shown, "tokens": None}


def test_one_query_is_answered_like_one_of_many(client: Client, query: dict[str, str]) -> None:
    served = client()
    alone = served.post("/select", json=query).json()
    assert alone == served.post("/select", json={"queries": [query]}).json()
    assert len(alone["selections"][0]["ids"]) == 4


def test_base64_and_data_urls_are_the_same_image(client: Client, query: dict[str, str]) -> None:
    served = client()
    bare = {**query, "image": query["image"].partition(",")[2]}
    assert served.post("/select", json=bare).json() == served.post("/select", json=query).json()
    without = served.post("/select", json={"question": query["question"]}).json()
    assert without != served.post("/select", json=query).json()


@pytest.mark.parametrize("images", ["data_url", "id"])
def test_messages_are_those_of_the_library(
    client: Client, shared: shotsmith.Selector, world: World, images: str
) -> None:
    query = world[1][1]
    expected = shared.select(question=query.question, image=query.image, shots=2).messages(images=images)  # type: ignore[arg-type]
    body = {**body_of(query), "shots": 2, "messages": True, "images": images}
    (found,) = client().post("/select", json=body).json()["selections"]
    if images == "id":  # the query has no id: its image stays as it was given
        expected[-1]["content"][-2]["image_url"]["url"] = body_of(query)["image"]
    assert found["messages"] == expected


def test_a_query_may_have_several_images(client: Client, shared: shotsmith.Selector, world: World) -> None:
    first, second = world[1][0], world[1][1]
    images = [body_of(first)["image"], body_of(second)["image"]]
    body = {"question": first.question, "image": images, "messages": True, "shots": 2}
    served = client()
    (found,) = served.post("/select", json=body).json()["selections"]
    expected = shared.select(question=first.question, image=[first.image, second.image], shots=2)  # type: ignore[list-item]
    assert found["ids"] == list(expected.ids) and found["messages"] == expected.messages()
    refused = served.post("/select", json={**body, "image": [images[0], "AAAA"]})
    assert refused.json()["error"]["param"] == "image[1]"
    assert served.post("/select", json={**body, "image": images * 9}).status_code == 422


def test_pool_exclusions_shots_and_budget_have_their_effect(
    client: Client, shared: shotsmith.Selector, query: dict[str, str]
) -> None:
    served = client()

    def ids(**more: Any) -> list[Any]:
        (found,) = served.post("/select", json={**query, **more}).json()["selections"]
        return list(found["ids"])

    pool = list(shared.bank.ids[3:9])
    assert set(ids(pool=pool, shots=6)) == set(pool)
    assert set(ids(pool=pool, exclude=pool[:2])) == set(pool[2:])
    assert ids(shots=0) == []
    assert ids(shots=2) == ids(shots=4)[-2:]
    (budgeted,) = served.post("/select", json={**query, "max_tokens": 40}).json()["selections"]
    assert len(budgeted["ids"]) < 4 and budgeted["stopped"] == "budget" and 0 < budgeted["tokens"] <= 40


def test_paths_on_the_server_are_not_told(client: Client, query: dict[str, str], world: World) -> None:
    served, bank_image = client(), world[0][0].image
    assert bank_image is not None
    for body in (
        query,
        {**query, "messages": True},
        {**query, "image": "aaaa"},
        {**query, "image": "file:///etc/passwd"},
    ):
        text = served.post("/select", json=body).text
        assert str(bank_image.parent) not in text and "shotsmith-request" not in text and "/tmp" not in text


def test_images_of_a_request_are_removed_with_it(client: Client, query: dict[str, str], temporary: Path) -> None:
    served = client()
    damaged = {**query, "image": query["image"][:200] + "A" * 40}
    before = sorted(temporary.rglob("*"))
    assert served.post("/select", json={"queries": [query, query]}).status_code == 200
    assert served.post("/select", json={"queries": [query, damaged]}).status_code == 422
    assert served.post("/select", json={**query, "shots": 41}).status_code == 422
    assert sorted(temporary.rglob("*")) == before


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"question": None}, None),
        ({"question": ""}, "question"),
        ({"question": "  "}, "queries[0].question"),
        ({"question": 3}, "question"),
        ({"question": "x" * 20_001}, "question"),
        ({"queries": [{"question": "q?"}]}, None),
        ({"question": None, "image": None, "queries": []}, "queries"),
        ({"question": None, "image": None, "queries": [{"question": "q?"}] * 65}, "queries"),
        ({"shots": 41}, "shots"),
        ({"shots": -1}, "shots"),
        ({"shots": True}, "shots"),
        ({"shots": "auto"}, "shots"),
        ({"pool": ["nobody"]}, None),
        ({"pool": [True]}, "pool[0]"),
        ({"exclude": [1]}, None),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 3}, "max_tokens"),
        ({"unfamiliar": "ask"}, "unfamiliar"),
        ({"colour": "red"}, "colour"),
        ({"question": None, "image": None, "queries": [{"question": "q?"}, {"question": 1}]}, "queries[1].question"),
        ({"question": None, "image": None, "queries": [{"question": "q?", "image": "AAAA"}]}, "queries[0].image"),
        ({"image": "no base64"}, "image"),
        ({"image": "data:image/png,abc"}, "image"),
        ({"image": "AAAA"}, "image"),
        ({"image": "http://127.0.0.1/a.png"}, "image"),
    ],
)
def test_what_cannot_be_done_is_refused(
    client: Client, query: dict[str, str], change: dict[str, Any], param: str | None
) -> None:
    body = {key: value for key, value in {**query, **change}.items() if value is not None}
    answer = client().post("/select", json=body)
    assert answer.status_code in (403, 422), answer.text
    error = answer.json()["error"]
    assert error["param"] == param and error["message"] and error["code"] == answer.status_code


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"nul", b'"x"', b'{"question": "\\ud800"}', b"[" * 100_000, b"1" * 9000]
)
def test_what_is_no_body_is_refused(client: Client, raw: bytes) -> None:
    answer = client().post("/select", content=raw, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    json.loads(answer.text)


def test_a_missing_image_of_the_bank_is_the_servers_fault(
    world: World, client: Client, query: dict[str, str], tmp_path: Path
) -> None:
    rows = []
    for number, example in enumerate(world[0][:4]):
        assert example.image is not None
        (tmp_path / f"{number}.png").write_bytes(example.image.read_bytes())
        rows.append({"question": example.question, "answers": example.answer, "image": tmp_path / f"{number}.png"})
    served = client(shotsmith.selector("mixed").index(rows))
    (tmp_path / "0.png").unlink()
    answer = served.post("/select", json={**query, "messages": True})
    assert answer.status_code == 500 and answer.json()["error"]["type"] == "server_error"
    assert served.post("/select", json=query).status_code == 200


def test_the_api_is_described(client: Client) -> None:
    served = client()
    paths = served.get("/openapi.json").json()["paths"]
    assert {"/select", "/index", "/healthz", "/metrics", "/v1/chat/completions", "/v1/models"} == paths.keys()
    assert served.get("/docs").status_code == 200
    assert served.get("/nothing").json()["error"]["code"] == 404
    assert served.get("/select").json()["error"]["code"] == 405


def test_the_metrics_count_what_was_done(client: Client, query: dict[str, str]) -> None:
    served = client()
    served.post("/select", json={"queries": [query] * 3})
    served.post("/select", json={**query, "image": "AAAA"})
    lines = served.get("/metrics").text.splitlines()
    assert "shotsmith_selections_total 3.0" in lines
    assert 'shotsmith_requests_total{route="/select",status="200"} 1.0' in lines
    assert 'shotsmith_requests_total{route="/select",status="422"} 1.0' in lines
    assert "shotsmith_bank_examples 40.0" in lines


def test_health_names_the_selector(client: Client) -> None:
    assert client().get("/healthz").json() == {
        "status": "ok",
        "selector": "mixed",
        "examples": 40,
        "version": shotsmith.__version__,
    }
