"""Settings of the policy: a network put together from parts. Presets are named combinations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, model_validator

from shotsmith.plugins import Table
from shotsmith.recipe.base import Count, Layers, Positive, Settings, Several, Share, Width

PRESETS: Table[Mapping[str, object]] = Table("shotsmith.presets", Mapping)
"""What `preset: NAME` stands for, by name."""

GAINS: Table[Callable[[PolicySettings], Any]] = Table("shotsmith.gains")
"""What makes each gain (an nn.Module with the protocol policies.parts.Gain) of the settings, by its name in `gains`."""


def _check_gain(name: str) -> str:
    if name not in GAINS:
        raise ValueError(f"no gain is called '{name}'; there are {', '.join(GAINS)}")
    return name


class IndexSettings(Settings):
    """How the entries of a bank with the highest scores are found."""

    kind: Literal["auto", "exact", "ivf", "hnsw"] = "auto"
    """Exact: every entry is scored. `ivf`: entries are kept in about sqrt(N) lists, as codes of one bit a dimension (8
    where keys are narrow), and the nearest lists are searched. `hnsw`: entries are kept as 8-bit integers in a graph of
    neighbours. Auto: exact up to 100,000 entries, ivf beyond. What an approximate index finds is scored exactly."""
    probes: Count = 128
    """Lists of an ivf index that the first search for a query reads, and entries (times 16) that a search of an hnsw
    index visits. More find more, and take longer."""


class PolicySettings(Settings):
    """A policy over sequences of demonstrations. `preset: NAME` gives the settings of that name; others go on top."""

    start: Literal["similarity", "random"] = "similarity"
    """What an untrained policy is. Similarity: mixed similarity search, which training changes step by step: the
    cosines of image and question enter the score beside the learned part, and that starts at zero. Random: a network
    with random projections alone."""
    order: Literal["outwards", "inwards"] = "outwards"
    """Where the first choice stands: next to the query (outwards), or farthest from it (inwards)."""
    shortlist: Several = 256
    """Entries of the bank that can be chosen at a step: those with the highest scores (M). Pools are not cut."""
    index: IndexSettings = IndexSettings()
    """How these entries are found in a bank."""
    prior: bool = True
    """Add a learned score of the candidate alone to a policy that starts as similarity: some sources are unreliable
    whatever the query."""
    hidden_size: Width = 128
    """Width of the projections."""
    layers: Layers = 0
    """Cross-attention layers from the query to its candidates; 0 makes a bi-encoder."""
    heads: Width = 1
    """Heads of every attention layer; must divide hidden_size."""
    candidate_encoder: Literal["none", "self_attention"] = "none"
    """Whether the candidates see each other before the query reads them."""
    feed_forward: bool = True
    """A residual two-layer perceptron on query and candidates before they are compared."""
    projections: Literal["identity", "random"] = "identity"
    """How the last projections start: as the identity (embeddings are compared as they are), or at random."""
    dropout: Share = 0.0
    """Dropout after the cross-attention (in train mode only)."""
    attention_dropout: Share = 0.1
    """Dropout on the attention weights (in train mode only)."""
    memory: Literal["none", "gate", "gru", "residual", "gpt2"] = "residual"
    """How the query state follows what has been chosen: not at all, a gate, a GRU, what a feed-forward network adds, or
    GPT-2 over all choices so far."""
    step_embedding: bool = False
    """Add a learned vector for the number of the step to the state."""
    scorer: Literal["cosine", "additive", "bilinear"] = "cosine"
    """How well a candidate fits the state."""
    temperature: Positive = 0.08
    """Scores are divided by it (additive ones only where the policy starts as similarity). It is learned where the
    policy starts as similarity, and fixed otherwise."""
    gains: tuple[Annotated[str, AfterValidator(_check_gain)], ...] = ()
    """What is added to the scores for what has been chosen already: redundancy penalty, topic coverage, diversity. The
    page on policies lists them."""
    gain_options: Mapping[str, Mapping[str, Any]] = {}
    """Settings of gains that other packages add, by the gain's name: its package says what it takes."""
    topics: Width = 16
    """Prototypes of the coverage gain."""
    dpp_rank: Width = 32
    """Width of the features of the determinantal (dpp) gains."""
    decoding: Literal["sequential", "parallel", "two_stage"] = "sequential"
    """One choice after the other; a query vector per slot, blind to the others; or the best `top_m` refined first."""
    top_m: Several = 16
    """Candidates that two-stage decoding refines."""
    length: Literal["fixed", "stop"] = "fixed"
    """Fixed: as many demonstrations as asked for. Stop: up to as many, even none; the policy decides when to end."""

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "preset" not in value:
            return value
        given = dict(value)
        name = given.pop("preset")
        if not isinstance(name, str) or name not in PRESETS:
            raise ValueError(f"no preset is called '{name}'; the presets are {', '.join(PRESETS)}")
        return dict(PRESETS[name]) | given

    @model_validator(mode="after")
    def _fit_together(self) -> PolicySettings:
        if self.hidden_size % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide hidden_size ({self.hidden_size})")
        if len(set(self.gains)) != len(self.gains):
            raise ValueError("a gain can be added once")
        if unused := sorted(self.gain_options.keys() - set(self.gains)):
            raise ValueError(f"gain_options has options of '{unused[0]}', which gains does not name")
        if self.decoding == "parallel" and (self.memory != "none" or self.gains or self.step_embedding):
            raise ValueError(
                "parallel decoding is blind to earlier choices: it needs memory none, no gains, no step_embedding"
            )
        return self
