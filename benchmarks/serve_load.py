"""How fast the server selects: `python benchmarks/serve_load.py [SELECTOR] [--seconds S] [--minutes M] [--json]`.

The server is a process of its own, asked over loopback by 1, 8 and 64 clients that each send their next query when the
last is answered; every query has an image. Measured are selections per second and the time of a request (p50, p99),
with waiting requests selected for together and each alone. `equal` says that every query got the same demonstrations
each time. SELECTOR is what `shotsmith serve` takes; by default similarity search over a small world.

`--minutes` is a soak instead: 8 clients for so long, and the server's resident memory after the first tenth of the time
and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
from small_selector import body_of, draw_world, small_selector

CLIENTS = (1, 8, 64)
BATCHES = {"together": 16, "alone": 1}
BANK = 2000
WARM_UP = 1.0


@dataclass
class Load:
    """What some clients saw."""

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    chosen: dict[int, str] = field(default_factory=dict)
    """Ids by number of the query."""
    faults: list[str] = field(default_factory=list)

    def figures(self, name: str) -> dict[str, float]:
        milliseconds = 1000 * np.array(self.times or [np.nan])
        return {
            f"{name}/per_second": round(len(self.times) / self.seconds, 1),
            f"{name}/p50_ms": round(float(np.percentile(milliseconds, 50)), 2),
            f"{name}/p99_ms": round(float(np.percentile(milliseconds, 99)), 2),
        }


@contextlib.contextmanager
def serving(selector: str, batch: int) -> Iterator[tuple[str, int]]:
    """The URL of a server, and its process id."""
    words = [sys.executable, "-m", "shotsmith", "serve", selector, "--port", "0", "--json", "--batch", str(batch)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"], process.pid
    finally:
        process.terminate()
        process.wait(60)


async def load(url: str, bodies: list[bytes], clients: int, seconds: float) -> Load:
    """Ask from so many connections at a time."""
    found, end = Load(), time.perf_counter() + seconds
    host, port = urlsplit(url).hostname, urlsplit(url).port

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection(host, port, limit=2**20)
        query = number
        while (begun := time.perf_counter()) < end:
            query = (query + 7) % len(bodies)
            writer.write(bodies[query])
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            content = await reader.readexactly(length)
            if not head.startswith(b"HTTP/1.1 200"):
                found.faults.append(content.decode())
                continue
            found.times.append(time.perf_counter() - begun)
            ids = str(json.loads(content)["selections"][0]["ids"])
            if found.chosen.setdefault(query, ids) != ids:
                found.faults.append(f"query {query}: {ids}, and before {found.chosen[query]}")
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(clients)))
    found.seconds = time.perf_counter() - started
    return found


def requests_of(folder: Path) -> tuple[str, list[bytes]]:
    """A saved selector over a small world, and requests with queries of it."""
    bank, queries = draw_world(folder, BANK)
    saved = small_selector(bank).save(folder / "selector")
    return str(saved), [request_of(body_of(query)) for query in queries]


def request_of(body: dict[str, str]) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"POST /select HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(content)}"
    )
    return head.encode() + b"\r\n\r\n" + content


def resident(process: int) -> float:
    """Resident memory of a process in MiB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the server has ended")


def speeds(selector: str, bodies: list[bytes], seconds: float) -> tuple[dict[str, float], list[str]]:
    figures: dict[str, float] = {}
    faults: list[str] = []
    chosen: dict[int, str] = {}
    for name, batch in BATCHES.items():
        with serving(selector, batch) as (url, _):
            asyncio.run(load(url, bodies, 8, WARM_UP))
            for clients in CLIENTS:
                found = asyncio.run(load(url, bodies, clients, seconds))
                figures |= found.figures(f"{name}/{clients}")
                faults += found.faults
                faults += [
                    f"query {one}"
                    for one in found.chosen
                    if chosen.setdefault(one, found.chosen[one]) != found.chosen[one]
                ]
    return figures, faults


def soak(selector: str, bodies: list[bytes], minutes: float) -> tuple[dict[str, float], list[str]]:
    with serving(selector, 16) as (url, process):
        first = asyncio.run(load(url, bodies, 8, 6 * minutes))
        start = resident(process)
        rest = asyncio.run(load(url, bodies, 8, 54 * minutes))
        end = resident(process)
    figures = rest.figures("soak") | {"start_mib": round(start, 1), "end_mib": round(end, 1)}
    figures["requests"] = len(first.times) + len(rest.times)
    return figures, first.faults + rest.faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("selector", nargs="?", help="a run, or an exported selector")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--minutes", type=float, help="soak for so long instead")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        small, bodies = requests_of(Path(name))
        selector = options.selector or small
        if options.minutes is not None:
            figures, faults = soak(selector, bodies, options.minutes)
        else:
            figures, faults = speeds(selector, bodies, options.seconds)
    print("\n".join([*faults[:20], *(f"{name}: {value}" for name, value in figures.items())]))
    if options.json:
        print(json.dumps({"figures": figures, "equal": not faults}))


if __name__ == "__main__":
    main()
