"""Folders of the cache are whole or not there, and an error is said as what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from nla_ray.cache import made_once
from nla_ray.errors import InputError


def fill(part: Path) -> None:
    (part / "file").write_text("whole")


def is_whole(home: Path) -> bool:
    return (home / "file").exists()


def test_what_is_spoilt_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    assert is_whole(made_once(tmp_path / "home", fill, is_whole))


def test_what_another_process_made_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """It is asked for again once this process is alone with the folder."""
    home, asked = tmp_path / "home", []

    def whole(found: Path) -> bool:
        asked.append(found)
        if len(asked) == 1:
            home.mkdir()
            fill(home)
            return False
        return is_whole(found)

    before = made_once(home, lambda _: pytest.fail("made twice"), whole)
    assert before == home and len(asked) == 2


def test_only_the_caches_own_errors_speak_of_it(tmp_path: Path) -> None:
    def fail(_: Path) -> None:
        raise FileNotFoundError("the source is gone")

    with pytest.raises(FileNotFoundError, match="the source is gone"):
        made_once(tmp_path / "home", fail)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot keep a copy of a model"):
        made_once(tmp_path / "file" / "home", fill)
