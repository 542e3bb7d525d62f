"""Views go to a cache of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of this machine."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NLA_RAY_CACHE", str(folder))
    return folder
