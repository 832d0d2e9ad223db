"""Embeddings as torch and numpy write them, and files that are something else: nothing in them ever runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.compat.files.embeddings import NotAnArray, read_array, read_embeddings, role_of
from shotsmith.compat.files.recognise import read_file
from shotsmith.errors import ShotsmithError

VALUES = np.linspace(-1, 1, 12).reshape(4, 3)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_every_pickle_protocol_are_read(kind: str, order: Any) -> None:
    array = np.asarray(VALUES, dtype=kind, order=order)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert np.array_equal(read_array(pickle.dumps(array, protocol)), array)
    swapped = array.astype(array.dtype.newbyteorder(">"))
    assert np.array_equal(read_array(pickle.dumps(swapped)), array)


@pytest.mark.parametrize("value", [torch.tensor(VALUES), torch.tensor(VALUES, dtype=torch.bfloat16), VALUES])
def test_what_torch_saved_is_read(value: Any, tmp_path: Path) -> None:
    file = tmp_path / "query_embeddings.pt"
    torch.save(value, file)
    expected = value.float().numpy() if isinstance(value, torch.Tensor) else value
    assert np.array_equal(read_embeddings(file), expected.astype(np.float32))


class Malicious:
    """Makes a file where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("wrap", [lambda evil: evil, lambda evil: [VALUES, evil], lambda evil: {"a": evil}])
def test_no_code_of_a_pickle_runs(wrap: Any, tmp_path: Path) -> None:
    trace, file = tmp_path / "trace", tmp_path / "evil.pth"
    evil = wrap(Malicious(trace))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        file.write_bytes(pickle.dumps(evil, protocol))
        for form in (None, "embeddings"):
            with pytest.raises(ShotsmithError):
                read_file(file, form)
    torch.save(evil, file)
    with pytest.raises(ShotsmithError, match="needs"):
        read_file(file)
    assert not trace.exists()


def test_a_refusal_says_what_the_file_wanted(tmp_path: Path) -> None:
    with pytest.raises(NotAnArray, match=r"mkdir', which is code"):
        read_array(pickle.dumps(Malicious(tmp_path / "trace")))
    file = tmp_path / "grpo_epoch2.pt"
    torch.save({"epoch": 2, "model_state_dict": {}}, file)
    with pytest.raises(ShotsmithError, match=r"grpo_epoch2.pt: holds a dictionary .*convert"):
        read_embeddings(file)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (torch.tensor([[1.0, float("nan")]]), "row 0, field 1: is no number an embedding can have: nan"),
        (torch.tensor([[1.0], [1e30]]), "row 1, field 0"),
        (torch.ones(3), "matrix"),
        (torch.ones(0, 3), "matrix"),
        (torch.ones(2, 2, dtype=torch.int64), "no tensor of floating-point numbers"),
        (torch.ones(1, 1).expand(100_000, 100_000), "cannot hold a tensor of shape"),
        (np.array([["a"]]), "not floating-point numbers"),
        (np.array([[object()]], dtype=object), "needs"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(value: Any, said: str, tmp_path: Path) -> None:
    file = tmp_path / "embeddings.pt"
    torch.save(value, file)
    with pytest.raises(ShotsmithError) as caught:
        read_embeddings(file)
    assert said in str(caught.value)


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_no_crash(data: bytes) -> None:
    with pytest.raises(NotAnArray):
        read_array(b"\x80\x04" + data)


def test_the_role_is_in_the_name() -> None:
    names = {"query_embeddings.pt": "query", "candidate_embeddings.pt": "candidate", "x-ImgFeatures.pth": "image"}
    names |= {"x-TextFeatures.pth": "text", "clip.pt": "candidate"}
    assert {name: role_of(Path(name)) for name in names} == names
