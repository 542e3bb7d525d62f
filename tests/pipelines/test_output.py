"""The output folder: proven writable before anything is loaded, never another run's by accident."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nla_ray.errors import ConfigError
from nla_ray.pipelines.output import RECORD, check_output


def test_a_new_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    check_output(tmp_path / "a" / "b", "run", replace=False)
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/below", "n" * 300])
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot write into .* name another folder"):
        check_output(tmp_path / name, "run", replace=False)


def test_another_run_is_replaced_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text(json.dumps({"run_id": "other"}))
    check_output(tmp_path, "other", replace=False)
    check_output(tmp_path, "run", replace=True)
    with pytest.raises(ConfigError, match="holds another run"):
        check_output(tmp_path, "run", replace=False)
    (tmp_path / RECORD).write_text("[]")
    with pytest.raises(ConfigError, match="not a run record"):
        check_output(tmp_path, "run", replace=False)
