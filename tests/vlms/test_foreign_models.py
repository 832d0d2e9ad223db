"""A model folder from elsewhere runs no code, holds all of its weights, and its chat template ends."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_clip import write_tiny_clip
from small_vlm import save_plain

from shotsmith.embeddings.load import load_encoder
from shotsmith.errors import InputError
from shotsmith.recipe import EncoderSettings, VLMSettings
from shotsmith.vlms.pretrained.loading import load_pretrained
from shotsmith.vlms.prompting import chat_template
from shotsmith.vlms.prompting.chat_template import render_chat

CODE = "from pathlib import Path\nPath({ran!r}).touch()\n"
LOADERS = {
    "clip": (write_tiny_clip, lambda folder: load_encoder(EncoderSettings(path=str(folder)))),
    "vlm": (save_plain, lambda folder: load_pretrained(VLMSettings(path=str(folder)))),
}


def change_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.fixture(params=LOADERS)
def model(request, tmp_path: Path):
    write, load = LOADERS[request.param]
    folder = tmp_path / "model"
    write(folder)
    load(folder)
    return folder, load


@pytest.mark.parametrize("answer", ["y\n", "n\n", ""])
def test_python_in_a_model_folder_is_never_run_whatever_is_typed(tmp_path, monkeypatch, model, answer: str) -> None:
    folder, load = model
    ran = tmp_path / "ran"
    (folder / "code.py").write_text(CODE.format(ran=str(ran)))
    names = ("AutoConfig", "AutoModel", "AutoModelForImageTextToText", "AutoProcessor", "AutoTokenizer")
    auto = {name: "code.Anything" for name in names}
    change_json(folder / "config.json", model_type="unheard_of", auto_map=auto)
    for name in ("tokenizer_config.json", "preprocessor_config.json", "processor_config.json"):
        if (folder / name).exists():
            change_json(folder / name, auto_map=auto, tokenizer_class="Anything", processor_class="Anything")
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    with pytest.raises(InputError) as caught:
        load(folder)
    assert str(folder) in str(caught.value) and not ran.exists()


def test_weights_that_are_missing_unexpected_or_of_another_shape_are_refused(model) -> None:
    folder, load = model
    file = folder / "model.safetensors"
    whole = load_file(file)
    name = next(key for key in sorted(whole) if whole[key].dim() == 2 and "layers" in key)
    for changed, problem in (
        ({key: value for key, value in whole.items() if key != name}, "lacks weights"),
        ({**whole, "strange.weight": torch.ones(2)}, "has unexpected weights"),
        ({**whole, name: torch.ones(3, 5)}, "has weights of another shape"),
    ):
        save_file(changed, file, {"format": "pt"})
        with pytest.raises(InputError, match=problem) as caught:
            load(folder)
        assert str(folder) in str(caught.value)


def test_an_encoder_of_another_type_is_refused_by_its_name(tmp_path: Path) -> None:
    write_tiny_clip(tmp_path / "clip")
    change_json(tmp_path / "clip" / "config.json", model_type="altclip")
    with pytest.raises(InputError, match="altclip"):
        load_encoder(EncoderSettings(path=str(tmp_path / "clip")))


def templated(source: str) -> SimpleNamespace:
    from transformers.utils.chat_template_utils import render_jinja_template

    def apply(chat, tokenize=False, **options):
        return render_jinja_template([chat], chat_template=source, **options)[0][0]

    return SimpleNamespace(apply_chat_template=apply)


def test_a_chat_template_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_template, "SECONDS", 0.3)
    endless = "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"
    with pytest.raises(InputError, match=r"more than 0\.3 seconds"):
        render_chat(templated(endless), [])
    assert render_chat(templated("{{ messages | length }}"), [{"role": "user"}]) == "1"


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('no system turn') }}",
        "{{ 1 / 0 }}",
        "{{ messages[9].role }}",
        "{% if %}",
        "{{ ''.x.y }}",
        "{{ [1] + 'a' }}",
        "{{ messages | tojson | int + none }}",
        "{{ self.__init__.__globals__ }}",
    ],
)
def test_what_fails_in_a_chat_template_is_our_error(source: str) -> None:
    with pytest.raises(InputError, match="chat template cannot render"):
        render_chat(templated(source), [{"role": "user"}])
