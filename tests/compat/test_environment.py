"""Each variable of the predecessor's scripts does what its name says; one that is not understood is an error."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from shotsmith.compat.scripts.environment import (
    BUILTIN,
    NAMES,
    SETTINGS,
    check_names,
    check_version,
    is_builtin,
    settings_of,
)
from shotsmith.errors import InputError
from shotsmith.recipe import Recipe, load_recipe

RECIPE = Path(__file__).parents[2] / "recipes" / "predecessor" / "scheme5.yaml"


def recipe_of(**environment: str) -> Recipe:
    return load_recipe(RECIPE, [f"{name}={value}" for name, value in settings_of(environment)])


def value_in(recipe: Recipe, name: str) -> object:
    return functools.reduce(getattr, name.split("."), recipe)


@pytest.mark.parametrize(
    ("variable", "text", "setting", "value"),
    [
        ("USE_RANK_ADVANTAGE", "true", "grpo.advantage.estimator", "rank"),
        ("USE_RANK_ADVANTAGE", "false", "grpo.advantage.estimator", "group"),
        ("GRPO_LR", "5e-5", "grpo.learning_rate", 5e-5),
        ("GRPO_EPOCHS", "50", "grpo.epochs", 50),
        ("KL_BETA", "0.1", "grpo.beta", 0.1),
        ("KL_BETA", "0", "grpo.beta", 0.0),
        ("RCE_EPOCHS", "3", "rce.epochs", 3),
        ("RCE_LR", "2e-4", "rce.learning_rate", 2e-4),
        ("RCE_USE_RAW_REWARD", "false", "rce.raw_rewards", False),
        ("REWARD_MODE", "hard_plus_gtprob_plus_rel", "reward.mode", "hard_plus_gtprob_plus_rel"),
        ("HARD_WEIGHT", "0.5", "reward.hard_weight", 0.5),
        ("SOFT_WEIGHT", "2", "reward.soft_weight", 2.0),
        ("REL_WEIGHT", "0.3", "reward.relevance_weight", 0.3),
        ("NUM_LAYERS", "3", "policy.layers", 3),
        ("FREEZE_BACKBONE_IN_GRPO", "True", "grpo.freeze_projections", True),
        ("REQUIRE_POSITIVE_QUERY", "1", "rollouts.require_right", True),
        ("BATCH_SIZE", "4", "rce.queries_per_step", 4),
        ("BATCH_SIZE", "4", "grpo.queries_per_step", 4),
        ("HARD_WEIGHT", "0", "reward.hard_weight", 0.0),
        ("CLIP_EPSILON", "0.1", "grpo.epsilon", 0.1),
        ("CLIP_EPSILON", "0.1", "grpo.epsilon_high", 0.1),
        ("RCE_TEMP_START", "3", "rce.tau_start", 3.0),
        ("RCE_TEMP_END", "0.25", "rce.tau_end", 0.25),
        ("USE_PPO_CLIP_ONLY", "true", "grpo.beta", 0.0),
        ("USE_PPO_CLIP_ONLY", "1", "grpo.kl.controller", "fixed"),
        ("USE_PPO_CLIP_ONLY", "false", "grpo.kl.controller", "multiplicative"),
        ("DISABLE_STOP", "true", "policy.length", "fixed"),
        ("LEVER_LM_MODEL_TYPE", "v4_5", "policy.scorer", "additive"),
        ("LEVER_LM_MODEL_TYPE", "v4-2", "policy.memory", "gru"),
        ("LEVER_LM_MODEL_TYPE", "v0", "policy.memory", "gpt2"),
    ],
)
def test_a_variable_is_the_setting_its_name_says(variable: str, text: str, setting: str, value: object):
    assert value_in(recipe_of(**{variable: text}), setting) == value


@pytest.mark.parametrize("variable", [name for name, (setting, _, _) in SETTINGS.items() if setting])
def test_every_variable_changes_the_recipe(variable: str):
    others = {"USE_RANK_ADVANTAGE": "true", "RCE_USE_RAW_REWARD": "false", "REWARD_MODE": "legacy"}
    others |= {"FREEZE_BACKBONE_IN_GRPO": "true", "REQUIRE_POSITIVE_QUERY": "true"}
    assert recipe_of(**{variable: others.get(variable, "7")}) != recipe_of()


@pytest.mark.parametrize(
    ("environment", "setting", "value"),
    [
        ({"LEVER_LM_MODEL_TYPE": "v4_5", "LEVER_LM_ATTENTION_TYPE": "bilinear"}, "policy.scorer", "bilinear"),
        ({"LEVER_LM_MODEL_TYPE": "v4.9", "LEVER_LM_TOP_M": "8"}, "policy.top_m", 8),
        ({"LEVER_LM_MODEL_TYPE": "V4_7", "LEVER_LM_DPP_RANK": "5"}, "policy.dpp_rank", 5),
        ({"LEVER_LM_MODEL_TYPE": "v4_6", "LEVER_LM_MODEL_TYPE_NUM_TOPICS": "4"}, "policy.topics", 4),
        ({"LEVER_LM_MODEL_TYPE": "v4_8", "LEVER_LM_NUM_SLOT_LAYERS": "1"}, "policy.decoding", "parallel"),
        ({"LEVER_LM_MODEL_TYPE": "v4_10", "DISABLE_STOP": "true"}, "policy.length", "fixed"),
        ({"LEVER_LM_MODEL_TYPE": "v4_10", "DISABLE_STOP": "false"}, "policy.length", "stop"),
        ({"LEVER_LM_MODEL_TYPE": "v4_2", "NUM_LAYERS": "3"}, "policy.layers", 3),
        ({"REWARD_MODE": "legacy", "REWARD_ALPHA": "0.4", "REWARD_BETA": "0.6"}, "reward.soft_weight", 0.4),
        ({"REWARD_MODE": "legacy", "REWARD_ALPHA": "0.4", "REWARD_BETA": "0.6"}, "reward.hard_weight", 0.6),
        ({"USE_PPO_CLIP_ONLY": "true", "KL_BETA": "0.05"}, "grpo.beta", 0.0),
    ],
)
def test_variables_that_belong_together(environment: dict[str, str], setting: str, value: object):
    assert value_in(recipe_of(**environment), setting) == value


def test_clip_only_trains_alike_whatever_kl_beta_is():
    alike = [recipe_of(USE_PPO_CLIP_ONLY="true", KL_BETA=beta) for beta in ("0.01", "0.05", "")]
    assert alike[0] == alike[1] == alike[2]


def test_training_is_resumed_from_the_checkpoint_named(tmp_path: Path):
    file = tmp_path / "grpo_epoch5.pt"
    with pytest.raises(InputError, match=r"RESUME_CKPT_PATH is .*no such file"):
        settings_of({"RESUME_CKPT_PATH": str(file)})
    file.touch()
    made = recipe_of(RESUME_CKPT_PATH=str(file))
    assert (made.start_from, made.supervised.epochs) == (file, 0)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_value_is_the_default(name: str):
    assert settings_of({name: ""}) == settings_of({name: "  "}) == settings_of({})
    assert is_builtin({name: ""}) is False
    check_version({name: ""}, "v3")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"LEVER_LM_ATTENTION_TYPE": "additive"}, "LEVER_LM_ATTENTION_TYPE has an effect with .*v4-5 only"),
        ({"LEVER_LM_TOP_M": "8"}, "LEVER_LM_TOP_M has an effect"),
        ({"LEVER_LM_MODEL_TYPE": "v4_5", "LEVER_LM_ATTENTION_TYPE": "dot"}, "additive or bilinear"),
        ({"LEVER_LM_MODEL_TYPE": "v4_8", "LEVER_LM_NUM_SLOT_LAYERS": "2"}, "slots have one layer"),
        ({"LEVER_LM_MODEL_TYPE": "v4_9", "LEVER_LM_REFINE_TYPE": "mlp"}, "LEVER_LM_REFINE_TYPE is 'mlp'"),
        ({"LEVER_LM_MODEL_TYPE": "v5"}, "LEVER_LM_MODEL_TYPE is 'v5', not one of v0"),
        ({"DISABLE_STOP": "never"}, "DISABLE_STOP is 'never', not true or false"),
        ({"REWARD_ALPHA": "0.4"}, "REWARD_ALPHA only have an effect with REWARD_MODE=legacy"),
        ({"REWARD_MODE": "legacy", "HARD_WEIGHT": "2"}, "HARD_WEIGHT has no effect"),
        ({"REWARD_MODE": "legacy", "REWARD_BETA": "x"}, "REWARD_BETA is 'x'"),
        ({"REWARD_MODE": "hybrid"}, "REWARD_MODE is 'hybrid', not one of"),
        ({"USE_PPO_CLIP_ONLY": "often"}, "USE_PPO_CLIP_ONLY is 'often'"),
        ({"CLIP_EPSILON": "0"}, "a number above 0"),
    ],
)
def test_what_would_have_no_effect_is_refused(environment: dict[str, str], said: str):
    with pytest.raises(InputError, match=said):
        settings_of(environment)


def test_a_checkpoint_of_another_version_is_refused():
    check_version({"LEVER_LM_CHECKPOINT_VERSION": "v3"}, "v3")
    with pytest.raises(InputError, match="LEVER_LM_CHECKPOINT_VERSION is 'v2'"):
        check_version({"LEVER_LM_CHECKPOINT_VERSION": "v2"}, "v3")


def test_weights_that_are_harmless_may_stand_with_any_mode():
    """Wrappers export all variables, at their defaults."""
    assert settings_of({"REWARD_ALPHA": "0.0", "REWARD_BETA": "0"}) == settings_of({})
    settings_of({"REWARD_MODE": "legacy", "HARD_WEIGHT": "1.0", "SOFT_WEIGHT": "1"})


def test_scheme_6_of_the_report_is_the_recipe_of_that_name():
    report = {"USE_RANK_ADVANTAGE": "false", "GRPO_LR": "5e-5", "GRPO_EPOCHS": "50", "KL_BETA": "0.1"}
    made = recipe_of(**report)
    assert made.model_copy(update={"name": "scheme6"}) == load_recipe(RECIPE.with_name("scheme6.yaml"))


def test_unset_variables_have_the_values_of_its_script():
    made = recipe_of()
    assert (made.grpo.epochs, made.grpo.beta, made.rce.epochs) == (0, 0.15, 5)
    assert made.rce.raw_rewards


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("GRPO_LEARNING_RATE", "GRPO_"),
        ("GPRO_LR", "GRPO_LR"),
        ("KL_BETTA", "KL_BETA"),
        ("RCE_EPOCH", "RCE_EPOCHS"),
        ("USE_RANK_ADVANTAGES", "USE_RANK_ADVANTAGE"),
        ("NUM_LAYER", "NUM_LAYERS"),
        ("REQUIRE_POSITIVE_QUERIES", "REQUIRE_POSITIVE_QUERY"),
        ("FREEZE_BACKBONE", "FREEZE_BACKBONE_IN_GRPO"),
        ("RESULTS_DIR", "RESULT_DIR"),
        ("OKVQA_PATHS", "OKVQA_PATH"),
        ("LEVER_LM_CHECKPOINT", "LEVER_LM_CHECKPOINT_PATH"),
        ("SHOTSMITH_BUILT_IN", "SHOTSMITH_BUILTIN"),
        ("grpo_lr", "GRPO_LR"),
        ("USE_PPO_CLIP", "USE_PPO_CLIP_ONLY"),
        ("CLIP_EPS", "CLIP_EPSILON"),
        ("RESUME_CKPT", "RESUME_CKPT_PATH"),
        ("LEVER_LM_TOPM", "LEVER_LM_TOP_M"),
        ("OKVQA_TRAIN", "OKVQA_TRAIN_PATH"),
    ],
)
def test_a_misspelled_variable_is_an_error_that_names_the_nearest(name: str, nearest: str):
    with pytest.raises(InputError, match=rf"{name} is not a variable .*did you mean {nearest}"):
        settings_of({name: "1"})
    with pytest.raises(InputError, match=name):
        check_names({name: "1"})


def test_what_a_shell_has_anyway_is_left_alone():
    ordinary = ("PATH", "HOME", "NUM_WORKERS", "CUDA_VISIBLE_DEVICES", "USE_TF", "LS_COLORS", "RELEASE", "PYTHONPATH")
    check_names({name: "x" for name in (*ordinary, *NAMES)})


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("GRPO_LR", "fast", "a number above 0"),
        ("GRPO_LR", "0", "a number above 0"),
        ("GRPO_LR", "nan", "a number above 0"),
        ("KL_BETA", "-0.1", "a number, at least 0"),
        ("KL_BETA", "1e999", "a number, at least 0"),
        ("GRPO_EPOCHS", "2.5", "a whole number, at least 0"),
        ("GRPO_EPOCHS", "٣", "a whole number, at least 0"),
        ("BATCH_SIZE", "0", "a whole number, at least 1"),
        ("USE_RANK_ADVANTAGE", "maybe", "true or false"),
        ("REWARD_MODE", "weighted_sum", "one of hard_plus_soft"),
        ("REWARD_MODE", "hard_plus_sotf", r"the nearest is hard_plus_soft\)"),
        ("SKIP_FALLBACK_REWARD", "false", "never trained on"),
        ("SKIP_FALLBACK_REWARD", "perhaps", "true or false"),
    ],
)
def test_a_value_that_is_not_understood_is_an_error(name: str, text: str, wanted: str):
    with pytest.raises(InputError, match=rf"{name}.*{wanted}"):
        settings_of({name: text})


def test_all_faults_are_told_at_once():
    with pytest.raises(InputError) as caught:
        settings_of({"GRPO_LR": "x", "KL_BETTA": "1", "RCE_EPOCHS": "-1"})
    assert all(name in str(caught.value) for name in ("GRPO_LR", "KL_BETTA", "RCE_EPOCHS"))


@pytest.mark.parametrize(("text", "expected"), [("1", True), ("0", False), ("true", True), ("false", False)])
def test_the_built_in_world_is_asked_for_by_one_variable(text: str, expected: bool):
    assert is_builtin({BUILTIN: text}) is expected
    assert is_builtin({}) is False
    with pytest.raises(InputError, match=BUILTIN):
        is_builtin({BUILTIN: "yes please"})
