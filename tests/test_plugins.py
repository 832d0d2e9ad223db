"""Tables of what packages add: found by entry points, imported when used, with errors that name the entry."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shotsmith import plugins
from shotsmith.errors import PluginError
from shotsmith.plugins import Table

Install = Callable[..., None]
GROUP = "shotsmith.colours"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a distribution on sys.path: its entry points, and a module of its own."""

    def add(name: str, entries: str, module: str = "", folder: str = "site") -> None:
        info = tmp_path / folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}\n")
        (tmp_path / folder / f"{name}.py").write_text(module)
        monkeypatch.syspath_prepend(tmp_path / folder)
        forget()

    def forget() -> None:
        plugins._entry_points.cache_clear()
        plugins._added.cache_clear()

    forget()
    yield add
    monkeypatch.undo()
    forget()


def test_a_package_adds_objects_behind_those_of_the_core(install: Install):
    install("painted", "blue = painted:BLUE\nred = painted:RED", "BLUE, RED = 'b', 'r'")
    table: Table[str] = Table(GROUP, str, {"green": "g"})
    assert list(table) == ["green", "blue", "red"]
    assert len(table) == 3
    assert dict(table) == {"green": "g", "blue": "b", "red": "r"}
    assert "blue" in table and "black" not in table and None not in table
    with pytest.raises(KeyError):
        table["black"]


def test_names_are_known_without_an_import_and_objects_are_imported_once(install: Install):
    install(
        "counted",
        "one = counted:ONE",
        "import sys\nsys.counted_imports = getattr(sys, 'counted_imports', 0) + 1\nONE = object()",
    )
    table: Table[object] = Table(GROUP, object)
    assert list(table) == ["one"] and "one" in table
    assert "counted" not in sys.modules
    assert table["one"] is table["one"]
    assert sys.counted_imports == 1


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            "x = not_there:X",
            r"'x' of shotsmith.colours \(not_there:X\) cannot be imported: No module named 'not_there'",
        ),
        ("x = faulty:Y", r"'x' of shotsmith.colours \(faulty:Y\) cannot be imported: .*no attribute 'Y'"),
        ("x = faulty:X", r"'x' of shotsmith.colours \(faulty:X\) is a int, not a str"),
    ],
)
def test_what_cannot_be_used_is_an_error_that_names_the_entry_when_it_is_looked_up(
    install: Install, entry: str, problem: str
):
    install("faulty", entry, "X = 1")
    table: Table[str] = Table(GROUP, str)
    assert list(table) == ["x"]
    with pytest.raises(PluginError, match=problem):
        table["x"]


def test_by_default_objects_are_callable(install: Install):
    install("called", "x = called:f\ny = called:N", "def f(): return 1\nN = 2")
    table: Table[Callable[[], int]] = Table(GROUP)
    assert table["x"]() == 1
    with pytest.raises(PluginError, match="is a int, not callable"):
        table["y"]


def test_a_name_given_twice_is_an_error_that_names_both(install: Install):
    install("first_one", "x = first_one:X", "X = 1")
    install("second_one", "x = second_one:X", "X = 1")
    with pytest.raises(PluginError, match=r"'x' of shotsmith.colours is given twice: by \w+_one:X, and \w+_one:X"):
        list(Table(GROUP, int))


def test_a_name_of_the_core_cannot_be_taken(install: Install):
    install("taking", "x = taking:X", "X = 1")
    with pytest.raises(PluginError, match=r"given twice: by taking:X, and Shotsmith's own"):
        list(Table(GROUP, int, {"x": 2}))


def test_of_two_versions_on_the_path_the_first_counts(install: Install):
    install("twice", "x = twice:X", "X = 'old'", folder="old")
    install("twice", "x = twice:NEW", "NEW = 'new'", folder="new")
    assert dict(Table(GROUP, str)) == {"x": "new"}


def test_every_entry_of_the_package_itself_can_be_used():
    script = (
        "from shotsmith import plugins\n"
        "entries = plugins._entry_points()\n"
        "assert len(entries) > 30\n"
        "for entry in entries: entry.load()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
