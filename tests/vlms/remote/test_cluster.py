"""Many workers on a Ray cluster: their answers are the local VLM's, and no death of worker or node loses one."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import ray
import small_vlm
from hypothesis import given
from hypothesis import strategies as st
from ray.cluster_utils import Cluster
from small_cluster import add_node, answer_to, answered_by, asked, load_diary, lose_power, times_answered, two_nodes

from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.errors import DataError, InputError, VLMError
from shotsmith.recipe import VLMSettings
from shotsmith.recipe.cluster import RaySettings
from shotsmith.recipe.servers import ServerSettings
from shotsmith.records import Failure, Request
from shotsmith.vlms.load import load_vlm
from shotsmith.vlms.remote.cluster import ClusterVLM, cut, load_cluster, settings_of_worker


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with two_nodes() as cluster:
        yield cluster


@pytest.fixture
def hired(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[..., ClusterVLM]]:
    """Makes a VLM of workers that keep diaries in this test's folder; they go with the next one, or with the test."""
    made: list[ClusterVLM] = []

    def hire(folder: Path | str = tmp_path, **changes: object) -> ClusterVLM:
        made.clear()  # there is room for the workers of one
        settings = RaySettings.model_validate({"workers": 2, "max_deaths": 2} | changes)
        made.append(load_cluster(VLMSettings(lora=str(folder)), settings, load_diary))
        return made[-1]

    yield hire
    made.clear()
    gc.collect()


class Meanwhile(threading.Thread):
    """Does something once so many workers have come to a prompt that they hold, then lets them go on."""

    def __init__(self, folder: Path, what: Callable[[int], object], holders: int = 1) -> None:
        super().__init__(daemon=True)
        self.folder, self.what, self.holders = folder, what, holders
        self.start()

    def run(self) -> None:
        while len(holding := sorted(self.folder.glob("*.holds"))) < self.holders:
            time.sleep(0.01)
        try:
            self.what(int(holding[0].stem))
        finally:
            (self.folder / "go").touch()


def test_the_answers_are_those_of_the_local_vlm_under_its_name(cluster, examples):
    local = load_vlm(VLMSettings())
    vlm = load_vlm(VLMSettings(batch_tokens=600, ray=RaySettings()))
    assert isinstance(vlm, ClusterVLM)
    requests = [
        Request(one.query, one.demonstrations, (one.query.answer,), number % 2 == 0)
        for number, one in enumerate(small_vlm.draw_requests(examples, 60))
    ]
    assert vlm.identity == local.identity
    assert list(map(vlm.length, requests)) == list(map(local.length, requests))
    assert vlm.batch_tokens == 2 * 4 * 600
    for ours, theirs in zip(vlm.complete(requests), local.complete(requests), strict=True):
        assert ours.text == theirs.text
        assert ours.log_probs == pytest.approx(theirs.log_probs, abs=1e-4)
    assert vlm.work.rows == local.work.rows == 60
    assert vlm.work.images == local.work.images


def test_a_worker_that_is_killed_is_replaced_and_nothing_answered_is_asked_again(hired, tmp_path):
    vlm, requests = hired(), asked({9: "hold"}, 40)
    Meanwhile(tmp_path, lambda pid: os.kill(pid, signal.SIGKILL))
    assert vlm.complete(requests) == list(map(answer_to, requests))
    assert times_answered(tmp_path) == dict.fromkeys(range(40), 1)
    assert vlm.complete(requests[:9]) == list(map(answer_to, requests[:9]))


def test_a_node_that_is_removed_takes_nothing_with_it_and_one_that_joins_is_used(cluster, hired, tmp_path):
    vlm, requests = hired(), asked(dict.fromkeys(range(20), "hold"), 40)

    def remove(_: int) -> None:
        lose_power(cluster, {int(file.stem): file.read_text() for file in tmp_path.glob("*.holds")})

    Meanwhile(tmp_path, remove, holders=2)
    try:
        assert vlm.complete(requests) == list(map(answer_to, requests))
        assert times_answered(tmp_path) == dict.fromkeys(range(40), 1)
    finally:
        before = answered_by(tmp_path).keys()
        add_node(cluster)
    deadline = time.monotonic() + 30
    while len(answered_by(tmp_path).keys() - before) == 0 and time.monotonic() < deadline:
        vlm.complete(requests)
    assert answered_by(tmp_path).keys() - before


def test_prompts_that_kill_every_worker_end_the_run_but_the_others_are_stored(hired, tmp_path):
    requests = asked({5: "die always"}, 30)
    with Store.open(tmp_path / "store.sqlite") as store:
        with pytest.raises(VLMError, match=r"lost their worker 2 times \(vlm\.ray\.max_deaths\)"):
            Collector(store, hired()).ask(requests, "here")
        stored = store.count()
        assert stored == len(times_answered(tmp_path)) > 0
        requests = asked({}, 30)
        alone = load_diary(VLMSettings(lora=str(tmp_path)))
        assert Collector(store, alone).ask(requests, "here") == list(map(answer_to, requests))
    assert set(times_answered(tmp_path).values()) == {1}


def test_what_a_vlm_cannot_do_another_is_asked_and_an_input_error_ends_it_with_what_was_answered(hired, tmp_path):
    vlm, requests = hired(), asked({3: "fail once", 8: "die once"}, 20)
    assert vlm.complete(requests) == list(map(answer_to, requests))
    requests = asked({19: "wrong cat.png"}, 20)
    results = vlm.complete(requests)
    assert results[0] == answer_to(requests[0])
    assert results[19] == Failure("cat.png, row 7: is no image")
    with pytest.raises(DataError, match=r"cat\.png, row 7: is no image") as caught:
        vlm.complete(requests)
    assert (caught.value.file, caught.value.row) == ("cat.png", 7)


def test_where_no_worker_can_start_it_is_said_why(hired, tmp_path):
    with pytest.raises(InputError, match="no such adapter"):
        hired("missing")
    with pytest.raises(VLMError, match=r"start_seconds.*\d CPUs and 0 GPUs"):
        hired(gpus_per_worker=1, start_seconds=1)
    (tmp_path / "no start").touch()
    with pytest.raises(VLMError, match=r"no worker can be started \(vlm\.ray\.max_deaths\): .*cannot start today"):
        hired()


@pytest.mark.usefixtures("interruptible")
def test_a_run_that_the_user_stops_can_go_on(hired, tmp_path):
    vlm, requests = hired(), asked({2: "hold"}, 12)
    Meanwhile(tmp_path, lambda _: (signal.raise_signal(signal.SIGINT), time.sleep(0.5)))
    with pytest.raises(KeyboardInterrupt):
        vlm.complete(requests)
    assert vlm.complete(asked({}, 8)) == list(map(answer_to, asked({}, 8)))


def test_the_workers_go_with_the_vlm(cluster, tmp_path):
    vlm = load_cluster(VLMSettings(lora=str(tmp_path)), RaySettings(workers=1), load_diary)
    vlm.complete(asked({}, 4))
    (pid,) = answered_by(tmp_path)
    assert is_running(pid)
    del vlm
    gc.collect()
    deadline = time.monotonic() + 20
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(pid)


class Echo(BaseHTTPRequestHandler):
    """A server that answers with the prompt's last words, and counts."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send({"object": "list", "data": [{"id": "tiny", "object": "model", "created": 1, "owned_by": "us"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = body["messages"][0]["content"][-1]["text"]
        self.server.heard.append(text)
        message = {"role": "assistant", "content": text.split()[-3]}
        choices = [{"index": 0, "finish_reason": "stop", "message": message}]
        self.send({"id": "1", "object": "chat.completion", "created": 1, "model": "tiny", "choices": choices})

    def send(self, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def two_servers() -> Iterator[list[ThreadingHTTPServer]]:
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Echo) for _ in range(2)]
    for server in servers:
        server.heard = []
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield servers
    for server in servers:
        server.shutdown()
        server.server_close()


def test_workers_can_be_clients_of_several_servers(cluster, two_servers):
    urls = tuple(f"http://127.0.0.1:{server.server_port}/v1" for server in two_servers)
    served = VLMSettings(server=ServerSettings(url=urls[0], concurrency=4))
    vlm = load_vlm(served.model_copy(update={"ray": RaySettings(servers=urls)}))
    assert vlm.identity == load_vlm(served).identity
    assert vlm.batch_tokens == 2 * load_vlm(served).batch_tokens
    asked_for = 0
    while not all(server.heard for server in two_servers) and asked_for < 2000:  # until both clients are ready
        requests = asked({}, 30)
        assert [one.text for one in vlm.complete(requests)] == [f"{number}?" for number in range(30)]
        asked_for += 30
    assert sum(len(server.heard) for server in two_servers) == asked_for
    assert all(server.heard for server in two_servers)


def is_running(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and " Z " not in state.read_text()


@given(st.lists(st.integers(1, 50), max_size=80), st.integers(1, 300), st.integers(1, 5))
def test_parts_hold_all_rows_in_order_within_the_budget_and_as_many_for_each_worker(lengths, budget, workers):
    parts = cut(lengths, budget, workers)
    assert [row for part in parts for row in part] == list(range(len(lengths)))
    sizes = [len(part) for part in parts]
    assert max(sizes, default=1) - min(sizes, default=1) <= 1
    assert all(size == 1 or size * max(lengths) <= budget for size in sizes)
    assert len(parts) % workers == 0 or len(parts) == len(lengths)


def test_the_workers_take_the_servers_in_turn():
    settings = VLMSettings(server=ServerSettings(url="http://a/v1", concurrency=3), ray=RaySettings())
    assert {settings_of_worker(settings, RaySettings(), number).server.url for number in range(3)} == {"http://a/v1"}
    several = RaySettings(servers=("http://b/v1", "http://c/v1"))
    loaded = [settings_of_worker(settings, several, number) for number in range(3)]
    assert [one.server.url for one in loaded] == ["http://b/v1", "http://c/v1", "http://b/v1"]
    assert {(one.server.concurrency, one.ray) for one in loaded} == {(3, None)}


@pytest.mark.parametrize("address", ["127.0.0.1:1", "somewhere"])
def test_a_cluster_that_is_not_there_is_an_error_at_once(monkeypatch, address):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(InputError, match=r"vlm\.ray\.address.*no Ray cluster"):
        load_vlm(VLMSettings(ray=RaySettings(address=address)))


def test_without_ray_the_error_names_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"vlm\.ray.*shotsmith\[ray\]"):
        load_vlm(VLMSettings(ray=RaySettings()))
