"""Settings of the frozen models and of what is asked of them before any training."""

from __future__ import annotations

from typing import Literal

from shotsmith.recipe.base import Count, Natural, Positive, Settings, Shots


class ServerSettings(Settings):
    """An OpenAI-compatible server that runs the VLM."""

    url: str
    """Where its API begins, for example http://localhost:8000/v1."""
    model: str | None = None
    """Name under which the server has the model; may be left out where it has only one."""
    kind: Literal["openai", "vllm"] = "openai"
    """'openai' sends what any server takes; 'vllm' adds image ids and asks for log-probabilities of given answers."""
    api_key_env: str | None = None
    """Environment variable that holds the key; none is sent by default."""
    concurrency: Count = 32
    """Requests under way at a time."""
    timeout_seconds: Positive = 120.0
    """Deadline of one try of a request."""
    retries: Natural = 6
    """Further tries of a request that met a full or failing server."""


class VLMSettings(Settings):
    """The frozen VLM that answers."""

    path: str = "builtin"
    """'builtin' for the tiny VLM in the package; else a folder or hub id of a transformers image-text-to-text model."""
    max_new_tokens: Count = 5
    """Longest generated answer, in tokens (greedy decoding)."""
    batch_tokens: Count = 8192
    """Prompt tokens in one forward pass, padding included."""
    device: str = "auto"
    """'auto' (cuda if there is one), 'cpu', 'cuda', 'cuda:1', ..."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Weights and arithmetic; 'auto' is what the checkpoint says."""
    server: ServerSettings | None = None
    """A server to ask instead; `path`, `batch_tokens`, `device` and `dtype` then mean nothing."""


class EncoderSettings(Settings):
    """The frozen image + text encoder whose embeddings the policy and the similar selectors see."""

    path: str = "builtin"
    """'builtin' for the tiny CLIP in the package; else a folder or hub id of a transformers CLIP model."""
    batch_size: Count = 256
    """Images (or texts) in one forward pass."""


class PoolSettings(Settings):
    """The candidates each query may be shown."""

    sampler: Literal["random", "image_similar", "text_similar", "mixed"] = "random"
    """How a pool is drawn from the train split."""
    size: Count = 64
    """Candidates per query."""
    seed: Natural = 0
    """Seed of the random sampler."""


class BeamSettings(Settings):
    """Beam search over sequences scored by InfoScore: the data of supervised training."""

    queries: Count = 200
    """Training queries that are searched (the first of them)."""
    width: Count = 5
    """Sequences kept after each step."""
    shots: Shots = 2
    """Length of the sequences searched."""
