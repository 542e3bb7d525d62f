"""A pair that a test may change."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import NlaDirs


@pytest.fixture
def copied(nla: Callable[[str], NlaDirs], tmp_path: Path) -> Callable[[str], NlaDirs]:
    """A pair of one family that may be spoilt."""

    def copy(family: str) -> NlaDirs:
        target, av, ar = (
            Path(shutil.copytree(source, tmp_path / family / source.name)) for source in nla(family)
        )
        return target, av, ar

    return copy
