"""What the pages list, and in which group."""

from __future__ import annotations

from nla_ray.fleet.report import outline
from nla_ray.fleet.report.outline import BASE, FALLEN, FIRST, GONE, MOST, NEW, RISEN, STILL, silent, told
from tests.fleet.reports import cell, change, example, found, reading, report


def test_each_reading_stands_in_one_group() -> None:
    readings = {
        NEW: found(0, standing="new", last=change(0.1, "risen")),
        RISEN: found(0, last=change(0.1, "risen")),
        FIRST: found(0, standing=None, last=None),
        STILL: found(0),
        FALLEN: found(0, last=change(-0.1, "fallen")),
        GONE: reading(0, standing="gone"),
        BASE: reading(0, base=change(0.1, "risen")),
    }
    for title, one in readings.items():
        assert [group.title for group in told(report(cell("m", "a", one)))] == [title]
    assert set(readings) == set(outline.GROUPS)


def test_quiet_readings_and_silent_cells_are_not_listed() -> None:
    assert told(report(cell("m", "a", reading(0)), cell("m", "b", found(0), verdict="not reportable"))) == ()


def test_the_gravest_come_first_and_long_lists_are_cut() -> None:
    cells = [cell("m", str(at), found(2), found(0)) for at in range(MOST)]
    [group] = told(report(*cells))
    assert (len(group.shown), group.total) == (MOST, 2 * MOST)
    assert {one.detector.id for one in group.shown} == {"detector_0"}


def test_texts_and_tags_of_an_entry() -> None:
    entry = told(example())[0].shown[0]
    assert entry.tags == ("new", "risen", "above base")
    assert [text.span for text in entry.excerpts] == ["It plans to deceive."]


def test_cells_that_say_nothing_say_why() -> None:
    assert [(cell.name, cell.says, reasons) for cell, reasons in silent(example())] == [
        ("tuned on chats", "not reportable", ("Fidelity is 0.41.",)),
        ("candidate on notes", "missing", ("s3://b/notes: no such file",)),
    ]
