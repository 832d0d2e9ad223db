"""The positional arguments of the scripts and the folders they work in, as settings; RL data recorded there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shotsmith.compat.files.assemble import assemble, read_files
from shotsmith.compat.files.folder import MANIFEST, write_imported
from shotsmith.compat.scripts.environment import given
from shotsmith.compat.scripts.places import CAPTIONS, DATA_SETS, captions, questions
from shotsmith.compat.scripts.values import Setting
from shotsmith.errors import InputError
from shotsmith.files import file_digest, read_json

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
    "flamingo_3B": ("flamingo_3B", "openflamingo/OpenFlamingo-3B-vitl-mpt1b"),
}
"""Name there -> name in paths, and on the hub. Other models are named by their path or hub id."""

TASKS = ("vqa", "caption")
VERSIONS = ("v0", "v1", "v2", "v3", "v4")
"""Names of its networks. They name folders: a checkpoint says itself what it is."""
ALL = -1
"""The number of queries that stands for all."""

CLIP = "openai/clip-vit-base-patch32"
BUILTIN_WORLD = {"preset": "first", "seed": 0, "train": 1500, "val": 200, "test": 800}
BUILTIN_QUERIES = {"train_queries": 200, "val_queries": 50}
"""What SHOTSMITH_BUILTIN=1 puts in the place of OK-VQA: enough for 800 test queries, drawn in less than a minute."""
_TRAIN_QUERIES = {"train_queries": 640, "val_queries": 160}
"""Of the 800 it sampled, the first four fifths were trained on."""
_PLAIN = re.compile("flamingo|idefics-9b", re.IGNORECASE)
"""Models that know no chat."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the positional arguments say."""

    device: int | None
    """Number of the GPU; None for the CPU."""
    sampler: str
    model: str
    task: str = "vqa"
    data_set: str = "okvqa_local"

    @property
    def settings(self) -> list[Setting]:
        """The sampler of pools. Its pools hold 64 candidates, in training and in the test."""
        return [("pools.sampler", SAMPLERS[self.sampler][1]), ("pools.size", "64")]

    @property
    def model_name(self) -> str:
        """The model in paths."""
        return _model_name(self.model)

    @property
    def data_name(self) -> str:
        """The data set in paths."""
        return DATA_SETS[self.data_set].name if self.data_set in DATA_SETS else "coco"

    def folder(self, version: str) -> str:
        """How Lever-Plus calls the folder of such a policy: v3_RandSampler_Qwen2_5-VL-3B-Instruct."""
        return f"{version}_{SAMPLERS[self.sampler][0]}_{self.model_name}"


def understand(
    task: str,
    data_set: str,
    device: str,
    prompt: str,
    sampler: str,
    model: str,
    tasks: Iterable[str] = TASKS,
) -> Job:
    """Check the six arguments that all scripts share; `tasks` are those that the script does.

    Raises InputError listing every one that is not understood.
    """
    faults = [
        *_unknown("task", task, tasks),
        *_unknown("data set", data_set, CAPTIONS if task == "caption" else DATA_SETS),
        *_unknown("prompt", prompt, (PROMPT,)),
        *_unknown("sampler", sampler, SAMPLERS),
    ]
    gpu = re.fullmatch(r"(?:cuda:)?([0-9]{1,3})|cuda|cpu", device, re.ASCII)
    if gpu is None:
        faults.append(f"device '{device}' is neither the number of a GPU (0 also where there is none), cuda:N nor cpu")
    if model not in MODELS and "/" not in model and not Path(model).is_dir():
        faults.append(f"model '{model}' is none of {', '.join(MODELS)}, nor a folder, nor a hub id (owner/name)")
    if gpu is None or faults:
        raise InputError("; ".join(faults))
    number = None if device == "cpu" else int(gpu[1] or 0)
    return Job(number, sampler, model, task, data_set)


def understand_test(version: str, queries: str) -> int:
    """Check the two arguments of inference. Returns the number of test queries, ALL for all of them."""
    faults = _unknown("version", version, VERSIONS)
    if queries != str(ALL) and (not queries.isascii() or not queries.isdecimal() or int(queries) < 2):
        faults.append(f"'{queries}' is not a number of test queries (2 or more, or -1 for all)")
    if faults:
        raise InputError("; ".join(faults))
    return int(queries)


def data_settings(
    environment: Mapping[str, str], model: str, builtin: bool, task: str = "vqa", data_set: str = "okvqa_local"
) -> list[Setting]:
    """Data set, encoder and VLM: the built-in ones, or those that the variables and the arguments name.

    A model that is named by its path is used in the built-in world too. Raises InputError naming what is not set, or
    where files were looked for.
    """
    shared, environment = [("encoder.joined", "mean")], given(environment)
    named = [] if builtin and model in MODELS else _model(environment, model, task)
    if builtin and task == "caption":
        raise InputError("the built-in world has questions and no captions: leave SHOTSMITH_BUILTIN out")
    if builtin:
        counts = [(f"data.{name}", str(count)) for name, count in BUILTIN_QUERIES.items()]
        return [*shared, ("data.world", json.dumps(BUILTIN_WORLD)), ("beam.queries", "100"), *counts, *named]
    paths = captions(environment) if task == "caption" else questions(environment, DATA_SETS[data_set])
    counts = [(f"data.{name}", str(count)) for name, count in _TRAIN_QUERIES.items()]
    drawn = [("data.balance_train_queries", "false"), ("beam.queries", str(_TRAIN_QUERIES["train_queries"]))]
    return [*shared, ("data.world", "null"), *paths, *counts, *drawn, *named, ("encoder.path", CLIP)]


def results(environment: Mapping[str, str], name: str = "okvqa") -> Path:
    """Where results of a data set go: RESULT_DIR/okvqa, or ./results/okvqa."""
    return Path(given(environment).get("RESULT_DIR", "results")) / name


def reward_suffix(environment: Mapping[str, str]) -> str:
    """What its scripts add to the folder's name for another reward than the usual one."""
    known = given(environment)
    mode = known.get("REWARD_MODE", "hard_plus_soft")
    if mode != "hard_plus_soft":
        return f"_{mode}"
    weights = (known.get("HARD_WEIGHT", "1.0"), known.get("SOFT_WEIGHT", "1.0"))
    return "" if weights == ("1.0", "1.0") else f"_h{weights[0]}_s{weights[1]}"


def _model_name(model: str) -> str:
    return MODELS[model][0] if model in MODELS else re.sub(r"[^A-Za-z0-9._-]", "_", Path(model).name)


def _model(environment: Mapping[str, str], model: str, task: str) -> list[Setting]:
    """The VLM, asked and read as Lever-Plus asked and read it.

    CHECKPOINT_PATH is a folder of models: the one named is taken from there where it is there.
    """
    path = MODELS[model][1] if model in MODELS else model
    if "CHECKPOINT_PATH" in environment:
        folder = Path(environment["CHECKPOINT_PATH"])
        names = dict.fromkeys((path, Path(path).name, _model_name(model), model))
        path = next((str(folder / name) for name in names if (folder / name / "config.json").exists()), path)
    plain = _PLAIN.search(path) is not None
    template = "caption" if task == "caption" else "flamingo" if plain else "vqa"
    asked = [("vlm.decoding", "predecessor"), ("vlm.prompt.template", template), ("vlm.dtype", "bfloat16")]
    if task == "caption":
        asked.append(("vlm.max_new_tokens", "20"))
    return [("vlm.path", json.dumps(path)), *asked, *([("vlm.prompt.layout", "plain")] if plain else [])]


def _unknown(what: str, given: str, known: Iterable[str]) -> list[str]:
    known = list(known)
    return [] if given in known else [f"{what} '{given}' is not one of those understood here: {', '.join(known)}"]


EMBEDDINGS = ("query_embeddings.pt", "candidate_embeddings.pt")


def recorded_files(environment: Mapping[str, str], job: Job) -> list[Path]:
    """RL data (RL_DATA_PATH, or below RESULT_DIR), with embeddings, and beam data if there are any; else nothing.

    Raises InputError where RL data are named or there, but not what is needed beside them.
    """
    place, named = results(environment, job.data_name), given(environment).get("RL_DATA_PATH")
    sampler, model = SAMPLERS[job.sampler][0], job.model_name
    rl_data = Path(named) if named else place / "generated_data" / f"rl_data_{sampler}_{model}.json"
    if not rl_data.exists():
        if named:
            raise InputError("no such file; RL_DATA_PATH names it", file=rl_data)
        return []
    embeddings = [file for name in EMBEDDINGS if (file := place / "cache" / name).exists()]
    if not embeddings:
        raise InputError(
            f"are RL data to train on, but there is no {place / 'cache' / EMBEDDINGS[0]} beside them; put it there, or "
            "move the RL data away to have rollouts made anew",
            file=rl_data,
        )
    return [rl_data, *embeddings, *_beam_data(place / "generated_data", job.data_name, sampler, model)]


def import_once(files: Iterable[Path], folder: Path) -> None:
    """Import the files into `folder`, unless it holds an import of these very files."""
    files = list(files)
    wanted = [file_digest(file) for file in files]
    if (folder / MANIFEST).exists():
        sources = read_json(folder / MANIFEST).get("sources", [])
        if [source.get("sha256") for source in sources] == wanted:
            return
    sources = read_files(files)
    write_imported(folder, assemble(sources), [(source.file, source.format) for source in sources])


def _beam_data(folder: Path, data: str, sampler: str, model: str) -> list[Path]:
    """The file of beam search with this sampler and model. Raises InputError where it could be one of several."""
    found = [
        file
        for file in sorted(folder.glob(f"vqa-{data}-*-{sampler}-scorer:infoscore-*.json"))
        if _letters(file.name.removeprefix(f"vqa-{data}-").split(f"-{sampler}-")[0]) == _letters(model)
    ]
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise InputError(f"holds several files of beam data ({names}); leave one", file=folder)
    return found


def _letters(name: str) -> str:
    """A name without what is written now so, now so: 2.5 and 2_5."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
