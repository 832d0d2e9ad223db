"""Every setting of a recipe has an effect: each is changed, and something must come out different.

A new setting fails here until the table says how it shows.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import setting_probes as probe
from pydantic import BaseModel

from shotsmith.recipe import Recipe, parse_recipe

BASE: dict[str, Any] = {
    "name": "run",
    "seeds": [0],
    "data": {
        "world": {"seed": 1, "train": 40, "val": 8, "test": 10},
        "train_queries": 8,
        "val_queries": 4,
        "test_queries": 6,
    },
    "pools": {"size": 8},
    "beam": {"queries": 3, "width": 2, "shots": 2},
    "policy": {"hidden_size": 16, "top_m": 4, "topics": 4, "dpp_rank": 4},
    "supervised": {"epochs": 2, "queries_per_step": 5, "learning_rate": 3e-3},
    "rollouts": {"sampled": 3, "random": 2, "shots": [2]},
    "rce": {"epochs": 2, "queries_per_step": 5, "learning_rate": 3e-3},
    "grpo": {
        "epochs": 2,
        "steps_per_epoch": 2,
        "num_generations": 4,
        "queries_per_step": 4,
        "shots": [1, 2],
        "learning_rate": 1e-2,
    },
    "evaluation": {"shots": [1, 2], "random_draws": 1, "oracle_tries": 2, "resamples": 100},
}

OTHERS = object()
"""Every other value that the setting can have, one after the other."""


def shared_by_phases(phase: str) -> dict[str, tuple[Any, ...]]:
    """What all phases have."""
    train = getattr(probe, phase)
    return {
        f"{phase}.epochs": (1, train),
        f"{phase}.learning_rate": (1e-4, train),
        f"{phase}.warmup_steps": (50, train),
        f"{phase}.schedule": (OTHERS, train),
        f"{phase}.final_learning_rate_share": (0.5, train, {f"{phase}.schedule": "linear"}),
        f"{phase}.weight_decay": (0.9, train),
        f"{phase}.max_grad_norm": (1e-3, train),
        f"{phase}.queries_per_step": (3, train),
        f"{phase}.patience": (1, train, {f"{phase}.epochs": 3}),
        f"{phase}.best_by": (OTHERS, probe.chosen_epoch(phase)),
    }


RECORDED = {"grpo.sampling.source": "recorded"}
PROPORTIONAL = {"grpo.kl.controller": "proportional", "grpo.kl.horizon": 50.0}
MULTIPLICATIVE = {"grpo.kl.controller": "multiplicative"}
NEAR = MULTIPLICATIVE | {"grpo.learning_rate": 1e-4}
FAR = NEAR | {"grpo.kl.low": 1e-13, "grpo.kl.high": 1e-12}
SYNCED = {"grpo.reference.sync_steps": 1, "grpo.beta": 0.5}
STAGED = {"grpo.curriculum.kind": "staged", "grpo.curriculum.share": 0.3, "grpo.curriculum.epochs": 1}
OFFICIAL = {"data.world": None, "data.train_queries": 5, "data.val_queries": 2} | {
    f"data.okvqa.{split}_{kind}": file
    for split in ("train", "test")
    for kind, file in {
        "questions": f"{{here}}/one/OpenEnded_mscoco_{split}2014_questions.json",
        "annotations": f"{{here}}/one/mscoco_{split}2014_annotations.json",
        "images": f"{{here}}/one/{split}2014",
    }.items()
}

TABLES = {"data.world": None, "data.train_queries": 5, "data.val_queries": 2, "data.table.val_share": 0.2} | {
    f"data.table.{name}": f"{{here}}/tables/{file}"
    for name, file in {"train": "train.jsonl", "test": "test.jsonl", "images": "images"}.items()
}

SERVED = {
    "vlm.server.url": "http://one/v1",
    "vlm.server.model": "one",
    "supervised.epochs": 0,
    "reward.answer_probability": 0.0,
}

TABLE: Mapping[str, tuple[Any, ...]] = {
    "name": ("other", probe.named, {"store": "{folder}/shared.sqlite"}),
    "seeds": ([1], probe.trained_seeds, {"rce.epochs": 0, "grpo.epochs": 0, "supervised.epochs": 1}),
    "store": ("{folder}/shared.sqlite", probe.stores),
    "data.world.seed": (2, probe.data),
    "data.world.train": (41, probe.data),
    "data.world.val": (9, probe.data),
    "data.world.test": (11, probe.data),
    **{
        name: (OFFICIAL[name].replace("/one/", "/other/"), probe.data, OFFICIAL)
        for name in OFFICIAL
        if name.startswith("data.okvqa.")
    },
    **{
        f"data.table.{name}": (value, probe.data, TABLES)
        for name, value in {
            "train": "{here}/tables/more.jsonl",
            "test": "{here}/tables/more.jsonl",
            "val": "{here}/tables/more.jsonl",
            "val_share": 0.4,
            "images": "{here}/tables/other",
            "columns.id": "number",
            "columns.image": "other_image",
            "columns.question": "other_question",
            "columns.answers": "other_answers",
        }.items()
    },
    "data.skip_bad": (True, probe.faulty_data, TABLES | {"data.table.test": "{here}/tables/faulty.jsonl"}),
    "data.okvqa.val_share": (0.4, probe.data, OFFICIAL | {"data.okvqa.val_share": 0.2}),
    "data.train_queries": (7, probe.data),
    "data.val_queries": (3, probe.data),
    "data.test_queries": (5, probe.data),
    "data.balance_train_queries": (True, probe.data),
    "data.seed": (1, probe.data),
    "vlm.path": ("{here}/vlm", probe.vlm),
    "vlm.max_new_tokens": (1, probe.vlm),
    "vlm.batch_tokens": (1, probe.vlm),
    "vlm.device": ("cuda:99", probe.vlm),
    "vlm.dtype": ("bfloat16", probe.vlm),
    "vlm.server.url": ("http://two/v1", probe.served, SERVED),
    "vlm.server.model": ("two", probe.served, SERVED),
    "vlm.server.kind": (OTHERS, probe.served, SERVED),
    "vlm.server.api_key_env": ("STUB_KEY", probe.served, SERVED),
    "vlm.server.concurrency": (2, probe.served, SERVED),
    "vlm.server.timeout_seconds": (5.0, probe.served, SERVED),
    "vlm.server.retries": (1, probe.served, SERVED),
    "encoder.path": ("{here}/clip", probe.encoder),
    "encoder.batch_size": (7, probe.encoder),
    "pools.sampler": (OTHERS, probe.data),
    "pools.size": (9, probe.data),
    "pools.seed": (1, probe.data),
    "beam.queries": (4, probe.beams),
    "beam.width": (3, probe.beams),
    "beam.shots": (1, probe.beams),
    "policy.hidden_size": (8, probe.policy),
    "policy.layers": (2, probe.policy),
    "policy.heads": (2, probe.policy),
    "policy.candidate_encoder": (OTHERS, probe.policy),
    "policy.feed_forward": (True, probe.policy),
    "policy.projections": (OTHERS, probe.policy),
    "policy.dropout": (0.5, probe.policy),
    "policy.attention_dropout": (0.5, probe.policy),
    "policy.memory": (OTHERS, probe.policy),
    "policy.memory_layers": (1, probe.policy, {"policy.memory": "gpt2"}),
    "policy.step_embedding": (True, probe.policy),
    "policy.scorer": (OTHERS, probe.policy),
    "policy.temperature": (0.2, probe.policy),
    "policy.gains": (["mmr"], probe.policy),
    "policy.topics": (5, probe.policy, {"policy.gains": ["coverage"]}),
    "policy.dpp_rank": (3, probe.policy, {"policy.gains": ["dpp"]}),
    "policy.decoding": (OTHERS, probe.policy, {"policy.memory": "none"}),
    "policy.top_m": (3, probe.policy, {"policy.decoding": "two_stage"}),
    "policy.length": (OTHERS, probe.policy),
    **shared_by_phases("supervised"),
    "supervised.label_smoothing": (0.2, probe.supervised),
    "rollouts.beam": (2, probe.recorded),
    "rollouts.sampled": (4, probe.recorded),
    "rollouts.temperature": (3.0, probe.recorded),
    "rollouts.random": (3, probe.recorded),
    "rollouts.similar": (False, probe.recorded),
    "rollouts.shots": ([1], probe.recorded),
    "reward.mode": (OTHERS, probe.rewards),
    "reward.vqa_accuracy": (0.5, probe.rewards),
    "reward.answer_probability": (0.5, probe.rewards),
    "reward.log_prob_gain": (0.5, probe.rewards),
    "reward.answer_f1": (0.5, probe.rewards),
    "reward.cider": (0.5, probe.rewards),
    "reward.demonstration_cost": (0.1, probe.rewards),
    "reward.hard_weight": (0.5, probe.rewards, {"reward.mode": "hard_only"}),
    "reward.soft_weight": (0.5, probe.rewards, {"reward.mode": "soft_only"}),
    "reward.relevance_weight": (0.5, probe.rewards, {"reward.mode": "hard_plus_gtprob_plus_rel"}),
    **shared_by_phases("rce"),
    "rce.tau_start": (1.0, probe.rce),
    "rce.tau_end": (0.1, probe.rce),
    "rce.raw_rewards": (True, probe.rce),
    "rce.top_1": (True, probe.rce),
    **shared_by_phases("grpo"),
    "grpo.steps_per_epoch": (1, probe.grpo),
    "grpo.num_generations": (5, probe.grpo),
    "grpo.num_iterations": (1, probe.grpo),
    "grpo.shots": ([2], probe.grpo),
    "grpo.epsilon": (0.01, probe.grpo),
    "grpo.epsilon_high": (0.01, probe.grpo),
    "grpo.dual_clip": (1.01, probe.grpo, {"grpo.learning_rate": 0.05}),
    "grpo.importance_level": (OTHERS, probe.grpo),
    "grpo.beta": (0.5, probe.grpo),
    "grpo.entropy_coef": (0.5, probe.grpo),
    "grpo.dropout": (True, probe.grpo),
    "grpo.freeze_projections": (True, probe.grpo),
    "grpo.sampling.source": (OTHERS, probe.grpo),
    "grpo.sampling.recorded_share": (0.2, probe.grpo, {"grpo.sampling.source": "mixture"}),
    "grpo.sampling.temperature": (2.0, probe.grpo),
    "grpo.sampling.distinct": (True, probe.grpo),
    "grpo.sampling.max_importance_weight": (0.5, probe.grpo, RECORDED),
    "grpo.sampling.keep_top": ([3], probe.grpo, RECORDED),
    "grpo.advantage.estimator": (OTHERS, probe.grpo),
    "grpo.advantage.min_std": (0.9, probe.grpo),
    "grpo.advantage.clip": (0.5, probe.grpo),
    "grpo.advantage.signal_std": (0.55, probe.grpo),
    "grpo.advantage.zero_variance": (OTHERS, probe.grpo),
    "grpo.advantage.max_resamples": (0, probe.grpo),
    "grpo.advantage.standardise_rewards": (True, probe.grpo, {"grpo.advantage.estimator": "centered"}),
    "grpo.kl.estimator": (OTHERS, probe.grpo, {"grpo.beta": 0.5}),
    "grpo.kl.placement": (OTHERS, probe.grpo, {"grpo.beta": 0.5}),
    "grpo.kl.controller": (OTHERS, probe.grpo, {"grpo.kl.horizon": 50.0}),
    "grpo.kl.target": (100.0, probe.grpo, PROPORTIONAL),
    "grpo.kl.horizon": (100.0, probe.grpo, PROPORTIONAL),
    "grpo.kl.factor": (2.0, probe.grpo, MULTIPLICATIVE),
    "grpo.kl.low": (1e-12, probe.grpo, NEAR),
    "grpo.kl.high": (0.1, probe.grpo, FAR),
    "grpo.kl.min_beta": (0.009, probe.grpo, MULTIPLICATIVE),
    "grpo.kl.max_beta": (0.011, probe.grpo, FAR),
    "grpo.reference.policy": (OTHERS, probe.grpo, {"grpo.beta": 0.5}),
    "grpo.reference.sync_steps": (1, probe.grpo, {"grpo.beta": 0.5}),
    "grpo.reference.mixup_alpha": (0.1, probe.grpo, SYNCED),
    "grpo.reference.old_is_reference": (True, probe.grpo),
    "grpo.curriculum.kind": (OTHERS, probe.grpo, {"grpo.curriculum.share": 0.3}),
    "grpo.curriculum.measure": (OTHERS, probe.grpo, STAGED),
    "grpo.curriculum.share": (0.6, probe.grpo, STAGED),
    "grpo.curriculum.epochs": (2, probe.grpo, STAGED),
    "evaluation.shots": ([1, 3], probe.evaluated),
    "evaluation.random_draws": (2, probe.evaluated),
    "evaluation.oracle_tries": (6, probe.evaluated),
    "evaluation.beam_width": (2, probe.evaluated),
    "evaluation.confidence": (0.9, probe.evaluated),
    "evaluation.resamples": (200, probe.evaluated),
}
"""Setting -> (another value, the probe that shows it, and what else must be set for it to matter)."""


def settings_of(model: type[BaseModel], place: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """All settings by their full names, and their types."""
    for name, field in model.model_fields.items():
        inner = [part for part in (field.annotation, *get_args(field.annotation)) if _is_section(part)]
        if inner:
            yield from settings_of(inner[0], (*place, name))
        else:
            yield ".".join((*place, name)), field.annotation


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


SETTINGS = dict(settings_of(Recipe))


def recipe_of(changes: Mapping[str, Any], here: Path, folder: Path) -> Recipe:
    value = json.loads(json.dumps(BASE))
    for name, new in changes.items():
        *sections, key = name.split(".")
        section = value
        for part in sections:
            section = section.setdefault(part, {})
        section[key] = new.format(here=here, folder=folder) if isinstance(new, str) else new
    return parse_recipe(value)


def value_in(recipe: Recipe, name: str) -> object:
    return functools.reduce(getattr, name.split("."), recipe)


def parts_of(value: object) -> Iterator[object]:
    """What an outcome is made of, in order."""
    if isinstance(value, Mapping):
        value = list(value.items())
    if isinstance(value, list | tuple):
        yield len(value)
        for part in value:
            yield from parts_of(part)
    else:
        yield value


def same(one: object, other: object) -> bool:
    """Equal but for rounding."""
    pairs = itertools.zip_longest(parts_of(one), parts_of(other))
    return all(
        math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-7) if isinstance(a, float) and isinstance(b, float) else a == b
        for a, b in pairs
    )


class Workshop:
    """Has probes done; what a base gives is found once."""

    def __init__(self, here: Path) -> None:
        self.here, self.count = here, 0
        self.found: dict[tuple[object, str], object] = {}
        probe.prepare_files(here)

    def outcome(self, look: probe.Probe, changes: Mapping[str, Any]) -> object:
        folder = self.here / f"probe-{self.count}"
        folder.mkdir()
        self.count += 1
        return look(recipe_of(changes, self.here, folder), folder)

    def base(self, look: probe.Probe, context: Mapping[str, Any]) -> object:
        key = (look, repr(context))
        if key not in self.found:
            self.found[key] = self.outcome(look, context)
        return self.found[key]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


def probe_of(name: str) -> tuple[probe.Probe, dict[str, Any]]:
    """The probe that shows a setting, and its context."""
    _, look, *context = TABLE[name]
    return look, {**context[0]} if context else {}


def changes() -> Iterator[Any]:
    """Every setting with every value it is changed to."""
    for name in TABLE.keys() & SETTINGS.keys():
        values = [TABLE[name][0]]
        if values == [OTHERS]:
            assert get_origin(SETTINGS[name]) is Literal
            base = value_in(recipe_of(probe_of(name)[1], Path(), Path()), name)
            values = [option for option in get_args(SETTINGS[name]) if option != base]
        yield from (pytest.param(name, value, id=f"{name}={value}") for value in values)


def test_the_table_names_every_setting_and_no_other():
    assert sorted(TABLE) == sorted(SETTINGS)


@pytest.mark.parametrize(("name", "value"), sorted(changes(), key=lambda parameters: parameters.id))
def test_a_setting_has_an_effect(workshop: Workshop, name: str, value: object):
    look, context = probe_of(name)
    assert not same(workshop.outcome(look, context | {name: value}), workshop.base(look, context))


@pytest.mark.parametrize("look", dict.fromkeys(probe_of(name)[0] for name in TABLE), ids=lambda look: look.__name__)
def test_a_probe_shows_nothing_but_the_settings(workshop: Workshop, look: probe.Probe):
    """The same recipe gives the same outcome: what differs above is the setting's doing."""
    context = next(context for other, context in map(probe_of, TABLE) if other is look)
    assert same(workshop.outcome(look, context), workshop.base(look, context))
