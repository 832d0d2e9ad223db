"""The positional arguments and folders of the predecessor's scripts: understood, or a clear error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shotsmith.errors import InputError
from shotsmith.predecessor.arguments import (
    PROMPT,
    data_settings,
    results,
    reward_suffix,
    understand,
    understand_test,
)
from shotsmith.recipe import Recipe, load_recipe

RECIPE = Path(__file__).parents[2] / "recipes" / "predecessor" / "scheme5.yaml"
GOOD = {
    "task": "vqa",
    "data_set": "okvqa_local",
    "device": "0",
    "prompt": PROMPT,
    "sampler": "rand_sampler",
    "model": "qwen2.5_vl_3B",
}


def recipe_of(environment: dict[str, str], *, builtin: bool = False, **changes: str) -> Recipe:
    job = understand(**(GOOD | changes))
    given = [*job.settings, *data_settings(environment, job.model, builtin)]
    return load_recipe(RECIPE, [f"{name}={value}" for name, value in given])


@pytest.mark.parametrize(
    ("sampler", "pools", "folder"),
    [
        ("rand_sampler", "random", "v3_RandSampler_Qwen2_5-VL-3B-Instruct"),
        ("text_sim_sampler", "text_similar", "v3_TextSimSampler_Qwen2_5-VL-3B-Instruct"),
        ("img_sim_sampler", "image_similar", "v3_ImgSimSampler_Qwen2_5-VL-3B-Instruct"),
        ("mix_sampler", "mix_sampler", "v3_MixSampler_Qwen2_5-VL-3B-Instruct"),
    ],
)
def test_samplers_have_their_names_in_recipes_and_paths(sampler: str, pools: str, folder: str):
    made = recipe_of({}, builtin=True, sampler=sampler)
    assert (made.pools.sampler, made.pools.size) == (pools, 64)
    assert understand(**(GOOD | {"sampler": sampler})).folder("v3") == folder


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("task", "caption"),
        ("data_set", "vqav2_local"),
        ("device", "cuda:0"),
        ("device", "-1"),
        ("prompt", "query_img_icd_img"),
        ("sampler", "RandSampler"),
        ("model", "flamingo_3B"),
    ],
)
def test_an_argument_that_is_not_understood_is_named(argument: str, value: str):
    with pytest.raises(InputError, match=rf"'{value}'"):
        understand(**(GOOD | {argument: value}))


def test_all_arguments_at_fault_are_told_at_once():
    with pytest.raises(InputError) as caught:
        understand("a", "b", "c", "d", "e", "f")
    assert all(f"'{letter}'" in str(caught.value) for letter in "abcdef")


@pytest.mark.parametrize("arguments", [("v0", "800"), ("v4", "800"), ("v3", "-1"), ("v3", "many"), ("v3", "1")])
def test_version_and_number_of_queries_are_checked(arguments: tuple[str, str]):
    with pytest.raises(InputError):
        understand_test(*arguments)
    assert understand_test("v2", "100") == 100


@pytest.fixture
def places(tmp_path: Path, official_files: Callable[..., object]) -> dict[str, str]:
    """OKVQA_PATH with both questions files, COCO_PATH with both folders of images."""
    official_files(4, "train2014", 1)
    official_files(4, "val2014", 100)
    return {"OKVQA_PATH": str(tmp_path), "COCO_PATH": str(tmp_path)}


def test_the_official_files_are_found_under_its_variables(tmp_path: Path, places: dict[str, str]):
    made = recipe_of(places)
    assert made.data.world is None
    assert made.data.okvqa is not None
    assert made.data.okvqa.train_questions == tmp_path / "OpenEnded_mscoco_train2014_questions.json"
    assert made.data.okvqa.test_annotations == tmp_path / "mscoco_val2014_annotations.json"
    assert made.data.okvqa.test_images == tmp_path / "val2014"
    assert made.vlm.path == "Qwen/Qwen2.5-VL-3B-Instruct"
    assert made.encoder.path == "openai/clip-vit-base-patch32"
    assert made.encoder.joined == "mean"
    assert (made.vlm.num_beams, made.vlm.length_penalty, made.vlm.prompt.template) == (3, 0.0, "vqa")
    assert (made.data.train_queries, made.data.val_queries) == (640, 160)


def test_merged_files_and_the_other_folder_of_images_are_found(tmp_path: Path):
    merged, images = tmp_path / "okvqa_hf", tmp_path / "coco" / "mscoco2014"
    for folder in (merged, images / "train2014", images / "val2014"):
        folder.mkdir(parents=True)
    for year in ("train2014", "val2014"):
        (merged / f"vqav2_mscoco_{year}.json").write_text("[]")
    made = recipe_of({"OKVQA_PATH": str(tmp_path), "COCO_PATH": str(tmp_path / "coco")})
    assert made.data.okvqa is not None
    assert made.data.okvqa.train_questions == merged / "vqav2_mscoco_train2014.json"
    assert made.data.okvqa.train_annotations is None
    assert made.data.okvqa.train_images == images / "train2014"


def test_what_is_not_there_is_said_with_where_it_was_looked_for(tmp_path: Path, places: dict[str, str], monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"OKVQA_PATH is not set.*SHOTSMITH_BUILTIN"):
        recipe_of({"COCO_PATH": places["COCO_PATH"]})
    with pytest.raises(InputError, match="COCO_PATH names no folder /nowhere"):
        recipe_of(places | {"COCO_PATH": "/nowhere"})
    (tmp_path / "mscoco_val2014_annotations.json").unlink()
    with pytest.raises(InputError, match=r"there are no questions; looked for .*val2014_questions.*okvqa_hf"):
        recipe_of(places)


def test_results_go_where_the_variable_says():
    assert results({}) == Path("results/okvqa")
    assert results({"RESULT_DIR": "/data/results"}) == Path("/data/results/okvqa")


@pytest.mark.parametrize(
    ("environment", "suffix"),
    [
        ({}, ""),
        ({"REWARD_MODE": "hard_plus_soft"}, ""),
        ({"HARD_WEIGHT": "2.0"}, "_h2.0_s1.0"),
        ({"REWARD_MODE": "separated"}, "_separated"),
        ({"REWARD_MODE": "legacy"}, "_legacy"),
    ],
)
def test_another_reward_has_a_folder_of_its_own(environment: dict[str, str], suffix: str):
    assert reward_suffix(environment) == suffix
