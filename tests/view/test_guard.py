"""What a page of another site cannot do to the server of a page, and what it cannot do to its own browser."""

from __future__ import annotations

import pytest
from watched_worker import Client

from shotsmith.runs import Run
from shotsmith.view.guard import MOST_BODY, is_known

SAME = {"origin": "http://127.0.0.1:8500", "sec-fetch-site": "same-origin"}


OWN = ("127.0.0.1:8500", "localhost", "localhost:8500", "LOCALHOST:8500", "[::1]:8500")
FOREIGN = ("evil.example", "evil.example:8500", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.7", "")


def test_a_loopback_server_answers_to_its_own_names_only(finished: Run, client: Client) -> None:
    served = client(finished)
    for path in ("/", "/api/runs", "/shell.js", "/api/runs/finished/live"):
        assert {served.get(path, headers={"host": host}).status_code for host in OWN} == {200}
        for host in FOREIGN:
            answer = served.get(path, headers={"host": host})
            assert answer.status_code == 403 and "finished" not in answer.text


def test_a_server_for_others_answers_to_addresses_and_to_its_own_names_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shotsmith.view.guard.socket.gethostname", lambda: "workstation")
    assert all(is_known(host, "0.0.0.0") for host in ("192.168.1.5:8500", "workstation:8500", "localhost", "[fe80::1]"))
    assert not any(is_known(host, "0.0.0.0") for host in ("evil.example", "workstation.evil.example:8500", ""))
    assert is_known("gpu7:8500", "gpu7")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://127.0.0.1:8500", "sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
def test_a_post_of_another_site_is_refused(finished: Run, client: Client, headers: dict[str, str]) -> None:
    answer = client(finished).post("/api/runs/finished/live/stop", json={}, headers=headers)
    assert answer.status_code == 403 and "other sites" in answer.json()["error"]["message"]


@pytest.mark.parametrize("headers", [SAME, {}])
def test_a_post_of_the_page_and_of_a_program_gets_through(
    finished: Run, client: Client, headers: dict[str, str]
) -> None:
    answer = client(finished).post("/api/runs/finished/live/stop", json={}, headers=headers)
    assert (answer.status_code, answer.json()) == (409, {"error": {"message": "the run is not running"}})


def test_a_form_cannot_post(finished: Run, client: Client) -> None:
    served = client(finished)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = served.post("/api/runs/finished/live/stop", content="{}", headers={"content-type": kind} | SAME)
        assert answer.status_code == 415


def test_bodies_have_a_limit_and_say_their_length(finished: Run, client: Client) -> None:
    served, kind = client(finished), {"content-type": "application/json"}
    assert served.post("/api/runs/finished/live/stop", content=b" " * (MOST_BODY + 1), headers=kind).status_code == 413
    assert served.post("/api/runs/finished/live/stop", content=iter([b"{}"]), headers=kind).status_code == 411


def test_every_answer_confines_the_page(finished: Run, client: Client) -> None:
    served = client(finished)
    for path in ("/", "/live.js", "/view.css", "/api/runs", "/api/nothing", "/nothing"):
        for host in ("127.0.0.1:8500", "evil.example"):
            headers = served.get(path, headers={"host": host}).headers
            policy = headers["content-security-policy"]
            wanted = {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'none'"}
            assert wanted <= set(policy.split("; ")) and "unsafe" not in policy and "http" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert "access-control-allow-origin" not in headers


def test_only_files_of_the_page_are_served(finished: Run, client: Client) -> None:
    served = client(finished)
    for path in ("..%2fapp.py", "%2e%2e%2fapp.py", "app.py", "page", "%2fetc%2fpasswd", "recipe.yaml", "%00"):
        assert served.get(f"/{path}").status_code == 404


def test_the_server_describes_itself_to_nobody(finished: Run, client: Client) -> None:
    assert [client(finished).get(path).status_code for path in ("/docs", "/openapi.json", "/redoc")] == [404] * 3
