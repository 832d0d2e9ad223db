"""Many VLMs on a Ray cluster that answer as one: local ones, or clients of servers.

A call of `complete` is cut into parts, which depend on nothing but its prompts and the settings: not on which worker
is free or dies. A part's composition decides the last bits of its results, as a batch's does (`completions.collect`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shotsmith.clusters import check_ray, connect
from shotsmith.errors import ShotsmithError
from shotsmith.recipe import VLMSettings
from shotsmith.recipe.cluster import RaySettings
from shotsmith.records import Completion, Failure, Request
from shotsmith.vlms.pretrained.lengths import load_lengths
from shotsmith.vlms.protocol import VLM
from shotsmith.vlms.remote.worker import Worker
from shotsmith.vlms.work import Work

if TYPE_CHECKING:
    from shotsmith.vlms.remote.crew import Crew

_ROUNDS = 4
"""Parts for each worker in a call of `complete`: more of them, and less is waited for the last."""
_QUEUED = 2
"""Parts that a worker with a local VLM has in hand: one under way, and one so that it need not wait."""


class ClusterVLM:
    """Has the workers of a crew answer; fulfils `shotsmith.vlms.protocol.VLM` with the identity of their VLM."""

    def __init__(
        self,
        crew: Crew,
        workers: int,
        lengths: Callable[[Request], int] | None,
        most_tokens: int | None = None,
        *,
        gives_log_probs: bool = True,
    ) -> None:
        """`lengths` counts the tokens of a prompt; None where the workers' servers make batches of their own."""
        ready = crew.ready()
        self.counts_tokens = lengths is not None
        self.gives_log_probs = gives_log_probs
        self.most_tokens = most_tokens
        self.identity = ready.identity
        self.batch_tokens = workers * ready.batch_tokens * (1 if lengths is None else _ROUNDS)
        self.work = Work()
        """What all workers have done."""
        self._crew = crew
        self._workers = workers
        self._part_tokens = ready.batch_tokens if lengths is not None else 1
        self._lengths = lengths
        self._error: ShotsmithError | None = None

    def length(self, request: Request) -> int:
        """Tokens of the prompt, as the workers' VLM counts them; 1 where that is a server's."""
        return 1 if self._lengths is None else self._lengths(request)

    def complete(self, requests: Sequence[Request]) -> list[Completion | Failure]:
        """Answer one batch, in order.

        Where the workers cannot go on and something of the batch has been answered, that is returned, with failures
        for the rest: so it can be stored, and the next call raises. Raises VLMError there if nothing has been
        answered, and DataError for an image that cannot be decoded.
        """
        if self._error is not None:
            raise self._error
        parts = cut(list(map(self.length, requests)), self._part_tokens, self._workers)
        answered, self._error = self._crew.answer([[requests[row] for row in part] for part in parts])
        if self._error is not None and not answered:
            raise self._error
        results: list[Completion | Failure] = []
        for number, part in enumerate(parts):
            if number in answered:
                results.extend(answered[number].results)
                self.work.add(answered[number].work)
            else:
                results.extend([Failure(str(self._error))] * len(part))
        return results


def cut(lengths: Sequence[int], part_tokens: int, workers: int) -> list[range]:
    """Rows that stand together, as parts of equal size, as many for each worker.

    No part has more than `part_tokens`, counted as if all rows were padded to the longest, unless it is a single row.
    """
    count = len(lengths)
    most = max(part_tokens // max(lengths, default=1), 1)
    rounds = -(-count // (most * workers))
    parts = min(rounds * workers, count)
    return [range(count * part // parts, count * (part + 1) // parts) for part in range(parts)]


def load_cluster(settings: VLMSettings, ray_settings: RaySettings, load: Callable[[VLMSettings], VLM]) -> ClusterVLM:
    """Connect to the cluster or start one here, and start the workers, each of which loads its VLM by `load`.

    Raises InputError where Ray is not installed, the cluster is not there, or the recipe's VLM is not; VLMError where
    no worker can be started.
    """
    check_ray("vlm.ray")
    lengths = None if settings.server is not None else load_lengths(settings)
    connect(ray_settings.address, "vlm.ray")
    from shotsmith.vlms.remote.crew import Crew

    crew = Crew(
        lambda number: _hire(settings, ray_settings, load, number),
        ray_settings.workers,
        in_flight=_in_flight(settings),
        max_deaths=ray_settings.max_deaths,
        start_seconds=ray_settings.start_seconds,
    )
    most_tokens = None if lengths is None else lengths.most_tokens
    return ClusterVLM(crew, ray_settings.workers, lengths, most_tokens, gives_log_probs=settings.gives_log_probs)


def settings_of_worker(settings: VLMSettings, ray_settings: RaySettings, number: int) -> VLMSettings:
    """What the worker with this number loads: the local VLM, or one of the servers."""
    server = settings.server
    if server is not None and ray_settings.servers:
        url = ray_settings.servers[number % len(ray_settings.servers)]
        server = server.model_copy(update={"url": url})
    return settings.model_copy(update={"ray": None, "server": server})


def _in_flight(settings: VLMSettings) -> int:
    """A server is given its prompts one by one, so that each answer is had at once and a death loses few."""
    return _QUEUED if settings.server is None else settings.server.concurrency


def _hire(settings: VLMSettings, ray_settings: RaySettings, load: Callable[[VLMSettings], VLM], number: int) -> Any:
    import ray

    actor = ray.remote(Worker).options(
        num_cpus=ray_settings.cpus_per_worker,
        num_gpus=ray_settings.gpus_per_worker,
        max_concurrency=1 if settings.server is None else settings.server.concurrency,
        max_restarts=0,
        max_task_retries=0,
        scheduling_strategy="SPREAD",
    )
    return actor.remote(settings_of_worker(settings, ray_settings, number), load, Path.cwd())
