"""What other packages add to Shotsmith: tables of named objects, each imported when it is first used.

A package adds objects by entry points, in its own pyproject.toml:

    [project.entry-points."shotsmith.metrics"]
    words = "my_package.metrics:WORDS"

A folder of this package that holds a file `entry_points.txt` in the same format adds objects in the same way: without
the folder, they are gone and everything else works.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Generic, TypeVar

from shotsmith.errors import PluginError

Item = TypeVar("Item")

_HERE = Path(__file__).parent


class Table(Mapping[str, Item], Generic[Item]):
    """Objects of one kind by name: those of the core in their order, then those of the entry points of a group.

    Names are known without an import. Looking an object up imports it once; it raises PluginError where the object
    cannot be imported or is of another kind. Two objects of one name are a PluginError when the names are first read.
    """

    def __init__(self, group: str, kind: type[Any] | None = None, own: Mapping[str, Item] | None = None) -> None:
        """`group` is that of the entry points, such as shotsmith.metrics. Objects are of `kind`, else callable."""
        self._group, self._kind = group, kind
        self._found: dict[str, Item] = dict(own or {})
        self._own = tuple(self._found)

    def __getitem__(self, name: str) -> Item:
        if name not in self._found:
            self._found[name] = self._loaded(_added(self._group, self._own)[name])
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in _added(self._group, self._own)

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from _added(self._group, self._own)

    def __len__(self) -> int:
        return len(self._own) + len(_added(self._group, self._own))

    def _loaded(self, entry: metadata.EntryPoint) -> Item:
        try:
            loaded = entry.load()
        except (ImportError, AttributeError) as error:
            raise PluginError(f"'{entry.name}' of {self._group} ({entry.value}) cannot be imported: {error}") from error
        if not (callable(loaded) if self._kind is None else isinstance(loaded, self._kind)):
            wanted = "callable" if self._kind is None else f"a {self._kind.__name__}"
            given = type(loaded).__name__
            raise PluginError(f"'{entry.name}' of {self._group} ({entry.value}) is a {given}, not {wanted}")
        found: Item = loaded
        return found


@cache
def _added(group: str, own: tuple[str, ...]) -> Mapping[str, metadata.EntryPoint]:
    """The entry points of a group by name."""
    found: dict[str, metadata.EntryPoint] = {}
    for entry in _entry_points():
        if entry.group != group:
            continue
        there = found.setdefault(entry.name, entry)
        if entry.name in own or there.value != entry.value:
            other = "Shotsmith's own" if entry.name in own else there.value
            raise PluginError(f"'{entry.name}' of {group} is given twice: by {entry.value}, and {other}")
    return found


@cache
def _entry_points() -> tuple[metadata.EntryPoint, ...]:
    """All of Shotsmith's groups: those of folders of this package, then those of packages in the order of sys.path."""
    found: list[metadata.EntryPoint] = []
    for file in sorted(_HERE.glob("*/entry_points.txt")):
        found += _ours(metadata.Distribution.at(file.parent))
    names = set()
    for package in metadata.distributions():
        entries = _ours(package)
        if entries and package.name not in names:  # of two versions on the path only the first is imported
            names.add(package.name)
            found += entries
    return tuple(found)


def _ours(package: metadata.Distribution) -> list[metadata.EntryPoint]:
    return [entry for entry in package.entry_points if entry.group.startswith("shotsmith.")]
