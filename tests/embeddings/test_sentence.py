from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_encoders import TEXTS as SAVES
from small_encoders import save_bert, save_t5
from transformers import AutoModel, AutoTokenizer, T5EncoderModel

from shotsmith.embeddings.load import load_encoder
from shotsmith.embeddings.sentence import POOLINGS
from shotsmith.errors import InputError
from shotsmith.recipe import EncoderSettings

TEXTS = ["what is this ?", "the", "the colour of a shape " * 9, "where"]


def embed(folder: Path, texts: list[str] = TEXTS):
    return load_encoder(EncoderSettings(text=str(folder))).embed_texts(texts)


def edit(file: Path, **changes: Any) -> None:
    config = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(config | changes))


@torch.no_grad()
def hidden_states(folder: Path, text: str, kind: Any = AutoModel) -> torch.Tensor:
    """The model's own, of one text, without padding: [L, D]."""
    tokens = AutoTokenizer.from_pretrained(folder)([text], truncation=True, max_length=8, return_tensors="pt")
    states = kind.from_pretrained(folder).eval()(input_ids=tokens["input_ids"]).last_hidden_state
    return states[0]


def unit(rows: list[torch.Tensor]) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.stack(rows), dim=-1)


def pooled(states: torch.Tensor, mode: str) -> torch.Tensor:
    weights = torch.arange(1, len(states) + 1)[:, None] / torch.arange(1, len(states) + 1).sum()
    return {
        "cls": states[0],
        "max": states.max(0).values,
        "mean": states.mean(0),
        "mean_sqrt_len_tokens": states.sum(0) / len(states) ** 0.5,
        "weightedmean": (states * weights).sum(0),
        "lasttoken": states[-1],
    }[mode]


@pytest.mark.parametrize("mode", POOLINGS)
def test_embeddings_are_pooled_as_the_folder_says(mode: str, tmp_path: Path) -> None:
    save_bert(tmp_path, pooling_mode=mode)
    expected = unit([pooled(hidden_states(tmp_path, text), mode) for text in TEXTS])
    np.testing.assert_allclose(embed(tmp_path), expected, atol=1e-5)


def test_two_poolings_stand_side_by_side(tmp_path: Path) -> None:
    save_bert(tmp_path, pooling_mode_cls_token=True, pooling_mode_mean_tokens=True)
    states = [hidden_states(tmp_path, text) for text in TEXTS]
    expected = unit([torch.cat([pooled(each, "cls"), pooled(each, "mean")]) for each in states])
    np.testing.assert_allclose(embed(tmp_path), expected, atol=1e-5)


def test_a_decoder_is_pooled_at_the_last_token(tmp_path: Path) -> None:
    SAVES["qwen3"](tmp_path)
    np.testing.assert_allclose(embed(tmp_path), unit([hidden_states(tmp_path, text)[-1] for text in TEXTS]), atol=1e-5)


def test_dense_layers_and_lower_case_are_those_of_the_folder(tmp_path: Path) -> None:
    save_t5(tmp_path)
    weight = torch.load(tmp_path / "2_Dense" / "pytorch_model.bin", weights_only=True)["linear.weight"]
    means = [hidden_states(tmp_path, text, T5EncoderModel).mean(0) for text in TEXTS]
    np.testing.assert_allclose(embed(tmp_path), unit([torch.tanh(weight @ mean) for mean in means]), atol=1e-5)
    np.testing.assert_array_equal(embed(tmp_path, ["THE SHAPE"]), embed(tmp_path, ["the shape"]))
    edit(tmp_path / "sentence_bert_config.json", do_lower_case=False)
    assert not np.array_equal(embed(tmp_path, ["THE SHAPE"]), embed(tmp_path, ["the shape"]))


def test_the_default_prompt_stands_before_every_text(tmp_path: Path) -> None:
    save_bert(tmp_path)
    plain = embed(tmp_path, ["what is this"])
    file = tmp_path / "config_sentence_transformers.json"
    edit(file, prompts={"query": "what is "}, default_prompt_name=None)
    np.testing.assert_array_equal(embed(tmp_path, ["what is this"]), plain)
    edit(file, default_prompt_name="query")
    np.testing.assert_array_equal(embed(tmp_path, ["this"]), plain)
    edit(file, default_prompt_name="passage")
    with pytest.raises(InputError, match="field default_prompt_name: 'passage' is none of the prompts"):
        embed(tmp_path)


def test_the_shorter_length_that_the_folder_allows_is_kept(tmp_path: Path) -> None:
    save_bert(tmp_path)
    edit(tmp_path / "sentence_bert_config.json", max_seq_length=4)
    np.testing.assert_array_equal(embed(tmp_path, ["what is this"]), embed(tmp_path, ["what is where"]))


@pytest.mark.parametrize(
    ("file", "changes", "problem"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "median"}, r"field pooling_mode: 'median' is none of cls, "),
        (
            "1_Pooling/config.json",
            {"word_embedding_dimension": "x"},
            "field embedding_dimension: is not",
        ),
        ("2_Dense/config.json", {"activation_function": "os.system"}, "field activation_function: 'os.system'"),
        ("2_Dense/config.json", {"module_input_name": "token_embeddings"}, "field module_input_name"),
        ("2_Dense/config.json", {"use_residual": True}, "residual layers are not supported"),
        ("2_Dense/config.json", {"in_features": 5}, r"pytorch_model\.bin: does not hold the weights"),
        ("3_Normalize/config.json", {"module_input_name": "token_embeddings"}, "field module_input_name"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "field transformer_task: 'fill-mask'"),
    ],
)
def test_what_is_not_supported_is_refused_by_file_and_field(
    file: str, changes: dict[str, object], problem: str, tmp_path: Path
) -> None:
    save_t5(tmp_path)
    edit(tmp_path / file, **changes)
    with pytest.raises(InputError, match=problem):
        embed(tmp_path)


class Program:
    """Makes a folder where it is unpickled the usual way."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("kind", ["code", "cut", "list", "empty"])
@pytest.mark.parametrize("place", ["2_Dense/pytorch_model.bin", "pytorch_model.bin"])
def test_pickled_weights_that_are_no_plain_tensors_are_refused_by_file(kind: str, place: str, tmp_path: Path) -> None:
    save_t5(tmp_path)
    if place == "pytorch_model.bin":
        (tmp_path / "model.safetensors").unlink()
    file, trace = tmp_path / place, tmp_path / "trace"
    torch.save({"linear.weight": Program(trace)} if kind == "code" else [1, 2], file)
    if kind in ("cut", "empty"):
        file.write_bytes(file.read_bytes()[: 200 if kind == "cut" else 0])
    with pytest.raises(InputError, match=re.escape(str(file if "/" in place else tmp_path))):
        embed(tmp_path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("row", "module", "problem"),
    [
        (0, {"type": "sentence_transformers.models.CLIPModel", "path": ""}, "row 0: the module .*CLIPModel is none"),
        (2, {"type": "evil.Module", "path": "2_Dense"}, r"row 2: the module evil\.Module is none"),
        (2, {"type": "sentence_transformers.models.Dense", "path": "../.."}, "row 2: the module lies outside"),
        (1, {"type": "sentence_transformers.models.Normalize", "path": ""}, "does not begin with the modules"),
        (1, "Pooling", "row 1: is not a list of modules"),
    ],
)
def test_other_modules_are_refused(row: int, module: object, problem: str, tmp_path: Path) -> None:
    save_t5(tmp_path)
    listed = json.loads((tmp_path / "modules.json").read_text())
    listed[row] = module
    (tmp_path / "modules.json").write_text(json.dumps(listed))
    with pytest.raises(InputError, match=problem):
        embed(tmp_path)


@pytest.mark.parametrize("name", SAVES)
def test_embeddings_are_those_of_the_package_sentence_transformers(name: str, tmp_path: Path) -> None:
    package = pytest.importorskip("sentence_transformers", reason="compares with the package, where it is installed")
    SAVES[name](tmp_path)
    own = package.SentenceTransformer(str(tmp_path), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(embed(tmp_path), own, atol=1e-5)
