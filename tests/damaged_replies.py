"""Replies of servers, damaged at random in fields, bytes, headers and statuses; what a client makes of them."""

from __future__ import annotations

import copy
import functools
import gzip
import json
import math
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import httpx2
from stub_server import completion

from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.errors import InputError, ShotsmithError
from shotsmith.files import is_utf8
from shotsmith.recipe import VLMSettings
from shotsmith.records import Completion, Example, Failure, Request
from shotsmith.vlms.load import load_vlm

Raw = tuple[int, dict[str, str], bytes]
"""Status, headers and body of a reply."""

MODELS = {"object": "list", "data": [{"id": "tiny", "object": "model", "root": "org/tiny", "revision": "abc"}]}
HEADERS = {"Content-Type": "application/json"}
BAD, WORDS = "the bad one", {"red": 5, "dark red": 7}
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 7, 2**70, -(10**400), 1.5, -0.5, float("nan"), float("inf"), -float("inf")),
    *("", "red", "7", "NaN", "\ud800", "\x00", "\x1b[31m", "x" * 5000, "<0xE6>", "\ufffd", "\u2581", "stop", "length"),
    *([], [7], [[]], [None], {}, {"a": 1}, {"logprob": -1.0}, {"1": {"logprob": -1.0, "decoded_token": ""}}),
)
DATES = ("Fri, 45 Nov 2026 99:99:99 GMT", "Fri, 31 Dec 9999 23:59:59 -9999", "1e400", "-1", "soon", "nan", "\x7f")
STATUSES = (200, 200, 200, 201, 204, 299, 302, 307, 400, 402, 403, 404, 408, 413, 418, 429, 500, 503, 599)


@dataclass(frozen=True)
class Outcome:
    """What became of the damaged replies."""

    failures: int
    """Prompts that failed."""
    answers: int
    """Prompts that were answered all the same: the damage was elsewhere."""
    errors: int
    """Servers that could not be used."""
    slowest: float
    """Seconds."""


def fuzz(seeds: Iterable[int], folder: Path) -> Outcome:
    """Each seed damages the replies to one prompt of three, or the list of models: an error of any kind but ours is
    raised, and so is any harm to the other prompts."""
    failures = answers = errors = 0
    slowest = 0.0
    requests = [Request(_example(n, text), (), tuple(WORDS)) for n, text in enumerate(("one", BAD, "three"))]
    for seed in seeds:
        started = time.perf_counter()
        try:
            results = _asked(seed, requests, folder)
        except ShotsmithError as error:
            assert "\n" not in str(error) and is_utf8(str(error)), f"seed {seed}: {error!r}"
            errors += 1
        else:
            failed = _check(results, seed)
            failures, answers = failures + failed, answers + (not failed)
        slowest = max(slowest, time.perf_counter() - started)
    return Outcome(failures, answers, errors, slowest)


def _check(results: Sequence[Completion | Failure], seed: int) -> bool:
    first, bad, last = results
    good = Completion("red", {"red": -5.0, "dark red": -12.0})
    assert first == last == good, f"seed {seed}: a good answer is lost: {first}, {last}"
    if isinstance(bad, Failure):
        assert bad.reason and "\n" not in bad.reason and is_utf8(bad.reason) and len(bad.reason) < 600, f"seed {seed}"
        return True
    assert bad.text is not None and is_utf8(bad.text), f"seed {seed}"
    assert set(bad.log_probs) == set(WORDS) and all(map(_is_log_prob, bad.log_probs.values())), f"seed {seed}: {bad}"
    return False


def _is_log_prob(value: float) -> bool:
    return math.isfinite(value) and value <= 1e-4


def _asked(seed: int, requests: Sequence[Request], folder: Path) -> list[Completion | Failure]:
    rng = random.Random(seed)
    is_list = rng.random() < 0.1

    def reply(request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            raw = _raw(MODELS)
            return _response(_damaged(MODELS, rng) if is_list else raw)
        body = json.loads(request.content)
        told = _reply_to(body)
        return _response(_damaged(told, rng) if BAD in json.dumps(body) and not is_list else _raw(told))

    client = functools.partial(httpx2.AsyncClient, transport=httpx2.MockTransport(reply))
    server = {"url": "http://stub/v1", "kind": "vllm", "retries": 0, "reply_megabytes": 0.5}
    store = folder / "completions.sqlite"
    with (
        mock.patch("shotsmith.vlms.remote.connection.httpx2.AsyncClient", client),
        Store.open(store) as opened,
    ):
        vlm = load_vlm(VLMSettings.model_validate({"server": server}))
        assert is_utf8(vlm.identity), f"seed {seed}"
        if not vlm.identity.startswith("server tiny "):
            raise InputError("the list of models names another one, whose replies these are not")
        vlm.identity += f" {seed}"  # nothing is known from another seed
        return Collector(opened, vlm).ask(requests, "fuzz")


def _reply_to(body: Any) -> dict[str, Any]:
    ids = [1, 9, 2]
    last = body["messages"][-1]
    if last["role"] == "assistant":
        ids += {"red": [5], "dark red": [7, 5]}[last["content"]]
    reply = completion("red", "length" if body["max_tokens"] == 1 else "stop") | {"prompt_token_ids": ids}
    if "prompt_logprobs" in body:
        texts = {1: "<s>", 9: "user", 2: "\n", 5: "red", 7: "dark"}
        told = [{str(one): {"logprob": -float(one), "rank": 1, "decoded_token": texts[one]}} for one in ids[1:]]
        reply["prompt_logprobs"] = [None, *told]
    return reply | {"usage": {"prompt_tokens": len(ids), "completion_tokens": 1}}


def _damaged(reply: Any, rng: random.Random) -> Raw:
    return rng.choice(_DAMAGES)(copy.deepcopy(reply), rng)


def _field(reply: Any, rng: random.Random) -> Raw:
    for _ in range(rng.choice((1, 1, 1, 3))):
        holder, key = rng.choice(list(_places(reply)))
        if rng.random() < 0.2:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    return _raw(reply)


def _bytes(reply: Any, rng: random.Random) -> Raw:
    content = bytearray(json.dumps(reply).encode())
    for _ in range(rng.randrange(1, 6)):
        place = rng.randrange(len(content) or 1)
        kind = rng.randrange(4)
        if kind == 0:
            content = content[:place]
        elif kind == 1:
            content[place:place] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        elif kind == 2:
            del content[place : place + rng.randrange(1, 20)]
        elif content:
            content[place % len(content)] = rng.randrange(256)
    return 200, HEADERS, bytes(content)


def _nested(reply: Any, rng: random.Random) -> Raw:
    depth = rng.choice((10, 900, 5000, 200_000))
    opened, closed = rng.choice(((b"[", b"]"), (b'{"error":', b"}"), (b'{"choices":[', b"]}")))
    return rng.choice(STATUSES), HEADERS, opened * depth + b"1" + closed * depth


def _status(reply: Any, rng: random.Random) -> Raw:
    told = rng.choice(({"error": {"message": rng.choice(VALUES)}}, {"detail": [{"msg": rng.choice(VALUES)}]}, reply))
    _, headers, content = _raw(rng.choice((told, {"error": rng.choice(VALUES)}, rng.choice(VALUES))))
    more = {"Retry-After": rng.choice(DATES), "Location": "http://\u00e9".encode().decode("latin-1")}
    return rng.choice(STATUSES), headers | more, content


def _packed(reply: Any, rng: random.Random) -> Raw:
    _, headers, content = _raw(reply)
    packed = gzip.compress(content)
    kind = rng.randrange(5)
    if kind == 0:
        packed = gzip.compress(bytes(rng.choice((10**5, 10**6, 10**7))))
    elif kind == 1:
        packed = packed[: rng.randrange(len(packed))]
    elif kind == 2:
        place = rng.randrange(len(packed))
        packed = packed[:place] + bytes([rng.randrange(256)]) + packed[place + 1 :]
    encoding = rng.choice(("gzip", "gzip", "gzip", "deflate", "br", "gzip, gzip", "\xff"))
    lengths = {} if rng.random() < 0.7 else {"Content-Length": rng.choice(("0", "-1", "x", "9" * 30, "10000000"))}
    return 200, headers | {"Content-Encoding": encoding} | lengths, packed


_DAMAGES: tuple[Callable[[Any, random.Random], Raw], ...] = (_field, _field, _field, _bytes, _nested, _status, _packed)


def _places(value: Any) -> Iterable[tuple[Any, Any]]:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def _raw(value: Any) -> Raw:
    return 200, HEADERS, json.dumps(value).encode()


def _response(raw: Raw) -> httpx2.Response:
    status, headers, content = raw
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return httpx2.Response(status, headers=encoded, stream=_Chunks(content))


class _Chunks(httpx2.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), 4096):
            yield self.content[start : start + 4096]


def _example(number: int, question: str) -> Example:
    return Example(number, (), number, question, ("red",))
