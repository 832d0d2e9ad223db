"""The versions and the machine that something is made with."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

_VERSIONS_OF = ("shotsmith", "torch", "transformers", "safetensors", "numpy", "scipy", "pillow", "pydantic")


def environment() -> dict[str, Any]:
    """Versions, machine and, where the package is a checkout, its git commit; and what image ids follow from."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "versions": {name: _version(name) for name in _VERSIONS_OF},
        "git_commit": _git_commit(),
        "image_ids": "content",
    }


def other_version(file: Path) -> str | None:
    """The version of shotsmith that wrote an `environment.json`, where it is another than this one."""
    try:
        theirs = json.loads(file.read_text(encoding="utf-8"))["versions"]["shotsmith"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None if theirs in (None, _version("shotsmith")) else str(theirs)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit of the checkout this file is tracked in, with '-dirty' where it has changes; None elsewhere."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", Path(__file__).name], check=True, capture_output=True)
        described = subprocess.run(
            [*git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
