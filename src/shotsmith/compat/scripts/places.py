"""Where Lever-Plus's variables say that data sets, images and models lie, as settings of a recipe."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shotsmith.compat.scripts.values import Setting
from shotsmith.errors import InputError

_SPLITS = (("train", "train2014"), ("test", "val2014"))


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set of Lever-Plus's: where its files are looked for."""

    name: str
    """As in results and in the names of files."""
    variable: str
    """Names the folder of its files."""
    folder: str
    """The folder where the variable is not set."""
    files: Mapping[str, str]
    """Split -> the variable that names its file."""
    official: str = ""
    """What the names of its official files begin with."""


DATA_SETS: Mapping[str, DataSet] = {
    "okvqa_local": DataSet(
        "okvqa", "OKVQA_PATH", "datasets/okvqa", {"train": "OKVQA_TRAIN_PATH", "test": "OKVQA_VAL_PATH"}
    ),
    "vqav2_local": DataSet(
        "vqav2", "VQAV2_PATH", "datasets/vqav2", {"train": "VQAV2_TRAIN_PATH", "test": "VQAV2_VAL_PATH"}, "v2_"
    ),
}
CAPTIONS = ("coco2014", "coco2014_local", "coco_local", "coco_karpathy_split")
"""Names of COCO captions in the Karpathy split."""
_KARPATHY = "dataset_coco.json"
_IMAGES: Mapping[str, str] = {"train": "COCO_TRAIN_ROOT", "test": "COCO_VAL_ROOT"}


def questions(environment: Mapping[str, str], data_set: DataSet) -> list[Setting]:
    """`data.okvqa`: questions, annotations and images of both splits.

    Raises InputError naming what is not set, or where files were looked for.
    """
    found: dict[str, Path] = {}
    for split, year in _SPLITS:
        for kind, path in _questions(environment, data_set, split, year).items():
            found[f"{split}_{kind}"] = path
        found[f"{split}_images"] = _images(environment, split, year)
    return [(f"data.okvqa.{name}", json.dumps(str(path))) for name, path in found.items()]


def captions(environment: Mapping[str, str]) -> list[Setting]:
    """`data.captions`: the file of the Karpathy split, and the folder of images."""
    coco = _folder(environment, "COCO_PATH", "datasets/mscoco")
    folders = [Path(environment["KARPATHY_PATH"])] if "KARPATHY_PATH" in environment else [coco, coco / "karpathy"]
    places = [place if place.suffix == ".json" else place / _KARPATHY for place in folders]
    file = _first_there(places, f"captions of the Karpathy split ({_KARPATHY})")
    images = next((place for place in (coco, coco / "mscoco2014") if (place / "val2014").exists()), coco)
    return [("data.captions.file", json.dumps(str(file))), ("data.captions.images", json.dumps(str(images)))]


def _questions(environment: Mapping[str, str], data_set: DataSet, split: str, year: str) -> dict[str, Path]:
    """Questions and annotations in the official layout, or the merged file that stands for both."""
    variable = data_set.files[split]
    if variable not in environment:
        return _in_folder(_folder(environment, data_set.variable, data_set.folder), data_set, year)
    named = Path(environment[variable])
    if named.is_dir():
        return _in_folder(named, data_set, year)
    if not named.exists():
        raise InputError(f"{variable} names no file {named}")
    if "questions" not in named.name:
        return {"questions": named}
    annotations = named.with_name(re.sub("OpenEnded_|questions", _annotations, named.name))
    if not annotations.exists():
        raise InputError(f"{variable} names questions, and there are no annotations {annotations} beside them")
    return {"questions": named, "annotations": annotations}


def _annotations(part: re.Match[str]) -> str:
    return "annotations" if part[0] == "questions" else ""


def _in_folder(folder: Path, data_set: DataSet, year: str) -> dict[str, Path]:
    official = {
        "questions": folder / f"{data_set.official}OpenEnded_mscoco_{year}_questions.json",
        "annotations": folder / f"{data_set.official}mscoco_{year}_annotations.json",
    }
    if all(path.exists() for path in official.values()):
        return official
    name = f"vqav2_mscoco_{year}.json"
    merged = [folder / f"{data_set.name}_hf" / name, folder / name]
    return {"questions": _first_there(merged, "questions", official["questions"])}


def _images(environment: Mapping[str, str], split: str, year: str) -> Path:
    if (variable := _IMAGES[split]) in environment:
        return _folder(environment, variable, "")
    coco = _folder(environment, "COCO_PATH", "datasets/mscoco")
    return _first_there([coco / year, coco / "mscoco2014" / year], "images")


def _folder(environment: Mapping[str, str], name: str, default: str) -> Path:
    folder = Path(environment.get(name) or default)
    if not folder.is_dir():
        how = f"{name} names no folder" if environment.get(name) else f"{name} is not set, and there is no"
        raise InputError(f"{how} {folder}; SHOTSMITH_BUILTIN=1 would use the built-in world instead")
    return folder


def _first_there(paths: list[Path], what: str, *also: Path) -> Path:
    found = next((path for path in paths if path.exists()), None)
    if found is None:
        raise InputError(f"there are no {what}; looked for {', '.join(map(str, (*also, *paths)))}")
    return found
