"""What every dialect's tests stand on: a base, and views of adapters in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nla.sidecar.dialects import writers
from tests.nla.sidecar.dialects.writers import Base


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return writers.base(tmp_path / "base")
