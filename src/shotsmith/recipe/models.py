"""Settings of the frozen models and of what is asked of them before any training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from shotsmith.plugins import Table
from shotsmith.recipe.base import Count, Natural, NonNegative, Settings, Shots
from shotsmith.recipe.cluster import RaySettings
from shotsmith.recipe.servers import BACKENDS, BackendSettings, ServerSettings

Layout = Literal["single_turn", "multi_turn", "plain"]

DECODING: Table[Mapping[str, object]] = Table(
    "shotsmith.decodings", Mapping, {"greedy": {"max_new_tokens": 5, "min_new_tokens": 0, "num_beams": 1}}
)
"""Named decodings; `decoding: NAME` in the section `vlm` stands for these settings."""


class PromptSettings(Settings):
    """How demonstrations and query are put to the VLM."""

    template: str = "qwen"
    """The wording, and where an answer ends: a template of the package by its name, or the path of a YAML file."""
    layout: Layout = "single_turn"
    """One user turn for all; a user and an assistant turn for each demonstration; or text without any chat template."""
    system: str | None = None
    """A system prompt; none of our own by default (a chat template may have one)."""
    max_tokens: Count | None = None
    """Most tokens of a prompt, images included, as the VLM's own processor counts them. Where a prompt has more, the
    demonstrations farthest from the query are left out until it fits. Null: prompts that exceed the VLM's context are
    an error before anything is asked."""
    max_images: Count | None = None
    """Most images of a prompt, those of the query included; demonstrations are left out as for `max_tokens`."""
    over_budget: Literal["leave_out", "show_without_image"] = "leave_out"
    """What becomes of the farthest demonstrations where a budget binds: they are left out, or first shown without their
    images, one after the other, and left out only where that does not suffice."""

    @property
    def has_budget(self) -> bool:
        """Whether prompts may have to be shortened."""
        return self.max_tokens is not None or self.max_images is not None


class VisionCacheSettings(Settings):
    """Where the local VLM keeps vision features on disk, so that later runs need not compute them again."""

    folder: Path | None = None
    """A folder that any number of runs may share; by default one beside the completions store."""
    gigabytes: NonNegative = 4.0
    """Most that it holds; the least recently used go first, and 0 keeps none."""


class VLMSettings(Settings):
    """The frozen VLM that answers. `decoding: NAME` gives the settings of DECODING; others go on top."""

    path: str = "builtin"
    """'builtin' for the tiny VLM in the package; else a folder or hub id of a transformers image-text-to-text model,
    or of a causal language model where the data have no images."""
    max_new_tokens: Count = 5
    """Longest generated answer, in tokens."""
    min_new_tokens: Natural = 0
    """Tokens before the answer may end."""
    num_beams: Count = 1
    """Beams of the search for the answer; 1 is greedy decoding."""
    length_penalty: Annotated[float, Field(ge=-1e12, le=1e12)] = 1.0
    """Beams are compared by log-probability over length to this power: 0 compares sums, more favours length."""
    prompt: PromptSettings = PromptSettings()
    batch_tokens: Count | None = None
    """Most tokens that a pass sees, padding and shared beginnings included; None takes 8,192, or what suits the GPU."""
    device: str = "auto"
    """'auto' (cuda if there is one), 'cpu', 'cuda', 'cuda:1', ..."""
    device_map: Literal["auto", "balanced", "balanced_low_0", "sequential"] | None = None
    """Spread one model over all GPUs, and the CPU where they do not suffice; `device` then means nothing."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Weights and arithmetic; 'auto' is bfloat16 on CUDA, else what the checkpoint says."""
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    """Who computes attention: PyTorch's fused kernels, plain arithmetic, or the package flash-attn."""
    lora: str | None = None
    """A folder with a LoRA adapter of peft, merged into the weights."""
    vision_cache: VisionCacheSettings = VisionCacheSettings()
    server: ServerSettings | None = None
    """A server to ask instead; all but `prompt`, `max_new_tokens` and `ray` then means nothing."""
    backend: BackendSettings | None = None
    """A backend that runs the VLM instead, by its name in a table; it says which settings of this section it reads."""
    ray: RaySettings | None = None
    """Workers on a Ray cluster that answer instead of this process, each with the VLM that the other settings say."""

    @property
    def local_model(self) -> str | None:
        """Path or hub id of the model whose files can be read here; None where a server or a backend has the model."""
        return self.path if self._elsewhere is None else None

    @property
    def token_counter(self) -> str | None:
        """Path or hub id of the processor that counts the tokens of prompts; None where the recipe names none."""
        return self.path if self._elsewhere is None else self._elsewhere.processor

    @property
    def gives_log_probs(self) -> bool:
        """Whether the VLM gives the log-probability of an answer that it is told."""
        if self.backend is not None:
            return BACKENDS[self.backend.name].gives_log_probs
        return self.server is None or self.server.gives_log_probs

    @property
    def _elsewhere(self) -> ServerSettings | BackendSettings | None:
        return self.server or self.backend

    @model_validator(mode="before")
    @classmethod
    def _named_decoding(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "decoding" not in value:
            return value
        given = dict(value)
        name = given.pop("decoding")
        if not isinstance(name, str) or name not in DECODING:
            raise ValueError(f"no decoding is called '{name}'; there are {', '.join(DECODING)}")
        return dict(DECODING[name]) | given

    @model_validator(mode="after")
    def _possible(self) -> VLMSettings:
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError("min_new_tokens exceeds max_new_tokens")
        if self.server is not None and (self.num_beams > 1 or self.min_new_tokens):
            raise ValueError("a server decodes greedily: num_beams 1 and min_new_tokens 0")
        if self.server is not None and self.prompt.layout == "plain":
            raise ValueError("a server takes chat messages: prompt.layout single_turn or multi_turn")
        if self.backend is not None and (self.server is not None or self.ray is not None):
            raise ValueError("backend takes the place of server and ray: give one or the other")
        if self.prompt.max_tokens is not None and self.token_counter is None:
            where = "server" if self.backend is None else "backend"
            raise ValueError(f"prompt.max_tokens needs {where}.processor, which counts the tokens")
        if self.server is None and self.ray is not None and self.ray.servers:
            raise ValueError("ray.servers needs the section server, which says how they are asked")
        return self


class BeamSettings(Settings):
    """Beam search over sequences scored by InfoScore: the data of supervised training."""

    queries: Count = 200
    """Training queries that are searched (the first of them)."""
    width: Count = 5
    """Sequences kept after each step."""
    shots: Shots = 2
    """Length of the sequences searched."""
    candidates: Count = 64
    """Entries of the whole bank that are tried at every step: the most similar ones. Pools are tried whole."""
