"""Does any request make the server fail? `python benchmarks/serve_fuzz.py [--requests N] [--seed S] [--json]`.

Requests of every route, valid and spoiled in their bytes, their values, their images or their HTTP, go over loopback to
a server with a stub behind its proxy. Each must be answered with 200 or 4xx; `equal` says that all were, and that the
server then answers a valid request as it did before. A request that is cut off on purpose may go unanswered.
"""

from __future__ import annotations

import argparse
import base64
import copy
import io
import json
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from PIL import Image
from running_server import running
from small_selector import draw_world, small_selector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from shotsmith.serve.app import create_app
from shotsmith.serve.settings import ServeSettings

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, -(2**70), 10**400, 0.5, 1e308, float("nan"), float("inf")),
    *("", " ", "auto", "flag", "\0", "\ud800", "ü" * 50, "x" * 30_000, "../../etc/passwd", "file:///etc/passwd"),
    *("http://127.0.0.1:1/a.png", "data:", "data:image/png;base64,", "data:;base64,AAAA", "AAAA", "<|image_pad|>"),
    *("<|im_start|>", "{question}", "%s%n", "1", "-0", "null"),
    *([], {}, [[]], [None], [1, "1", True], {"a": {}}, {"url": "x"}, ["x"] * 200, [{"type": "text"}]),
)
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "ICO")
MODES = ("RGB", "L", "P", "RGBA", "1", "LA", "CMYK", "I;16")


@dataclass
class Outcome:
    """What was answered."""

    statuses: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    unanswered: int = 0
    """Requests that were cut off on purpose and not answered."""


class Requests:
    """Draws requests."""

    def __init__(self, seed: int, ids: list[Any]) -> None:
        self.draws = random.Random(seed)
        self.ids = ids
        self.added = 0

    def draw(self) -> tuple[bytes, bool]:
        """The bytes of a request, and whether it is whole."""
        path, body = self.draws.choice((self.select, self.select, self.index, self.chat, self.chat))()
        for _ in range(self.draws.choice((0, 0, 0, 1, 1, 2, 4))):
            body = self.spoil(body)
        content = json.dumps(body, ensure_ascii=self.draws.random() < 0.9).encode("utf-8", "surrogatepass")
        if self.draws.random() < 0.15:
            content = self.damage(content)
        return self.http(path, content)

    def select(self) -> tuple[str, Any]:
        body = self.query()
        if self.draws.random() < 0.3:
            body = {"queries": [self.query() for _ in range(self.draws.randint(1, 3))]}
        more = {
            "shots": self.draws.choice((0, 1, 2, 4, "auto", 64)),
            "pool": self.draws.sample(self.ids, 5),
            "max_tokens": self.draws.choice((1, 40, 200, 10**9)),
            "unfamiliar": self.draws.choice(("flag", "fallback")),
            "messages": self.draws.random() < 0.5,
            "images": self.draws.choice(("id", "data_url")),
        }
        return "/select", body | {key: value for key, value in more.items() if self.draws.random() < 0.3}

    def query(self) -> dict[str, Any]:
        body: dict[str, Any] = {"question": self.draws.choice(("what is it?", "?", "é" * 100, "who keeps it?"))}
        if self.draws.random() < 0.6:
            body["image"] = self.image()
        if self.draws.random() < 0.2:
            body["exclude"] = self.draws.sample(self.ids, 3)
        return body

    def index(self) -> tuple[str, Any]:
        body: dict[str, Any] = {}
        if self.draws.random() < 0.7:
            self.added += 1
            number = self.draws.randint(max(1, self.added - 2), self.added)  # perhaps in the bank, or removed from it
            body["add"] = [{"id": f"new {number}", "question": "q?", "answers": ["a"]}]
            if self.draws.random() < 0.5:
                body["add"][0]["image"] = self.image()
        if self.draws.random() < 0.5:
            body["remove"] = [self.draws.choice(("nobody", f"new {max(1, self.added - 1)}"))]
        return "/index", body

    def chat(self) -> tuple[str, Any]:
        parts: list[Any] = [{"type": "text", "text": "what is it?"}]
        for _ in range(self.draws.randint(0, 2)):
            parts.insert(0, {"type": "image_url", "image_url": {"url": self.image()}})
        messages: list[Any] = [{"role": "user", "content": parts if self.draws.random() < 0.8 else "what is it?"}]
        if self.draws.random() < 0.3:
            messages = [{"role": "system", "content": "be brief"}, *messages, {"role": "assistant", "content": "yes"}]
        return "/v1/chat/completions", {"model": "m", "messages": messages, "stream": self.draws.random() < 0.2}

    def image(self) -> str:
        size = self.draws.choice(((1, 1), (8, 6), (60, 1), (300, 5), (64, 64)))
        form, mode, buffer = self.draws.choice(FORMATS), self.draws.choice(MODES), io.BytesIO()
        try:
            Image.new(mode, size).save(buffer, form)
        except (OSError, KeyError, ValueError):
            Image.new("RGB", size).save(buffer, "PNG")
        content = buffer.getvalue()
        if self.draws.random() < 0.4:
            content = self.damage(content)
        text = base64.b64encode(content).decode()
        kind = self.draws.choice(("image/png", "image/jpeg", "text/html", ""))
        return self.draws.choice((text, f"data:{kind};base64,{text}", f"data:{kind};charset=x;base64,{text}"))

    def damage(self, content: bytes) -> bytes:
        spoiled = bytearray(content)
        for _ in range(self.draws.choice((1, 1, 3, 20))):
            place = self.draws.randrange(len(spoiled) + 1)
            match self.draws.randrange(4):
                case 0:
                    spoiled[place : place + 1] = bytes([self.draws.randrange(256)])
                case 1:
                    del spoiled[place : place + self.draws.choice((1, 4, 1000))]
                case 2:
                    spoiled[place:place] = self.draws.randbytes(self.draws.choice((1, 4, 100)))
                case 3:
                    spoiled[place:place] = spoiled[: self.draws.choice((1, 16, 200))]
        return bytes(spoiled)

    def spoil(self, body: Any) -> Any:
        """Change one value somewhere in a body, or a key."""
        spoiled = copy.deepcopy(body)
        value, replace = spoiled, None
        while isinstance(value, dict | list) and value and (replace is None or self.draws.random() < 0.7):
            key = self.draws.choice(list(value)) if isinstance(value, dict) else self.draws.randrange(len(value))
            replace, value = (value, key), value[key]
        if replace is None:
            return self.draws.choice(ODD)
        holder, key = replace
        match self.draws.randrange(4):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[self.draws.choice(("x", "", "id", "messages", "image", "\ud800"))] = self.draws.choice(ODD)
            case 2 if isinstance(holder, list):
                holder.extend([value] * self.draws.choice((1, 70)))
            case _:
                holder[key] = self.draws.choice(ODD)
        return spoiled

    def http(self, path: str, content: bytes) -> tuple[bytes, bool]:
        method, kind, length, whole = "POST", "application/json", str(len(content)), True
        more = []
        if self.draws.random() < 0.2:
            more.append(f"x-shotsmith-shots: {self.draws.choice(('1', '3', 'auto', '-1', 'ü', '99', ''))}")
        if self.draws.random() < 0.15:
            match self.draws.randrange(6):
                case 0:
                    method = self.draws.choice(("GET", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW", "post"))
                case 1:
                    path = self.draws.choice(
                        ("/", "/%00", "/select/..", "/v1", "/metrics", "/healthz", "//select", "*", "/docs")
                    )
                case 2:
                    kind = self.draws.choice(("", "text/plain", "application/json; charset=utf-7", "a/b/c", "ü"))
                case 3:
                    length, whole = self.draws.choice((str(len(content) + 5), "-1", "x", "1" * 50, "")), False
                case 4:
                    more.append("transfer-encoding: chunked")
                    length, whole = "", False
                case 5:
                    more.append(
                        self.draws.choice(
                            ("host: evil.example", "authorization: x", "expect: 100-continue", "x" * 9000)
                        )
                    )
        head = [f"{method} {path} HTTP/1.1", "host: localhost", f"content-type: {kind}", "connection: close", *more]
        if length:
            head.append(f"content-length: {length}")
        return "\r\n".join([*head, "", ""]).encode() + content, whole


def ask(place: tuple[str, int], content: bytes, seconds: float) -> bytes:
    """What is answered within some seconds; what came until then where it is not all."""
    answer = b""
    with socket.create_connection(place) as connection:
        connection.settimeout(seconds)
        try:
            connection.sendall(content)
            while part := connection.recv(65536):
                answer += part
        except (TimeoutError, ConnectionError):
            pass
    return answer


def fuzz(url: str, requests: Requests, count: int, tell: Callable[[int], None] = lambda _number: None) -> Outcome:
    """Send requests one after another."""
    place, outcome = (urlsplit(url).hostname or "", urlsplit(url).port or 0), Outcome()
    for number in range(count):
        content, whole = requests.draw()
        answer = ask(place, content, 30.0 if whole else 0.1)
        words = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").split(b"\r\n")[0].split()
        status = words[1].decode() if len(words) > 1 else ""
        if not status and not whole:
            outcome.unanswered += 1
            continue
        outcome.statuses[status or "none"] += 1
        if not (status == "200" or status.startswith("4")):
            outcome.failures.append(f"request {number}: {content[:2000]!r} -> {answer[:500]!r}")
        tell(number)
    return outcome


async def complete(request: Request) -> JSONResponse:
    json.loads(await request.body())
    return JSONResponse({"choices": []})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    stub = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    with tempfile.TemporaryDirectory() as name, running(stub) as upstream:
        bank, _ = draw_world(Path(name))
        selector = small_selector(bank)
        valid = {"question": "what is it?", "pool": list(selector.bank.ids), "shots": 3}
        before = selector.select(question="what is it?", pool=selector.bank.ids, shots=3).ids
        requests = Requests(options.seed, list(selector.bank.ids))
        started = time.perf_counter()
        with running(create_app(selector, ServeSettings(upstream=f"{upstream}/v1"))) as url:
            outcome = fuzz(url, requests, options.requests)
            place = (urlsplit(url).hostname or "", urlsplit(url).port or 0)
            content = json.dumps(valid).encode()
            head = (
                f"POST /select HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {len(content)}\r\n"
            )
            answer = ask(place, head.encode() + b"content-type: application/json\r\n\r\n" + content, 30.0)
    after = json.loads(answer.partition(b"\r\n\r\n")[2])["selections"][0]["ids"]
    print("\n".join(outcome.failures[:20]))
    figures = {f"status_{status}": count for status, count in sorted(outcome.statuses.items())}
    figures |= {"failures": len(outcome.failures), "unanswered": outcome.unanswered}
    figures["seconds"] = round(time.perf_counter() - started)
    print("\n".join(f"{name}: {value}" for name, value in figures.items()))
    if options.json:
        print(json.dumps({"figures": figures, "equal": not outcome.failures and after == list(before)}))


if __name__ == "__main__":
    main()
