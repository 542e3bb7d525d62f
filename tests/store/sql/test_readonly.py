"""Files that can be read, by several threads at once, and nothing else."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nla_ray.store.sql.readonly import ReadOnlyFiles


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    path = tmp_path / "numbers"
    path.write_bytes(bytes(range(256)) * 64)
    return path


def test_a_file_has_a_position_for_each_thread(numbers: Path) -> None:
    file = ReadOnlyFiles({"numbers": numbers}).open("tables://numbers")

    def read(at: int) -> bytes:
        file.seek(at)
        time.sleep(0.001)
        return file.read(8)

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(read, range(200)))
    file.close()
    assert found == [numbers.read_bytes()[at : at + 8] for at in range(200)]


@pytest.mark.parametrize("mode", ["wb", "ab", "r+b", "xb", "w"])
def test_no_file_is_opened_for_writing(numbers: Path, mode: str) -> None:
    with pytest.raises(PermissionError):
        ReadOnlyFiles({"numbers": numbers}).open("tables://numbers", mode)


def test_a_name_is_no_pattern(numbers: Path) -> None:
    files = ReadOnlyFiles({"[1]*": numbers})
    assert files.glob("tables://[1]*") == ["[1]*"] and files.size("tables://[1]*") == 64 * 256
