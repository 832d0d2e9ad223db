"""A server on loopback, and retries that wait for nothing."""

from __future__ import annotations

import threading

import pytest
from stub_server import Stub

from shotsmith.vlms.remote import retry


@pytest.fixture
def stub():
    server = Stub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.002)
    monkeypatch.setattr(retry, "LONGEST_PAUSE", 0.05)
