"""Which code makes rows: a change of what decides them is noticed, one of a face or a reader is not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from nla_ray.errors import EngineError
from nla_ray.stages.code import PACKAGE, WITHOUT_ROWS, code_of, counted, require_code, sources_digest


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package's sources."""
    for file in PACKAGE.rglob("*.py"):
        copy = tmp_path / "nla_ray" / file.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    return tmp_path / "nla_ray"


def test_equal_sources_are_equal_code_wherever_they_lie(package: Path) -> None:
    assert sources_digest(package) == code_of().sha256


@pytest.mark.parametrize(
    "name", ["stages/extract.py", "nla/injection.py", "corpus/reading/choice.py", "new/one.py"]
)
def test_what_decides_rows_counts_and_so_does_what_is_new(package: Path, name: str) -> None:
    path = package / name
    path.parent.mkdir(exist_ok=True)
    path.write_text((path.read_text() if path.exists() else "") + "# changed\n")
    assert sources_digest(package) != code_of().sha256


@pytest.mark.parametrize(
    "name", ["cli/entry.py", "audit/verdicts/rates.py", "pipelines/audit/run.py", "store/sql/read.py"]
)
def test_a_face_or_a_reader_does_not_count(package: Path, name: str) -> None:
    path = package / name
    path.write_text(path.read_text() + "# changed\n")
    assert sources_digest(package) == code_of().sha256


def test_what_is_left_out_is_there_to_be_left_out() -> None:
    assert [name for name in WITHOUT_ROWS if not (PACKAGE / name).exists()] == []
    assert {"ids.py", "stages/write.py", "pipelines/decode/survey.py", "config/decode.py"} <= {
        *counted(PACKAGE)
    }


def test_a_build_for_other_hardware_is_the_same_version() -> None:
    assert "+" not in code_of().torch


def test_a_worker_with_other_code_is_refused_by_name() -> None:
    require_code(code_of())
    with pytest.raises(
        EngineError, match=r"other code than .* driver: nla_ray sha256:.* at .*nla_ray.*working-dir"
    ):
        require_code(replace(code_of(), sha256="0" * 64))
