"""What stands before every route."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from running_server import running
from starlette.testclient import TestClient

import shotsmith
from shotsmith.serve import guard
from shotsmith.serve.app import create_app
from shotsmith.serve.guard import Rates
from shotsmith.serve.settings import ServeSettings

Client = Callable[..., TestClient]
JSON = {"content-type": "application/json"}


def test_a_key_is_needed_for_all_but_health(client: Client) -> None:
    served = client(key="secret-ü")
    for path in ("/metrics", "/docs", "/openapi.json", "/nothing"):
        answer = served.get(path)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert served.post("/select", json={"question": "q?"}).status_code == 401
    assert served.get("/healthz").status_code == 200
    for wrong in ("Bearer secret", "Bearer ", "Basic secret-ü", "secret-ü", "Bearer secret-ü2"):
        assert served.get("/metrics", headers={"authorization": wrong.encode()}).status_code == 401
    assert served.get("/metrics", headers={"authorization": "Bearer secret-ü".encode()}).status_code == 200


def test_bodies_have_a_limit_told_or_not(client: Client) -> None:
    served = client(max_body_bytes=1000)

    def parts() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 100

    assert served.post("/select", content=b" " * 1001, headers=JSON).status_code == 413
    assert served.post("/select", content=parts(), headers=JSON).status_code == 413
    assert served.post("/v1/chat/completions", content=b" " * 1001, headers=JSON).status_code == 413
    body = json.dumps({"question": "q?", "shots": 1}).encode()
    assert served.post("/select", content=body + b" " * (1000 - len(body)), headers=JSON).status_code == 200


def test_bodies_that_are_not_json_are_refused(client: Client) -> None:
    served = client()
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = served.post("/select", content=b'{"question": "q?"}', headers={"content-type": kind})
        assert answer.status_code == 415
    assert (
        served.post(
            "/select", content=b'{"question": "q?"}', headers={"content-type": "Application/JSON;charset=utf-8"}
        ).status_code
        == 200
    )


@pytest.mark.parametrize(
    ("listening", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:8400", 200),
        ("127.0.0.1", "localhost", 200),
        ("127.0.0.1", "LOCALHOST:1", 200),
        ("127.0.0.1", "[::1]:8400", 200),
        ("127.0.0.1", "evil.example", 403),
        ("127.0.0.1", "127.0.0.1.evil.example:8400", 403),
        ("localhost", "10.0.0.1", 403),
        ("0.0.0.0", "shots.example", 200),
    ],
)
def test_a_loopback_server_answers_to_loopback_names_only(
    client: Client, listening: str, host: str, status: int
) -> None:
    assert client(host=listening).get("/metrics", headers={"host": host}).status_code == status


def test_a_client_that_asks_too_often_is_told_when_to_come_back(client: Client) -> None:
    served = client(rate=0.5)
    assert served.get("/metrics").status_code == 200
    answer = served.get("/metrics")
    assert answer.status_code == 429 and 1 <= int(answer.headers["retry-after"]) <= 2
    assert served.get("/healthz").status_code == 200


def test_rates_hold_in_the_mean_and_for_each_client() -> None:
    now = 0.0
    rates = Rates(2.0, clock=lambda: now)
    assert [rates.wait("a") for _ in range(4)] == [0, 0, 0, 0]
    assert rates.wait("a") == pytest.approx(0.5)
    assert rates.wait("b") == 0
    now = 0.5
    assert rates.wait("a") == 0 and rates.wait("a") > 0
    passed = 0
    for _ in range(1000):
        now += 0.1
        passed += rates.wait("a") == 0
    assert passed == pytest.approx(200, abs=5)


def test_addresses_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_CLIENTS", 10)
    rates = Rates(1.0, clock=lambda: 0.0)
    for number in range(100):
        rates.wait(str(number))
    assert len(rates._buckets) == 10


def test_requests_under_way_have_a_limit_and_slow_bodies_end(
    shared: shotsmith.Selector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 1.0)
    head = b"POST /select HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
    with running(create_app(shared, ServeSettings(max_concurrent=1))) as url:
        place = (urlsplit(url).hostname or "", urlsplit(url).port or 0)
        with socket.create_connection(place) as slow, socket.create_connection(place) as other:
            slow.sendall(head)
            time.sleep(0.2)
            other.sendall(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")
            refused = other.recv(100_000)
            assert refused.startswith(b"HTTP/1.1 503") and b"retry-after: 1" in refused
            slow.settimeout(10)
            assert slow.recv(100_000).startswith(b"HTTP/1.1 408")
        with socket.create_connection(place) as after:
            after.sendall(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert after.recv(100).startswith(b"HTTP/1.1 200")
