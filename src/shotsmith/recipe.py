"""The recipe: a whole experiment as typed settings, read from YAML. Every setting has a default and an effect.

No torch here: a recipe is checked in milliseconds, before anything heavy is loaded.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shotsmith.errors import RecipeError

# Strict: YAML's yes and 3.0 are no counts.
Natural = Annotated[int, Field(strict=True, ge=0)]
Count = Annotated[int, Field(strict=True, ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Shots = Annotated[int, Field(strict=True, ge=1, le=16)]
Lengths = Annotated[tuple[Shots, ...], Field(min_length=1)]


class Settings(BaseModel):
    """Base of all sections: frozen, strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class WorldSettings(Settings):
    """The built-in data set, drawn on the spot (see docs/world.md)."""

    seed: Natural = 0
    """Which world: facts, artefacts, questions and pictures all follow from it."""
    train: Count = 6000
    """Examples of the train split: demonstrations and training queries come from here."""
    val: Count = 800
    """Examples of the validation split."""
    test: Count = 1600
    """Examples of the test split."""


class OkvqaSettings(Settings):
    """Files in the official layout of OK-VQA / VQAv2; images are found by their COCO names."""

    train_questions: Path
    train_annotations: Path
    train_images: Path
    test_questions: Path
    test_annotations: Path
    test_images: Path
    val_share: Share = 0.1
    """Share of the train images whose questions are set aside for validation."""


class DataSettings(Settings):
    """Which examples, and how many of them are queries."""

    world: WorldSettings | None = None
    okvqa: OkvqaSettings | None = None
    train_queries: Count = 800
    """Queries the policy is trained on (from the train split)."""
    val_queries: Count = 200
    """Queries that choose epochs (from the validation split)."""
    test_queries: Count = 800
    """Queries of the final comparison (from the test split)."""
    balance_train_queries: bool = False
    """Draw the training queries evenly over the question types, so that rare ones are learned too."""
    seed: Natural = 0
    """Which queries are drawn."""

    @model_validator(mode="after")
    def _one_source(self) -> DataSettings:
        if (self.world is None) == (self.okvqa is None):
            raise ValueError("give exactly one of 'world' and 'okvqa'")
        return self


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


class PolicySettings(Settings):
    """The pointer network."""

    hidden_size: Count = 128
    """Width of the projections."""
    layers: Count = 1
    """Cross-attention layers from the query to its candidates."""
    heads: Count = 1
    """Heads of each cross-attention layer; must divide hidden_size."""
    feed_forward: bool = False
    """A residual two-layer perceptron on query and candidates before they are compared."""
    dropout: Share = 0.1
    """Dropout after the cross-attention (supervised and RCE training only)."""
    attention_dropout: Share = 0.1
    """Dropout on the attention weights (supervised and RCE training only)."""
    temperature: Positive = 0.1
    """Cosine scores are divided by it."""
    memory: Literal["none", "gate", "gru"] = "gate"
    """How the query state follows what has been chosen: not at all, by the predecessor's gate, or by a GRU."""

    @model_validator(mode="after")
    def _heads_divide(self) -> PolicySettings:
        if self.hidden_size % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide hidden_size ({self.hidden_size})")
        return self


class OptimizerSettings(Settings):
    """What all three phases share."""

    epochs: Natural = 10
    """Passes of this phase; one checkpoint and one metrics row each. 0 skips the phase."""
    learning_rate: Positive = 1e-3
    """Peak learning rate of AdamW."""
    warmup_steps: Natural = 0
    """Steps over which the learning rate rises linearly from 0."""
    weight_decay: NonNegative = 0.01
    """AdamW's decoupled weight decay."""
    max_grad_norm: Positive = 1.0
    """Gradients are scaled down to this norm."""
    queries_per_step: Count = 32
    """Queries (groups) in one update."""


class SupervisedSettings(OptimizerSettings):
    """Cross-entropy on the sequences that beam search found."""

    epochs: Natural = 30
    label_smoothing: Share = 0.0
    """Share of the target spread evenly over the unmasked candidates."""


class RolloutSettings(Settings):
    """The recorded rollouts of each training query, for RCE (and for GRPO where it is told to use them)."""

    sampled: Natural = 6
    """Sequences sampled from the supervised policy."""
    random: Natural = 4
    """Sequences drawn at random."""
    similar: bool = True
    """Also the sequences of the image-similar, text-similar and mixed selectors."""
    shots: Lengths = (2,)
    """Lengths of the sequences; a query's group has one length, taken in turn."""


class RewardSettings(Settings):
    """Weighted sum of pure functions of a completion."""

    vqa_accuracy: NonNegative = 1.0
    """Weight of the official VQA accuracy of the generated answer (0 to 1)."""
    answer_probability: NonNegative = 1.0
    """Weight of the probability of the most common true answer (0 to 1)."""

    @model_validator(mode="after")
    def _some_weight(self) -> RewardSettings:
        if not self.vqa_accuracy and not self.answer_probability:
            raise ValueError("at least one reward weight must be above 0")
        return self


class RceSettings(OptimizerSettings):
    """Reward-weighted cross-entropy: weights softmax(reward / tau) in each group."""

    epochs: Natural = 5
    tau_start: Positive = 2.0
    """Temperature of the weights at the first step; it falls linearly."""
    tau_end: Positive = 0.5
    """Temperature at the last step."""
    raw_rewards: bool = False
    """Weigh by raw rewards; otherwise by rewards standardised in their group (clamped to +-3)."""


class GrpoSettings(OptimizerSettings):
    """Group relative policy optimisation (arXiv 2402.03300) with the names of TRL and verl."""

    epochs: Natural = 10
    steps_per_epoch: Count = 10
    """Batches of rollouts in an epoch."""
    num_generations: Annotated[int, Field(strict=True, ge=2)] = 8
    """Sequences sampled per query (G)."""
    num_iterations: Count = 2
    """Updates per batch of rollouts (mu)."""
    shots: Lengths = (1, 2, 3, 4)
    """Lengths of the sampled sequences; a group has one length, taken in turn."""
    rollouts: Literal["on_policy", "recorded"] = "on_policy"
    """Sample from the current policy, or reuse the recorded rollouts."""
    epsilon: Positive = 0.2
    """Lower clip of the ratio, 1 - epsilon."""
    epsilon_high: Positive = 0.28
    """Upper clip of the ratio, 1 + epsilon_high (DAPO)."""
    min_std: NonNegative = 0.05
    """Added to a group's standard deviation before dividing; a group that does not exceed it carries no signal."""
    beta: NonNegative = 0.01
    """Coefficient of the exact KL divergence to the reference policy."""
    entropy_coef: NonNegative = 0.002
    """Coefficient of the entropy bonus."""
    max_resamples: Natural = 3
    """How often groups without signal are replaced by groups of other queries, per step."""


class EvaluationSettings(Settings):
    """The final comparison on test queries."""

    shots: Lengths = (1, 2, 3, 4)
    """Numbers of demonstrations shown."""
    random_draws: Count = 3
    """Draws of the random selector per query; their mean is reported."""
    oracle_tries: Count = 64
    """Sequences the oracle tries per query and number of shots (fewer only where the ceiling is reached)."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Level of the intervals."""
    resamples: Annotated[int, Field(strict=True, ge=100)] = 2000
    """Bootstrap resamples."""


class Recipe(Settings):
    """A whole experiment."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")] = "run"
    """Name of the run folder under `runs/`."""
    seeds: Annotated[tuple[Natural, ...], Field(min_length=1)] = (0,)
    """Training seeds; data, pools, beam data and completions are shared by them."""
    data: DataSettings
    vlm: VLMSettings = VLMSettings()
    encoder: EncoderSettings = EncoderSettings()
    pools: PoolSettings = PoolSettings()
    beam: BeamSettings = BeamSettings()
    policy: PolicySettings = PolicySettings()
    supervised: SupervisedSettings = SupervisedSettings()
    rollouts: RolloutSettings = RolloutSettings()
    reward: RewardSettings = RewardSettings()
    rce: RceSettings = RceSettings()
    grpo: GrpoSettings = GrpoSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        longest = max(self.beam.shots, *self.rollouts.shots, *self.grpo.shots, *self.evaluation.shots)
        if longest > self.pools.size:
            raise ValueError(f"{longest} shots cannot be taken from pools of {self.pools.size}")
        if self.beam.queries > self.data.train_queries:
            raise ValueError("beam.queries exceeds data.train_queries")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must differ from each other")
        return self


def load_recipe(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe; `overrides` are 'section.key=value' with YAML values.

    Raises RecipeError listing every fault at once, with the nearest known key for each unknown one.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise RecipeError("no such recipe", file=path) from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot be read: {error}", file=path) from error
    value = _read_yaml(text, "is", path)
    if not isinstance(value, dict):
        raise RecipeError("a recipe is a mapping of sections", file=path)
    for override in overrides:
        _apply(value, override)
    return parse_recipe(value, path)


def parse_recipe(value: Mapping[str, Any], file: Path | str | None = None) -> Recipe:
    """Check a recipe given as plain values. Raises RecipeError listing every fault."""
    try:
        return Recipe.model_validate(value)
    except ValidationError as error:
        raise RecipeError("; ".join(_fault(fault) for fault in error.errors()), file=file) from error


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every default written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _apply(value: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError(f"override '{override}' is not of the form section.key=value")
    for depth, key in enumerate(keys[:-1]):
        value = value.setdefault(key, {})
        if not isinstance(value, dict):
            raise RecipeError(f"override '{override}': '{'.'.join(keys[: depth + 1])}' is not a section")
    value[keys[-1]] = _read_yaml(text, f"override '{override}': the value is")


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in one section: the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key '{key.value}' stands twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _read_yaml(text: str, subject: str, file: Path | None = None) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        row = error.problem_mark.line + 1 if file and error.problem_mark else None
        raise RecipeError(f"{subject} not valid YAML: {error.problem}", file=file, row=row) from error
    except RecursionError as error:
        raise RecipeError(f"{subject} nested too deeply", file=file) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: the 13th month, and such
        raise RecipeError(f"{subject} not valid YAML: {' '.join(str(error).split())}", file=file) from error


def _fault(fault: Mapping[str, Any]) -> str:
    location: Sequence[str | int] = fault["loc"]
    name = ".".join(str(part) for part in location) or "recipe"
    if fault["type"] == "extra_forbidden":
        known = _keys_at(location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.0)
        return f"unknown key '{name}'" + (f" (did you mean '{near[0]}'?)" if near else "")
    return f"{name}: {fault['msg'].removeprefix('Value error, ')}"


def _keys_at(location: Sequence[str | int]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in location:
        inner = _model_in(model.model_fields[str(part)].annotation) if part in model.model_fields else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_in(annotation: object) -> type[BaseModel] | None:
    candidates = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
