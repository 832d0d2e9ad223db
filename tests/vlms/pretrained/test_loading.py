"""Where a model's files come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from shotsmith.vlms.pretrained import loading


@pytest.mark.parametrize("weights", [True, False])
def test_from_the_hub_weights_come_only_where_they_are_wanted(
    weights: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def download(_repository: str, allow_patterns: list[str]) -> str:
        asked.extend(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(loading, "snapshot_download", download)
    assert loading.model_folder("org/model", weights=weights) == tmp_path
    assert ("*.safetensors" in asked) == weights
    assert {"*.json", "*.jinja", "*.txt"} <= set(asked)
