from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.errors import InputError
from shotsmith.files import digest, file_digest, read_json, replacing, write_json, write_text


def test_a_file_takes_the_old_ones_place_only_when_it_is_whole(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent  # a rename across file systems would not be atomic
    assert path.read_text() == "new"


def test_an_exception_halfway_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_halfway_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    script = """
import os, signal, sys
from pathlib import Path
from shotsmith.files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    result = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert result.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_the_content_is_on_the_disk_before_the_name_points_at_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    steps = []
    sync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: steps.append("sync") or sync(descriptor))
    monkeypatch.setattr(Path, "replace", lambda self, target: steps.append("rename") or rename(self, target))
    write_text(tmp_path / "a.txt", "x")
    assert steps == ["sync", "rename", "sync"]  # the last is the folder's


def test_folders_are_made_and_others_may_read_the_file(tmp_path: Path):
    path = tmp_path / "new" / "folder" / "a.txt"
    write_text(path, "größe 形状\n")
    assert path.read_bytes() == "größe 形状\n".encode()
    assert path.stat().st_mode & 0o777 == 0o644


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(value=JSON)
def test_json_comes_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, value: object):
    path = tmp_path_factory.getbasetemp() / "value.json"
    try:
        write_json(path, value)
    except UnicodeEncodeError:  # half of a surrogate pair has no encoding
        return
    assert read_json(path) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1, {"a": float("-inf")}]])
def test_what_is_no_json_is_not_written_and_the_old_file_stays(tmp_path: Path, value: object):
    path = tmp_path / "a.json"
    write_json(path, 1)
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, value)
    assert read_json(path) == 1


def test_a_byte_order_mark_is_accepted(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(path) == {"a": 1}


@pytest.mark.parametrize(
    ("content", "row", "problem"),
    [
        (b'{\n "a": 1,\n "b" 2}', 3, "not valid JSON"),
        (b"", 1, "not valid JSON"),
        (b'{"a": [1, 2', 1, "not valid JSON"),
        (b'["\xff"]', None, "not UTF-8 text"),
        (b"[" * 200_000, None, "nested too deeply"),
        (b"9" * 5000, None, "not valid JSON"),
    ],
)
def test_bad_json_is_named_by_file_and_line(tmp_path: Path, content: bytes, row: int | None, problem: str):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=problem) as caught:
        read_json(path)
    assert (caught.value.file, caught.value.row) == (str(path), row)


@pytest.mark.parametrize("read", [read_json, file_digest])
def test_a_missing_file_or_a_folder_in_its_place_is_an_input_error(tmp_path: Path, read):
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "absent")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)


def test_parts_cannot_be_shifted_into_each_other():
    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("", "abc"), digest("abc", "")}) == 5


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_lists_of_parts_have_equal_digests_only_if_they_are_equal(one: list[bytes], other: list[bytes]):
    assert (digest(*one) == digest(*other)) == (one == other)


def test_a_text_and_its_utf8_bytes_have_the_same_digest_on_every_machine():
    assert digest("形") == digest("形".encode())
    assert digest("ab") == hashlib.sha256(b"\0\0\0\0\0\0\0\x02ab").hexdigest()


def test_the_digest_of_a_file_follows_its_content(tmp_path: Path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    assert file_digest(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert file_digest(path) == hashlib.sha256(b"two").hexdigest()
