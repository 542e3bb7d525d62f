"""What is particular to Ray: actors whose processes die while they load."""

from __future__ import annotations

from pathlib import Path

import pytest

from nla_ray.errors import EngineError
from nla_ray.runtime.ray_data import SET_UP_DEATHS, outlived


def test_a_set_up_may_die_a_few_times(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    mark.write_bytes(b"." * (SET_UP_DEATHS - 1))  # left by processes that died
    with outlived("extract", mark):
        assert mark.stat().st_size == SET_UP_DEATHS
    mark.write_bytes(b"." * SET_UP_DEATHS)
    died = f"stage extract cannot start: its process died {SET_UP_DEATHS} times"
    with pytest.raises(EngineError, match=died), outlived("extract", mark):
        pytest.fail("is not tried again")
    assert not mark.exists()


def test_a_set_up_that_ends_by_itself_is_forgotten(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with outlived("extract", mark):
        pass
    assert not mark.exists()
    with pytest.raises(ValueError, match="no"), outlived("extract", mark):
        raise ValueError("no")
    assert not mark.exists()
