"""The positional arguments and folders of the predecessor's scripts: understood, or a clear error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shotsmith.compat.scripts.arguments import (
    ALL,
    PROMPT,
    data_settings,
    results,
    reward_suffix,
    understand,
    understand_test,
)
from shotsmith.errors import InputError
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
    given = [*job.settings, *data_settings(environment, job.model, builtin, job.task, job.data_set)]
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
        ("task", "classification"),
        ("data_set", "gqa_local"),
        ("data_set", "coco2014"),
        ("device", "cuda:x"),
        ("device", "-1"),
        ("prompt", "query_img_icd_img"),
        ("sampler", "RandSampler"),
        ("model", "flamingo_9000B"),
    ],
)
def test_an_argument_that_is_not_understood_is_named(argument: str, value: str):
    with pytest.raises(InputError, match=rf"'{value}'"):
        understand(**(GOOD | {argument: value}))


def test_all_arguments_at_fault_are_told_at_once():
    with pytest.raises(InputError) as caught:
        understand("a", "b", "c", "d", "e", "f")
    assert all(f"'{letter}'" in str(caught.value) for letter in "abcdef")


@pytest.mark.parametrize("arguments", [("v5", "800"), ("v", "800"), ("v3", "-2"), ("v3", "many"), ("v3", "1")])
def test_version_and_number_of_queries_are_checked(arguments: tuple[str, str]):
    with pytest.raises(InputError):
        understand_test(*arguments)
    assert understand_test("v2", "100") == 100
    assert [understand_test(version, "-1") for version in ("v0", "v1", "v2", "v3", "v4")] == [ALL] * 5


@pytest.mark.parametrize(("device", "number"), [("3", 3), ("cuda:2", 2), ("cuda", 0), ("cpu", None)])
def test_every_way_to_name_a_device(device: str, number: int | None):
    assert understand(**(GOOD | {"device": device})).device == number


def test_training_takes_questions_only():
    with pytest.raises(InputError, match="task 'caption'"):
        understand(**(GOOD | {"task": "caption", "data_set": "coco2014"}), tasks=("vqa",))


def test_models_are_named_by_path_too(tmp_path: Path, places: dict[str, str]):
    folder = tmp_path / "My Model"
    folder.mkdir()
    assert recipe_of(places, model=str(folder)).vlm.path == str(folder)
    assert understand(**(GOOD | {"model": str(folder)})).folder("v2") == "v2_RandSampler_My_Model"
    assert recipe_of(places, model="llava-hf/llava-1.5-7b-hf").vlm.path == "llava-hf/llava-1.5-7b-hf"
    built_in = recipe_of({}, builtin=True, model=str(folder))
    assert (built_in.vlm.path, built_in.data.world is not None) == (str(folder), True)


def test_flamingo_is_asked_as_a_model_without_chat(tmp_path: Path, places: dict[str, str]):
    made = recipe_of(places, model="flamingo_3B")
    assert (made.vlm.prompt.template, made.vlm.prompt.layout) == ("flamingo", "plain")
    local = tmp_path / "models" / "OpenFlamingo-3B-vitl-mpt1b"
    local.mkdir(parents=True)
    (local / "config.json").write_text("{}")
    found = recipe_of(places | {"CHECKPOINT_PATH": str(local.parent)}, model="flamingo_3B")
    assert found.vlm.path == str(local)


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


def test_each_split_may_have_a_file_and_a_folder_of_its_own(tmp_path: Path, places: dict[str, str]):
    merged = tmp_path / "elsewhere.json"
    merged.write_text("[]")
    (tmp_path / "pictures").mkdir()
    mine = {"OKVQA_TRAIN_PATH": str(merged), "COCO_TRAIN_ROOT": str(tmp_path / "pictures")}
    made = recipe_of(places | mine).data.okvqa
    assert made is not None
    assert (made.train_questions, made.train_annotations) == (merged, None)
    assert made.train_images == tmp_path / "pictures"
    assert made.test_images == tmp_path / "val2014"
    questions = tmp_path / "OpenEnded_mscoco_val2014_questions.json"
    alone = {"OKVQA_VAL_PATH": str(questions), "OKVQA_TRAIN_PATH": str(merged), "COCO_PATH": str(tmp_path)}
    made = recipe_of(alone).data.okvqa
    assert made is not None
    assert made.test_annotations == tmp_path / "mscoco_val2014_annotations.json"
    for name in ("OKVQA_TRAIN_PATH", "OKVQA_VAL_PATH", "COCO_TRAIN_ROOT", "COCO_VAL_ROOT"):
        with pytest.raises(InputError, match=f"{name} names no"):
            recipe_of(places | {name: "/nowhere"})


@pytest.mark.parametrize("merged", [True, False])
def test_vqav2_has_its_own_files(tmp_path: Path, places: dict[str, str], merged: bool):
    vqa = tmp_path / "vqav2"
    (vqa / "vqav2_hf").mkdir(parents=True)
    for year in ("train2014", "val2014"):
        names = [f"v2_OpenEnded_mscoco_{year}_questions.json", f"v2_mscoco_{year}_annotations.json"]
        for name in [f"vqav2_hf/vqav2_mscoco_{year}.json"] if merged else names:
            (vqa / name).write_text("[]")
    made = recipe_of({**places, "VQAV2_PATH": str(vqa)}, data_set="vqav2_local").data.okvqa
    assert made is not None
    assert made.train_questions.parent == (vqa / "vqav2_hf" if merged else vqa)
    assert (made.test_annotations is None) is merged
    other = tmp_path / "val.json"
    other.write_text("[]")
    changed = recipe_of({**places, "VQAV2_PATH": str(vqa), "VQAV2_VAL_PATH": str(other)}, data_set="vqav2_local")
    assert changed.data.okvqa is not None and changed.data.okvqa.test_questions == other
    assert understand(**(GOOD | {"data_set": "vqav2_local"})).data_name == "vqav2"


def test_captions_are_those_of_the_karpathy_split(tmp_path: Path, places: dict[str, str]):
    with pytest.raises(InputError, match=r"no captions of the Karpathy split .*looked for"):
        recipe_of(places, task="caption", data_set="coco2014")
    (tmp_path / "karpathy").mkdir()
    (tmp_path / "karpathy" / "dataset_coco.json").write_text("{}")
    made = recipe_of(places, task="caption", data_set="coco2014")
    assert made.data.captions is not None and made.data.metric == "cider"
    assert made.data.captions.file == tmp_path / "karpathy" / "dataset_coco.json"
    assert (made.data.captions.images, made.vlm.prompt.template) == (tmp_path, "caption")
    with pytest.raises(InputError, match="no captions: leave SHOTSMITH_BUILTIN out"):
        recipe_of({}, builtin=True, task="caption", data_set="coco2014")


def test_results_go_where_the_variable_says():
    assert results({"RESULT_DIR": ""}) == Path("results/okvqa")
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
