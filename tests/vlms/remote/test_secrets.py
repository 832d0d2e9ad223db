"""Keys and credentials reach the server, and nothing that is written or shown."""

from __future__ import annotations

import base64
import logging
import pickle
import sqlite3
from pathlib import Path

import pytest
import yaml
from stub_server import Stub, asked, completion, load
from typer.testing import CliRunner

from shotsmith.cli import app
from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.errors import InputError, RecipeError, ShotsmithError, VLMError
from shotsmith.recipe import VLMSettings, dump_recipe, parse_recipe
from shotsmith.recipe.urls import hiding_credentials, without_credentials
from shotsmith.records import Example
from shotsmith.runs import Run, show
from shotsmith.vlms.load import load_vlm
from shotsmith.vlms.remote.redaction import Redaction

pytestmark = pytest.mark.usefixtures("quick")

KEY = "sk-very/secret+key=0123"
PASSWORD = "s3cret:pass word"
QUOTED = "s3cret%3Apass%20word"
BASIC = base64.b64encode(f"someone:{PASSWORD}".encode()).decode()


def with_account(stub: Stub) -> str:
    return stub.url.replace("http://", f"http://someone:{QUOTED}@") + "?token=hidden-token"


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_KEY", f"{KEY}\n")


def check_hidden(text: str) -> None:
    for form in (KEY, PASSWORD, QUOTED, BASIC, "hidden-token", "someone"):
        assert form.lower() not in text.lower()


@pytest.mark.usefixtures("secret")
def test_the_key_and_the_credentials_of_the_address_are_sent(stub: Stub, examples: list[Example]) -> None:
    heard: list[str] = []
    stub.words = lambda handler: heard.append(handler.headers["Authorization"] + handler.path) or ""
    stub.fault = lambda _body: "400"
    load(stub, api_key_env="STUB_KEY").complete(asked(examples, 1))
    load(stub, url=with_account(stub)).complete(asked(examples, 1))
    assert heard == [
        f"Bearer {KEY}/v1/chat/completions",
        f"Basic {BASIC}/v1/chat/completions?token=hidden-token",
    ]


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("status", ["400", "401", "429", "500"])
@pytest.mark.parametrize("by_key", [True, False], ids=["key", "address"])
def test_an_echo_of_them_in_an_error_reaches_no_message_no_log_and_no_store(
    stub: Stub, examples: list[Example], status: str, by_key: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stub.words = lambda handler: (
        f": got {handler.headers['Authorization']} on {handler.path} for {KEY} {PASSWORD} {QUOTED} {QUOTED.upper()}"
    )
    vlm = load(stub, api_key_env="STUB_KEY", retries=1) if by_key else load(stub, url=with_account(stub), retries=1)
    stub.fault = lambda _body: status
    told = []
    file = tmp_path / "store.sqlite"
    with Store.open(file) as store:
        try:
            told += map(str, Collector(store, vlm).ask(asked(examples, 2), "here"))
        except ShotsmithError as error:
            told.append(str(error))
        told += store.failures()
    assert any("made up" in one for one in told)
    written = "".join(one.read_bytes().decode(errors="replace") for one in tmp_path.iterdir())
    shown = "\n".join([*told, caplog.text, vlm.identity, written])
    for form in (KEY,) if by_key else (PASSWORD, QUOTED, BASIC, "hidden-token"):
        assert form.lower() not in shown.lower()


@pytest.mark.usefixtures("secret")
def test_a_text_that_holds_the_key_is_not_stored(stub: Stub, examples: list[Example], tmp_path: Path) -> None:
    stub.fault = lambda _body: completion(f"the key is {KEY}")
    with Store.open(tmp_path / "store.sqlite") as store:
        (failed,) = Collector(store, load(stub, api_key_env="STUB_KEY")).ask(asked(examples, 1), "here")
    check_hidden(str(failed))
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        check_hidden("\n".join(connection.iterdump()))


def test_the_copy_of_a_recipe_and_everything_shown_of_it_have_no_credentials(tmp_path: Path) -> None:
    urls = [f"http://someone:{QUOTED}@host:8000/v1?api-version=1&token=hidden-token", "https://hidden-token@host/v1"]
    recipe = parse_recipe(
        {
            "data": {"world": {}},
            "vlm": {"server": {"url": urls[0]}, "ray": {"servers": urls}},
            "supervised": {"epochs": 0},
            "reward": {"answer_probability": 0},
        }
    )
    run = Run.create(tmp_path / "run", recipe)
    check_hidden("\n".join([dump_recipe(recipe), str(show(run)), str(show(Run.open(run.folder))), repr(recipe)]))
    check_hidden("".join(file.read_text() for file in run.folder.iterdir()))
    written = yaml.safe_load(run.recipe_file.read_text())["vlm"]
    assert written["server"]["url"] == "http://***@host:8000/v1?api-version=1&token=***"
    assert written["ray"]["servers"][1] == "https://***@host/v1"
    assert recipe.vlm.server is not None and recipe.vlm.server.url == urls[0]
    assert pickle.loads(pickle.dumps(recipe.vlm)).server.url == urls[0]  # as Ray sends it to workers
    Run.create(run.folder, recipe)  # goes on


def test_a_copy_without_credentials_is_not_used_in_their_place(stub: Stub) -> None:
    with pytest.raises(InputError, match=r"vlm\.server\.url.*credentials hidden.*api_key_env"):
        load(stub, url=without_credentials(with_account(stub)))


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000/v1",
        "ftp://host/v1",
        "http://",
        "http:///v1",
        "http://host:99999/v1",
        "http://someone:s3cret/pass@host/v1",
        "http://someone:8000/s3cret@host/v1",
        "http://someone:s3cret#pass@host/v1",
        "http://someone:s3cret\u2100@host/v1",
        "http://[s3cret/v1",
        "http://host/v1\n",
        "http://ho st/v1",
        "",
    ],
)
def test_what_is_no_address_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(RecipeError, match=r"vlm\.server\.url: is no address of a server") as caught:
        parse_recipe({"data": {"world": {}}, "vlm": {"server": {"url": url}}})
    assert "s3cret" not in str(caught.value)


def test_a_key_in_the_place_of_its_variable_is_refused_without_being_repeated() -> None:
    with pytest.raises(RecipeError, match=r"api_key_env: must be the name of an environment variable") as caught:
        parse_recipe({"data": {"world": {}}, "vlm": {"server": {"url": "http://host/v1", "api_key_env": KEY}}})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["sk\nsecret", "sk-s\u00e9cret", "sk\x00secret"[:2] + "\x7fsecret"])
def test_a_key_that_no_header_can_hold_is_refused_without_being_repeated(
    key: str, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_KEY", key)
    with pytest.raises(InputError, match="STUB_KEY") as caught:
        load(stub, api_key_env="STUB_KEY")
    assert "cret" not in str(caught.value)


def test_a_server_that_is_gone_is_named_without_credentials() -> None:
    url = f"http://someone:{QUOTED}@127.0.0.1:1/v1?token=hidden-token"
    with pytest.raises(VLMError, match=r"http://\*\*\*@127\.0\.0\.1:1/v1") as caught:
        load_vlm(VLMSettings(server={"url": url, "retries": 0}))
    check_hidden(str(caught.value))


def test_messages_are_one_line_of_printable_characters() -> None:
    redact = Redaction(KEY, "http://host/v1")
    assert redact("a\n\x1b[31mred\x1b[0m\r\n\tb \ud800 c\x00") == "a [31mred [0m b c"
    assert redact("x" * 10_000) == "x" * 400 + "..."
    assert redact(f"{'x' * 390}{KEY}") == f"{'x' * 390}***"
    assert Redaction(None, "http://host/v1")("anything") == "anything"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "a.yaml: no 'https://me:p@ss@host:80/a?token=abc&api-version=1' here",
            "https://***@host:80/a?token=***&api-version=1",
        ),
        ("http:/me:hunter2@host/v1: no such recipe", "http:/***@host/v1: no such recipe"),
        ("s3://me:hunter2@bucket, gs://b/c", "s3://***@bucket, gs://b/c"),
        ("see https://host/page#part and a@b", "see https://host/page#part and a@b"),
    ],
)
def test_credentials_of_addresses_in_a_message_are_hidden(text: str, shown: str) -> None:
    hidden = hiding_credentials(text)
    assert shown in hidden and not any(secret in hidden for secret in ("me:", "p@ss", "hunter2", "abc"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "http://me:hunter2@host/recipe.yaml"],
        ["run", "a.yaml", "--set", "vlm.server.url", "=", "http://me:hunter2@host/v1"],
        ["show", "http://me:hunter2@host/run"],
        ["compare", "http://me:hunter2@host/run", "b"],
        ["diagnose", "http://me:hunter2@host/run"],
        ["plan", "a.yaml", "--out", "http://me:hunter2@host/run", "http://me:hunter2@host/x"],
        ["select", "http://me:hunter2@host/run", "--question", "a"],
        ["prompt", "http://me:hunter2@host/run"],
        ["report", "http://me:hunter2@host/run"],
        ["import", "http://me:hunter2@host/run"],
        ["serve", "http://me:hunter2@host/run"],
        ["serve", "run", "--key-env", "sk-hunter2"],
        ["serve", "run", "--upstream-key-env", "sk-hunter2"],
        ["show", "run", "--token=http://me:hunter2@host"],
    ],
)
def test_the_command_line_repeats_no_credentials(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})
    assert done.exit_code == 2 and "hunter2" not in done.output and done.output.strip()
