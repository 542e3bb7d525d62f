"""Files of a report: whole or not at all, the same each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from nla_ray.audit.report import FORMATS, write_report
from tests.audit.reports import comparison, example


def test_files_are_written_in_the_order_asked_for(tmp_path: Path) -> None:
    report = example(6, comparison=comparison())
    paths = write_report(report, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == [f"report.{name}" for name in FORMATS]
    first = {path: path.read_bytes() for path in paths}
    assert write_report(report, tmp_path / "new" / "folder", ("md",)) == [paths[2]]
    write_report(report, tmp_path / "new" / "folder")
    assert {path: path.read_bytes() for path in paths} == first
    assert {path.name for path in paths[0].parent.iterdir()} == {path.name for path in paths}


def test_a_file_that_cannot_take_its_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "report.json" / "taken").mkdir(parents=True)
    with pytest.raises(OSError, match=r"report\.json"):
        write_report(example(0), tmp_path, ("json",))
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.slow
def test_ten_thousand_findings_make_a_page_that_opens(tmp_path: Path) -> None:
    page = write_report(example(10_000), tmp_path)[1]
    assert page.stat().st_size < 2_000_000
