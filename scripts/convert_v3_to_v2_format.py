"""convert_v3_to_v2_format.py --v3_ckpt FILE.pt [--output FILE.ckpt] [--like-predecessor]"""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("torch", "transformers", "typer", "pydantic")


def main() -> None:
    parser = argparse.ArgumentParser(description="Convert a v3 checkpoint to the v2 format, losing nothing.")
    parser.add_argument("--v3_ckpt", required=True, metavar="FILE", help="a v3 checkpoint, grpo_epochN.pt")
    parser.add_argument("--output", metavar="FILE", help="by default FILE_v2format.ckpt beside it")
    parser.add_argument("--like-predecessor", action="store_true", help="drop what its own converter dropped")
    given = parser.parse_args()
    target = [given.output] if given.output else []
    imitated = ["--like-predecessor"] if given.like_predecessor else []
    command = ["-m", "shotsmith", "convert", given.v3_ckpt, *target, "--to", "v2format", *imitated]
    path = os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH"))))
    os.execve(python(), [python(), *command], {**os.environ, "PYTHONPATH": path})


def python() -> str:
    """The running python, or where it lacks what Shotsmith needs that of .venv."""
    if sys.version_info >= (3, 11) and all(map(find_spec, NEEDED)):
        return sys.executable
    own = ROOT / ".venv" / "bin" / "python"
    if not own.exists():
        sys.exit(f"error: no python here has what Shotsmith needs; 'make setup' in {ROOT} makes one")
    return str(own)


if __name__ == "__main__":
    main()
