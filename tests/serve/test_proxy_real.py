"""The proxy before a real server with the built-in VLM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from real_server import serving
from running_server import running
from small_selector import body_of

import shotsmith
from shotsmith.records import Example
from shotsmith.serve.app import create_app
from shotsmith.serve.settings import ServeSettings

World = tuple[list[Example], list[Example]]


@pytest.mark.slow
def test_an_answer_through_the_proxy_is_the_answer_to_the_messages_of_the_selection(
    shared: shotsmith.Selector, world: World, tmp_path: Path
) -> None:
    more: dict[str, Any] = {"model": "vlm", "temperature": 0, "max_tokens": 8, "frequency_penalty": 0}
    with serving(tmp_path) as upstream, httpx2.Client(timeout=60) as client:
        app = create_app(shared, ServeSettings(upstream=upstream, shots=3))
        with running(app) as url:
            assert client.get(f"{url}/v1/models").json() == client.get(f"{upstream}/models").json()
            answers = []
            for query in world[1][:6]:
                body = body_of(query)
                image = {"type": "image_url", "image_url": {"url": body["image"]}}
                asked = [{"role": "user", "content": [image, {"type": "text", "text": body["question"]}]}]
                chosen = shared.select(question=query.question, image=query.image, shots=3)
                direct = _ask(client, upstream, {"messages": chosen.messages(), **more})
                assert _ask(client, f"{url}/v1", {"messages": asked, **more}) == direct
                assert _streamed(client, f"{url}/v1", {"messages": asked, **more, "stream": True}) == direct
                answers.append(direct)
    assert len(set(answers)) > 1


def _ask(client: httpx2.Client, url: str, body: dict[str, Any]) -> str:
    answer = client.post(f"{url}/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def _streamed(client: httpx2.Client, url: str, body: dict[str, Any]) -> str:
    text = ""
    with client.stream("POST", f"{url}/chat/completions", json=body) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                for choice in json.loads(line[6:])["choices"]:
                    text += choice["delta"].get("content") or ""
    return text
