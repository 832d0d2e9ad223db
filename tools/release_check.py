"""What a user of the wheel does first, away from the repository: the version, the help, and the README's quickstart.

    python -I tools/release_check.py

The quickstart is the block of the README with the three lines, run in an empty folder on examples of the built-in
world. It fails where the package was not installed from a wheel.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Do it; exit with a message at the first thing that is wrong."""
    command = str(Path(sysconfig.get_path("scripts"), "shotsmith"))
    version = _declared_version()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["SHOTSMITH_CACHE"] = str(Path(folder, "cache"))
        if (said := _output(command, "--version")) != version:
            sys.exit(f"shotsmith --version prints {said!r}, the source declares {version}")
        if "Usage" not in _output(command, "--help"):
            sys.exit("shotsmith --help prints no usage")
        _output(command, "world", "make", "world", "--bank", "60", "--train", "1", "--val", "1", "--test", "1")
        _write_examples(Path("world"))
        chosen = _quickstart()
    sys.stdout.write(f"shotsmith {version}: the quickstart chose {chosen}\n")


def _declared_version() -> str:
    text = (ROOT / "src" / "shotsmith" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.M)
    return found[1] if found else sys.exit("the source declares no version")


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def _write_examples(world: Path) -> None:
    """The files that the quickstart reads: examples.csv and new.jpg."""
    from PIL import Image

    from shotsmith.data.load import load_splits
    from shotsmith.recipe import DataSettings, WorldSettings

    drawn = WorldSettings(bank=60, train=1, val=1, test=1)
    splits = load_splits(DataSettings(world=drawn, train_queries=1, val_queries=1, test_queries=1), world)
    with Path("examples.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "question", "answers"])
        rows.writerows([str(one.image), one.question, one.answer] for one in splits.bank)
    with Image.open(splits.test[0].images[0]) as picture:
        picture.convert("RGB").save("new.jpg")


def _quickstart() -> object:
    """The demonstrations that the first block of Python in the README chooses."""
    import shotsmith

    if ROOT in Path(shotsmith.__file__).parents and "site-packages" not in Path(shotsmith.__file__).parts:
        sys.exit(f"{shotsmith.__file__} is the repository, not the wheel")
    block = re.findall(r"```py\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)[0]
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    if not names["messages"]:
        sys.exit("the quickstart gave no messages")
    return getattr(names["chosen"], "ids")  # noqa: B009


if __name__ == "__main__":
    main()
