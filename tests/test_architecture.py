"""The rules of the house, kept by walking its source."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
LONGEST = 400

# Ground floor first. A module imports its own floor and those below.
FLOORS: tuple[frozenset[str], ...] = (
    frozenset(
        {
            "attempts",
            "clusters",
            "environment",
            "errors",
            "files",
            "memory",
            "metrics",
            "plugins",
            "progress",
            "recipe",
            "records",
            "runs",
        }
    )
    | {"temporary", "visible"},
    frozenset({"data", "statistics"}),
    frozenset({"builtin", "embeddings", "vlms", "whole_model"}),
    frozenset({"completions", "rewards"}),
    frozenset({"policies", "selectors"}),
    frozenset({"training", "checkpoints"}),
    frozenset({"evaluation"}),
    frozenset({"diagnosis", "worth"}),
    frozenset({"reports"}),
    frozenset({"experiment"}),
    frozenset({"planning"}),
    frozenset({"library"}),
    frozenset({"integrations"}),
    frozenset({"serve", "view"}),
    frozenset({"cli", "__main__"}),
    frozenset({"compat"}),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

Modules = Mapping[str, ast.Module]


def parsed(sources: Mapping[str, str]) -> dict[str, ast.Module]:
    return {name: ast.parse(source) for name, source in sources.items()}


def read_modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return parsed(found)


MODULES = read_modules()


def imports(modules: Modules, name: str) -> Iterator[str]:
    """The modules of the package that a module imports, wherever in it the statement stands."""
    for node in ast.walk(modules[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in modules else str(node.module)


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def unlisted_rooms(modules: Modules) -> list[str]:
    return sorted({room(module) for module in modules} - FLOOR_OF.keys() - {""})


def upward_imports(modules: Modules) -> list[str]:
    return [
        f"{module} imports {target}"
        for module in modules
        for target in imports(modules, module)
        if room(module) and FLOOR_OF.get(room(target), -1) > FLOOR_OF[room(module)]
    ]


def first_cycle(modules: Modules) -> list[str]:
    try:
        TopologicalSorter({name: set(imports(modules, name)) - {name} for name in modules}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def relative_imports(modules: Modules) -> list[str]:
    return [
        f"{name}, line {node.lineno}"
        for name, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]


def importers_of(package: str, modules: Modules) -> list[str]:
    """The modules outside a package that import it."""
    return [
        module
        for module in modules
        if not (module + ".").startswith(package + ".")
        and any((target + ".").startswith(package + ".") for target in imports(modules, module))
    ]


def forbidden(modules: Modules) -> list[str]:
    return [
        f"{name}, line {getattr(node, 'lineno', 0)}: {what}"
        for name, tree in modules.items()
        for node in ast.walk(tree)
        for what in _faults(node)
        if (name, what) != RESTRICTED
    ]


def _faults(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _passes_on(node.body[-1]):
        yield "catches everything"
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
        if isinstance(node, ast.ImportFrom) and [alias.name for alias in node.names] == ["UnpicklingError"]:
            return
        yield from (f"imports {name}" for name in names if name.split(".")[0] in PICKLERS)
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if called == "print":
            yield "prints"
        if called == "torch.load" and keywords.get("weights_only") != "True":
            yield "torch.load without weights_only=True"
        if keywords.get("allow_pickle") == "True":
            yield "allows pickles"


RESTRICTED = ("shotsmith.compat.restricted_pickle", "imports pickle")
"""The one module that reads pickles: its unpickler looks nothing up and calls nothing (tests/compat)."""
PICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


def _is_broad(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(_is_broad(one) for one in caught.elts)
    return caught is None or ast.unparse(caught) in {"Exception", "BaseException"}


def _passes_on(last: ast.stmt) -> bool:
    """Clearing up after whatever went wrong is fine, so long as it goes on being wrong."""
    return isinstance(last, ast.Raise) and last.exc is None


def python_files() -> Iterable[Path]:
    for folder in ("src", "tests", "benchmarks", "scripts"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_the_walk_finds_the_house():
    assert {"shotsmith", "shotsmith.errors", "shotsmith.data.official", "shotsmith.policies.protocol"} <= MODULES.keys()


def test_every_room_has_its_floor():
    assert unlisted_rooms(MODULES) == []


def test_imports_point_downwards_only():
    assert upward_imports(MODULES) == []


def test_no_module_imports_itself_through_others():
    assert first_cycle(MODULES) == []


def test_imports_are_absolute():
    assert relative_imports(MODULES) == []


def test_nothing_prints_pickles_or_catches_everything():
    assert forbidden(MODULES) == []


def test_every_module_says_what_it_is_for():
    assert [name for name, tree in MODULES.items() if not ast.get_docstring(tree)] == []


def test_no_file_is_too_long():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()
    }
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_files_are_named_for_their_idea():
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}
    paths = [path.relative_to(ROOT) for path in python_files()]
    assert [str(path) for path in paths if vague & {part.removesuffix(".py") for part in path.parts}] == []


def test_the_command_starts_without_anything_heavy():
    heavy = ["torch", "transformers", "scipy", "pandas", "pyarrow", "plotly", "jinja2", "tensorboard"]
    script = f"import sys, shotsmith.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


ASKING = ("selectors", "evaluation", "experiment")
MAKERS = {"shotsmith.selectors.protocol", "shotsmith.experiment.fitting"}


def makers_of_requests(modules: Modules) -> set[str]:
    """Modules of the rooms that ask the VLM which put a prompt together."""
    return {
        name
        for name, tree in modules.items()
        if name.startswith(tuple(f"shotsmith.{room}." for room in ASKING))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Request"
    }


def test_prompts_are_made_in_one_place_so_that_none_escapes_its_budget():
    assert makers_of_requests(MODULES) == MAKERS


COMPAT = "shotsmith.compat"
ITS_NAMES = re.compile("predecessor|lever[-_ ]?(lm|plus)", re.IGNORECASE)


def test_nothing_imports_what_can_be_left_out():
    assert importers_of(COMPAT, MODULES) == []


def test_the_core_names_the_system_before_it_nowhere():
    files = [path for path in (SOURCE / "shotsmith").rglob("*") if path.suffix in TEXTS]
    core = [path for path in files if "compat" not in path.relative_to(SOURCE).parts]
    assert len(core) > 300
    assert [str(path) for path in core if ITS_NAMES.search(path.read_text(encoding="utf-8"))] == []


TEXTS = {".py", ".yaml", ".j2", ".json", ".txt", ".toml"}


# The checks themselves, on a house with one fault.


def house(**sources: str) -> dict[str, ast.Module]:
    named = {f"shotsmith.{name.replace('__', '.')}": source for name, source in sources.items()}
    return parsed({"shotsmith": "", **named})


@pytest.mark.parametrize(
    "statement",
    [
        "import shotsmith.training",
        "from shotsmith import training",
        "from shotsmith.training import loop",
        "from shotsmith.training.loop import run",
        "def f():\n    from shotsmith.training import loop",
        "if TYPE_CHECKING:\n    from shotsmith.training.loop import run",
    ],
)
def test_an_upward_import_is_seen_in_every_form(statement: str):
    upper = {"training": "", "training__loop": ""}
    assert len(upward_imports(house(policies="", policies__pointer=statement, **upper))) == 1
    assert upward_imports(house(evaluation="", evaluation__compare=statement, **upper)) == []


@pytest.mark.parametrize(
    "statement",
    [
        "import shotsmith.compat",
        "from shotsmith import compat",
        "from shotsmith.compat.log import x",
        "def f():\n    import shotsmith.compat.log",
    ],
)
def test_an_import_of_what_can_be_left_out_is_seen(statement: str):
    there = {"compat": "", "compat__log": "", "compatible": "import shotsmith.compatible"}
    assert importers_of(COMPAT, house(cli=statement, **there)) == ["shotsmith.cli"]


def test_a_cycle_is_seen():
    there = "from shotsmith.embeddings.vision import x"
    back = "def f():\n    import shotsmith.vlms.local"
    assert first_cycle(house(vlms__local=there, embeddings__vision=back))
    assert not first_cycle(house(vlms__local=there, embeddings__vision=""))


def test_a_new_room_must_be_given_a_floor():
    assert unlisted_rooms(house(attic="", errors="")) == ["attic"]


@pytest.mark.parametrize(
    "source",
    [
        "print(1)",
        "import pickle",
        "from pickle import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "try:\n    f()\nexcept:\n    pass",
        "try:\n    f()\nexcept Exception:\n    pass",
        "try:\n    f()\nexcept (OSError, Exception) as error:\n    raise ValueError from error",
        "try:\n    f()\nexcept BaseException:\n    g()",
    ],
)
def test_each_forbidden_thing_is_seen(source: str):
    assert len(forbidden(parsed({"shotsmith.x": source}))) == 1


def test_allowed_things_are_not_mistaken_for_forbidden_ones():
    source = "from pickle import UnpicklingError\ntorch.load(path, weights_only=True)\nconsole.print(1)"
    source += "\ntry:\n    f()\nexcept (OSError, ValueError):\n    pass"
    source += "\ntry:\n    f()\nexcept BaseException:\n    undo()\n    raise"
    assert forbidden(parsed({"shotsmith.x": source})) == []


def test_a_relative_import_is_seen():
    assert relative_imports(parsed({"shotsmith.x": "from . import y"}))
