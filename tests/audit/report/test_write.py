"""Files of a report: whole or not at all, the same each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from nla_ray.audit.report import FORMATS, write_report
from nla_ray.errors import InputError
from nla_ray.store.places.tree import Tree
from tests.audit.reports import comparison, example


def test_files_are_written_in_the_order_asked_for(tmp_path: Path) -> None:
    report = example(6, comparison=comparison())
    folder = tmp_path / "new" / "folder"
    names = write_report(report, Tree(str(folder)))
    assert names == [f"report.{name}" for name in FORMATS]
    first = {name: (folder / name).read_bytes() for name in names}
    assert write_report(report, Tree(str(folder)), ("md",)) == [names[2]]
    write_report(report, Tree(str(folder)))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


def test_a_file_that_cannot_take_its_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "report.json" / "taken").mkdir(parents=True)
    with pytest.raises(InputError, match=r"report\.json"):
        write_report(example(0), Tree(str(tmp_path)), ("json",))
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.slow
def test_ten_thousand_findings_make_a_page_that_opens(tmp_path: Path) -> None:
    write_report(example(10_000), Tree(str(tmp_path)))
    assert (tmp_path / "report.html").stat().st_size < 2_000_000
