"""Damaged checkpoints are a clear error, at once, and nothing in them is run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from damaged_checkpoints import KINDS, LIMIT_SECONDS, fuzz, write_whole
from published_checkpoints import network, v3_value

from shotsmith.compat.checkpoints.convert import read_policy
from shotsmith.compat.checkpoints.torch_archive import read_archive, read_tensors
from shotsmith.errors import CheckpointError


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_variants_are_clear_errors(tmp_path: Path, kind: str):
    outcome = fuzz(kind, range(120), tmp_path)
    assert outcome.unexplained == []
    assert (outcome.code_run, outcome.changed) == (0, 0)
    assert outcome.errors > 80
    assert outcome.slowest < LIMIT_SECONDS


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_file_is_read(tmp_path: Path, kind: str):
    """Otherwise every variant would be an error for nothing."""
    read_policy(write_whole(kind, tmp_path))


class Evil:
    """Runs code when a pickle of it is loaded the usual way."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return open, (str(self.marker), "w")  # type: ignore[return-value]


def test_a_file_that_would_run_code_is_refused_with_its_reason(tmp_path: Path):
    file, marker = tmp_path / "c.pt", tmp_path / "marker"
    torch.save(v3_value(network().state_dict()) | {"extra": Evil(marker)}, file)
    with pytest.raises(CheckpointError, match=r"needs _?io\.open to be read.*refused"):
        read_policy(file)
    assert not marker.exists()
    torch.load(file, weights_only=False)  # the file is what it is said to be
    assert marker.exists()


def test_all_that_could_run_code_is_listed(tmp_path: Path):
    torch.save(v3_value(network().state_dict()) | {"extra": [Evil(tmp_path / "marker"), Program()]}, tmp_path / "c.pt")
    with pytest.raises(CheckpointError) as caught:
        read_policy(tmp_path / "c.pt")
    assert all(name in str(caught.value) for name in ("io.open", "getpid"))
    assert not (tmp_path / "marker").exists()


class Program:
    """Calls a function of the operating system when a pickle of it is loaded the usual way."""

    def __reduce__(self) -> tuple[object, tuple[()]]:
        import os

        return os.getpid, ()


def test_a_tensor_that_claims_more_than_its_record_is_not_read_beyond_it(tmp_path: Path):
    import zipfile

    torch.save(torch.arange(100.0), tmp_path / "honest.pt")
    honest = read_archive(tmp_path / "honest.pt").value
    assert read_tensors(tmp_path / "honest.pt", {"w": honest})["w"].equal(torch.arange(100.0))
    with zipfile.ZipFile(tmp_path / "honest.pt") as whole, zipfile.ZipFile(tmp_path / "c.pt", "w") as forged:
        for member in whole.infolist():
            data = whole.read(member)
            forged.writestr(member.filename, data.replace(b"Kd", b"J\x00\x00\x00\x10"))
    claimed = read_archive(tmp_path / "c.pt").value
    assert claimed.numel == 2**28
    with pytest.raises(CheckpointError, match="field w: is damaged"):
        read_tensors(tmp_path / "c.pt", {"w": claimed})


@pytest.mark.parametrize("change", [{"offset": 1}, {"stride": (2,)}, {"size": (101,)}, {"stored": 200}])
def test_a_tensor_reaches_no_further_than_its_storage(tmp_path: Path, change: dict[str, object]):
    torch.save(torch.arange(100.0), tmp_path / "c.pt")
    claimed = replace(read_archive(tmp_path / "c.pt").value, **change)
    with pytest.raises(CheckpointError, match="field w: is damaged"):
        read_tensors(tmp_path / "c.pt", {"w": claimed})
