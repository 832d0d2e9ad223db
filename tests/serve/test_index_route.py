"""POST /index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_selector import body_of, small_selector
from starlette.testclient import TestClient

import shotsmith
from shotsmith.evaluation.selections import content_hash
from shotsmith.evaluation.served import read_log
from shotsmith.records import Example

Client = Callable[..., TestClient]
World = tuple[list[Example], list[Example]]


@pytest.fixture
def own(world: World) -> shotsmith.Selector:
    return small_selector(world[0][:8])


def test_added_examples_are_shown_and_removed_ones_are_not(
    client: Client, own: shotsmith.Selector, query: dict[str, str]
) -> None:
    served, before = client(own), own.bank.ids[:2]
    change = {"add": [{"id": "new", **query, "answers": ["a", "b", "b"]}], "remove": list(before)}
    assert served.post("/index", json=change).json() == {"added": ["new"], "removed": 2, "examples": 7}
    (found,) = served.post("/select", json={**query, "shots": 7}).json()["selections"]
    assert found["ids"][-1] == "new" and found["examples"][-1]["answer"] == "b"
    assert not set(before) & set(found["ids"])
    assert "shotsmith_bank_examples 7.0" in served.get("/metrics").text


def test_images_of_added_examples_last_as_long_as_the_server(
    world: World, query: dict[str, str], temporary: Path
) -> None:
    from shotsmith.serve.app import create_app
    from shotsmith.serve.settings import ServeSettings

    with TestClient(create_app(small_selector(world[0][:8]), ServeSettings()), base_url="http://localhost") as served:
        served.post("/index", json={"add": [{**query, "answers": "a"}]})
        body = {**query, "shots": 1, "messages": True}
        (found,) = served.post("/select", json=body).json()["selections"]
        assert found["messages"][-1]["content"][0]["image_url"]["url"] == query["image"]
        assert list(temporary.glob("shotsmith-added-*/*.png"))
    assert not list(temporary.glob("shotsmith-added-*"))


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({}, 422, None),
        ({"remove": ["nobody"]}, 422, None),
        ({"remove": "all but the last"}, 422, "remove"),
        ({"add": [{"id": "first", "question": "q?", "answers": "a"}] * 2}, 422, None),
        ({"add": [{"question": "q?", "answers": "a"}, {"id": 1, "question": "q?", "answers": "a"}]}, 422, None),
        ({"add": [{"question": "q?"}]}, 422, "add[0].answers"),
        ({"add": [{"question": " ", "answers": "a"}]}, 422, "add[0].question"),
        ({"add": [{"question": "q?", "answers": []}]}, 422, "add[0].answers"),
        ({"add": [{"question": "q?", "answers": "a", "image": "AAAA"}]}, 422, "add[0].image"),
        ({"add": [{"question": "q?", "answers": "a", "image": "/etc/passwd"}]}, 422, "add[0].image"),
        ({"add": [{"question": "q?", "answers": "a"}] * 65}, 422, None),
        ({"remove": list(range(65))}, 422, None),
    ],
)
def test_a_change_that_cannot_be_done_changes_nothing(
    client: Client, own: shotsmith.Selector, change: dict[str, Any], status: int, param: str | None
) -> None:
    answer = client(own).post("/index", json=change)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["param"] == param
    assert len(own) == len(own.bank) == 8


def test_the_last_examples_stay_together_with_what_was_to_be_added(
    client: Client, own: shotsmith.Selector, query: dict[str, str]
) -> None:
    served, ids = client(own), list(own.bank.ids)
    change = {"add": [{"id": "new", **query, "answers": "a"}], "remove": [*ids, "new"]}
    assert served.post("/index", json=change).status_code == 422
    assert len(own) == 8
    answer = served.post("/index", json={"add": [{"id": "newer", **query, "answers": "a"}], "remove": ids})
    assert answer.json() == {"added": ["newer"], "removed": 8, "examples": 1}


def test_a_removed_id_can_be_added_again_with_another_content(
    client: Client, own: shotsmith.Selector, query: dict[str, str], tmp_path: Path
) -> None:
    served, one = client(own, log=tmp_path / "log"), own.bank.ids[0]
    add = {"add": [{"id": one, **query, "answers": "new"}]}
    refused = served.post("/index", json=add)
    assert refused.status_code == 422 and f"have the id {one!r}" in refused.json()["error"]["message"]
    for _ in range(2):
        assert served.post("/index", json={"remove": [one]}).json() == {"added": [], "removed": 1, "examples": 7}
        assert served.post("/index", json=add).json() == {"added": [one], "removed": 0, "examples": 8}
    (found,) = served.post("/select", json={**query, "shots": 8}).json()["selections"]
    assert found["examples"][-1] == {"id": one, "question": query["question"], "answer": "new"}
    assert len(set(found["ids"])) == 8
    (row,) = read_log(tmp_path / "log")
    assert row["ids"] == found["ids"]
    assert row["hashes"][-1] == content_hash(own.bank.examples[own.bank.row(one)])
    ids = [other for other in own.bank.rows if other != one]
    change = {"add": [{"id": "new", **query, "answers": "a"}], "remove": [one, *ids, "gone"]}
    assert served.post("/index", json=change).status_code == 422
    assert len(own) == 8


def test_a_read_only_server_changes_nothing(client: Client, own: shotsmith.Selector) -> None:
    answer = client(own, read_only=True).post("/index", json={"remove": [own.bank.ids[0]]})
    assert answer.status_code == 403 and len(own) == 8


def test_selections_and_changes_of_many_clients_do_not_mix(
    client: Client, own: shotsmith.Selector, world: World
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    served = client(own)

    def work(number: int) -> int:
        query = body_of(world[1][number % 8])
        if number % 4 == 0:
            return served.post("/index", json={"add": [{"id": f"new {number}", **query, "answers": "a"}]}).status_code
        return served.post("/select", json=query).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(work, range(32))) == {200}
    assert len(own) == 16
