"""A folder of imported rollouts, from files as the predecessor left them."""

from __future__ import annotations

from pathlib import Path

from compat.formats import BEAM, Size, write_formats

from shotsmith.compat.files.assemble import assemble, read_files
from shotsmith.compat.files.folder import write_imported


def write_import(folder: Path, names: tuple[str, ...] = (), size: Size | None = None, seed: int = 0) -> None:
    """Import some of the files: RL data, beam data and embeddings where none are named."""
    files = write_formats(folder.with_name(f"{folder.name}-files"), size, seed)
    sources = read_files(files[name] for name in names or ("rl_data.json", BEAM, "candidate_embeddings.pt"))
    write_imported(folder, assemble(sources), [(source.file, source.format) for source in sources])
