"""RL data where the predecessor's scripts keep them, imported so that training can go on from them without a VLM."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from shotsmith.errors import InputError
from shotsmith.files import file_digest, read_json
from shotsmith.predecessor.arguments import SAMPLERS, Job, results
from shotsmith.predecessor.assemble import assemble, read_files
from shotsmith.predecessor.environment import given
from shotsmith.predecessor.folder import MANIFEST, write_imported

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
