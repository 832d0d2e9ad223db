"""The positional arguments of the predecessor's scripts and the folders they work in, as a recipe's settings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shotsmith.errors import InputError
from shotsmith.predecessor.environment import Setting

PROMPT = "query_img_text_icd_img_text"
"""Image and text of the query and of every demonstration: what our policies and prompts always see."""

SAMPLERS: Mapping[str, tuple[str, str]] = {
    "rand_sampler": ("RandSampler", "random"),
    "text_sim_sampler": ("TextSimSampler", "text_similar"),
    "img_sim_sampler": ("ImgSimSampler", "image_similar"),
    "mix_sampler": ("MixSampler", "mix_sampler"),
}
"""Name there -> name in paths, and `pools.sampler`."""

MODELS: Mapping[str, tuple[str, str]] = {
    "qwen2.5_vl_3B": ("Qwen2_5-VL-3B-Instruct", "Qwen/Qwen2.5-VL-3B-Instruct"),
    "qwen2_5_vl_3B": ("Qwen2_5-VL-3B-Instruct", "Qwen/Qwen2.5-VL-3B-Instruct"),
}
"""Name there -> name in paths, and on the hub."""

VERSIONS = ("v2", "v3")
"""The networks whose checkpoints can be read; v3 is v2 trained on."""

CLIP = "openai/clip-vit-base-patch32"
BUILTIN_WORLD = {"preset": "first", "seed": 0, "train": 1500, "val": 200, "test": 800}
BUILTIN_QUERIES = {"train_queries": 200, "val_queries": 50}
"""What SHOTSMITH_BUILTIN=1 puts in the place of OK-VQA: enough for 800 test queries, drawn in less than a minute."""
_TRAIN_QUERIES = {"train_queries": 640, "val_queries": 160}
"""Of the 800 it sampled, the first four fifths were trained on."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the positional arguments say."""

    device: int
    """Number of the GPU."""
    sampler: str
    model: str

    @property
    def settings(self) -> list[Setting]:
        """The sampler of pools. Its pools hold 64 candidates, in training and in the test."""
        return [("pools.sampler", SAMPLERS[self.sampler][1]), ("pools.size", "64")]

    def folder(self, version: str) -> str:
        """How the predecessor calls the folder of such a policy: v3_RandSampler_Qwen2_5-VL-3B-Instruct."""
        return f"{version}_{SAMPLERS[self.sampler][0]}_{MODELS[self.model][0]}"


def understand(task: str, data_set: str, device: str, prompt: str, sampler: str, model: str) -> Job:
    """Check the six arguments that all scripts share. Raises InputError listing every one that is not understood."""
    faults = [
        *_unknown("task", task, ("vqa",)),
        *_unknown("data set", data_set, ("okvqa_local",)),
        *_unknown("prompt", prompt, (PROMPT,)),
        *_unknown("sampler", sampler, SAMPLERS),
        *_unknown("model", model, MODELS),
    ]
    if not device.isascii() or not device.isdecimal():
        faults.insert(2 - len(faults), f"device '{device}' is not the number of a GPU (0 also where there is none)")
    if faults:
        raise InputError("; ".join(faults))
    return Job(int(device), sampler, model)


def understand_test(version: str, queries: str) -> int:
    """Check the two arguments of inference. Returns the number of test queries."""
    faults = _unknown("version", version, VERSIONS)
    if not queries.isascii() or not queries.isdecimal() or int(queries) < 2:
        faults.append(f"'{queries}' is not a number of test queries (2 or more)")
    if faults:
        raise InputError("; ".join(faults))
    return int(queries)


def data_settings(environment: Mapping[str, str], model: str, builtin: bool) -> list[Setting]:
    """Data set, encoder and VLM: the built-in ones, or those that OKVQA_PATH, COCO_PATH and the model name.

    Raises InputError naming what is not set, or where files were looked for.
    """
    shared = [("encoder.joined", "mean")]
    if builtin:
        counts = [(f"data.{name}", str(count)) for name, count in BUILTIN_QUERIES.items()]
        return [*shared, ("data.world", json.dumps(BUILTIN_WORLD)), ("beam.queries", "100"), *counts]
    okvqa, coco = (_place(environment, name, default) for name, default in _PLACES)
    files = {
        **{f"{split}_{kind}": path for split, year in _SPLITS for kind, path in _questions(okvqa, year).items()},
        **{f"{split}_images": _images(coco, year) for split, year in _SPLITS},
    }
    paths = [(f"data.okvqa.{name}", json.dumps(str(path))) for name, path in files.items()]
    counts = [(f"data.{name}", str(count)) for name, count in _TRAIN_QUERIES.items()]
    models = [("vlm.path", MODELS[model][1]), ("vlm.dtype", "bfloat16"), *_ASKED]
    drawn = [("data.balance_train_queries", "false"), ("beam.queries", str(_TRAIN_QUERIES["train_queries"]))]
    return [*shared, ("data.world", "null"), *paths, *counts, *drawn, *models, ("encoder.path", CLIP)]


def results(environment: Mapping[str, str]) -> Path:
    """Where results of OK-VQA go: RESULT_DIR/okvqa, or ./results/okvqa."""
    return Path(environment.get("RESULT_DIR") or "results") / "okvqa"


def reward_suffix(environment: Mapping[str, str]) -> str:
    """What its scripts add to the folder's name for another reward than the usual one."""
    mode = environment.get("REWARD_MODE", "hard_plus_soft")
    if mode != "hard_plus_soft":
        return f"_{mode}"
    weights = (environment.get("HARD_WEIGHT", "1.0"), environment.get("SOFT_WEIGHT", "1.0"))
    return "" if weights == ("1.0", "1.0") else f"_h{weights[0]}_s{weights[1]}"


_PLACES = (("OKVQA_PATH", "datasets/okvqa"), ("COCO_PATH", "datasets/mscoco"))
_ASKED = (("vlm.decoding", "predecessor"), ("vlm.prompt.template", "vqa"))
"""As it asked and read its VLM."""
_SPLITS = (("train", "train2014"), ("test", "val2014"))


def _unknown(what: str, given: str, known: Iterable[str]) -> list[str]:
    known = list(known)
    return [] if given in known else [f"{what} '{given}' is not one of those understood here: {', '.join(known)}"]


def _place(environment: Mapping[str, str], name: str, default: str) -> Path:
    folder = Path(environment.get(name) or default)
    if not folder.is_dir():
        how = f"{name} names no folder" if environment.get(name) else f"{name} is not set, and there is no"
        raise InputError(f"{how} {folder}; SHOTSMITH_BUILTIN=1 would use the built-in world instead")
    return folder


def _questions(okvqa: Path, year: str) -> dict[str, Path]:
    """Questions and annotations in the official layout, or the merged file that stands for both."""
    official = {
        "questions": okvqa / f"OpenEnded_mscoco_{year}_questions.json",
        "annotations": okvqa / f"mscoco_{year}_annotations.json",
    }
    if all(path.exists() for path in official.values()):
        return official
    name = f"vqav2_mscoco_{year}.json"
    return {"questions": _first_there([okvqa / "okvqa_hf" / name, okvqa / name], "questions", official["questions"])}


def _images(coco: Path, year: str) -> Path:
    return _first_there([coco / year, coco / "mscoco2014" / year], "images")


def _first_there(paths: list[Path], what: str, *also: Path) -> Path:
    found = next((path for path in paths if path.exists()), None)
    if found is None:
        raise InputError(f"there are no {what}; looked for {', '.join(map(str, (*also, *paths)))}")
    return found
