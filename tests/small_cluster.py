"""VLMs for workers on a cluster: they write down what they answer, and die, wait or fail where a question says so."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

import shotsmith
from shotsmith.embeddings.on_cluster import embed_part
from shotsmith.errors import DataError, InputError, VLMError
from shotsmith.recipe import VLMSettings
from shotsmith.records import Completion, Example, Failure, Request

MEMORY = 80_000_000


@contextmanager
def two_nodes() -> Iterator[Cluster]:
    """Two nodes of one CPU each, and this process connected to the first."""
    with pytest.MonkeyPatch.context() as patch:
        sources = Path(__file__).parent, Path(shotsmith.__file__).parents[1]
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, sources)))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # by default workers wait until nothing else wants the CPU
        head = {"num_cpus": 1, "object_store_memory": MEMORY, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        add_node(cluster)
        ray.init(cluster.address, logging_level=logging.ERROR, log_to_driver=False)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def add_node(cluster: Cluster) -> None:
    cluster.add_node(num_cpus=1, object_store_memory=MEMORY)


def lose_power(cluster: Cluster, pids: Mapping[int, str]) -> None:
    """Remove the second node. Its own processes go, and so do those of these ids that run on the node named there."""
    (node,) = cluster.worker_nodes
    cluster.remove_node(node, allow_graceful=False)
    for pid, place in pids.items():
        if place == node.node_id:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def holding_part(items: Sequence[str], settings: Any, kind: Any, identity: str, folder: Path) -> Any:
    """As embed_part, after writing down in `folder` where it is computed, and waiting for a file there."""
    place = folder / str(os.getpid())
    place.with_suffix(".begins").write_text(ray.get_runtime_context().get_node_id())
    place.with_suffix(".begins").replace(place.with_suffix(".holds"))
    while not (folder / "go").exists():
        time.sleep(0.01)
    return embed_part(items, settings, kind, identity, folder)


class Diary:
    """A VLM of a few prompts a part. `lora` of its settings is the folder where it keeps its notes."""

    identity = "diary"
    batch_tokens = 80

    def __init__(self, settings: VLMSettings) -> None:
        self.folder = Path(str(settings.lora))
        if (self.folder / "no start").exists():
            raise VLMError("cannot start today")

    def length(self, request: Request) -> int:
        return 1

    def complete(self, requests: list[Request]) -> list[Completion | Failure]:
        for request in requests:
            self.obey(request.query.question)
        with (self.folder / f"{os.getpid()}.log").open("a") as file:
            file.writelines(f"{request.query.id}\n" for request in requests)
        return [answer_to(request) for request in requests]

    def obey(self, question: str) -> None:
        word, _, rest = question.partition(" ")
        if word == "die" and (rest == "always" or note(self.folder / f"died at {rest}")):
            time.sleep(0.3)  # what was answered before is on its way back, and is had once it has come there
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "fail" and note(self.folder / f"failed at {rest}"):
            raise VLMError("out of order")
        if word == "wrong":
            raise DataError("is no image", file=rest, row=7)
        if word == "hold":
            unfinished = self.folder / f"{os.getpid()}.begins"
            unfinished.write_text(ray.get_runtime_context().get_node_id())
            unfinished.replace(unfinished.with_suffix(".holds"))
            while not (self.folder / "go").exists():
                time.sleep(0.01)


def load_diary(settings: VLMSettings) -> Diary:
    if settings.lora == "missing":
        raise InputError("no such adapter", file=settings.lora, field="vlm.lora")
    return Diary(settings)


def note(file: Path) -> bool:
    """Whether this is the first time."""
    try:
        file.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def asked(questions: dict[int, str], count: int) -> list[Request]:
    """Prompts numbered from 0, with the questions that are given by number."""
    return [Request(Example(n, (), n, questions.get(n, f"what is number {n}?"), ("red",))) for n in range(count)]


def answer_to(request: Request) -> Completion:
    return Completion(f"answer {request.query.id}")


def answered_by(folder: Path) -> dict[int, list[int]]:
    """What each process has answered, by its id."""
    return {int(file.stem): [int(line) for line in file.read_text().split()] for file in folder.glob("*.log")}


def times_answered(folder: Path) -> Counter[int]:
    return Counter(number for numbers in answered_by(folder).values() for number in numbers)
