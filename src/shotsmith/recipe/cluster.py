"""Settings of a Ray cluster: workers that embed, and workers that answer."""

from __future__ import annotations

from pydantic import Field

from shotsmith.recipe.base import Count, NonNegative, Positive, Settings
from shotsmith.recipe.urls import ServerUrl


class ClusterSettings(Settings):
    """Workers on a Ray cluster, each with the encoder."""

    address: str | None = None
    """Where the cluster is: 'auto' on one of its machines, else host:port; by default Ray starts on this machine."""
    workers: Count = 2
    """How many at a time."""
    cpus_per_worker: NonNegative = 1.0
    """CPUs that Ray sets aside for each."""
    gpus_per_worker: NonNegative = 0.0
    """GPUs that Ray sets aside for each, and all it sees of them; a share puts several workers on one."""


class RaySettings(ClusterSettings):
    """Workers on a Ray cluster, each with the local VLM, or each a client of a server where `vlm.server` names one."""

    servers: tuple[ServerUrl, ...] = Field(default=(), repr=False)
    """Servers of the same model in the place of `vlm.server.url`; the workers take them in turn."""
    max_deaths: Count = 3
    """How often in a row the same prompts may lose their worker, or a worker may die before it is ready."""
    start_seconds: Positive = 900.0
    """Longest time without any worker that is ready: none has a place on the cluster, or all are still loading."""
