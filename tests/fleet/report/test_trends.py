"""Trends: which readings have a picture, and where its points lie."""

from __future__ import annotations

from nla_ray.fleet.report.trends import FEWEST, MOST, pictures, trends
from tests.fleet.reports import cell, detector, found, reading, report

DETECTORS = tuple(detector(at) for at in range(3))


def test_what_is_told_of_comes_first_and_gaps_stay_gaps() -> None:
    quiet, loud = reading(0, 0.02), found(1, 0.3, standing="new")
    weeks = [
        ("w1", [cell("m", "a", quiet, reading(1))]),
        ("w2", [cell("m", "a", verdict="not reportable")]),
        ("w3", [cell("m", "a", quiet, loud)]),
    ]
    first, second = trends(weeks, DETECTORS)
    assert (first.detector, second.detector) == ("detector_1", "detector_0")
    assert [(point.week, point.above) for point in first.points] == [("w1", False), ("w3", True)]


def test_one_week_is_no_trend() -> None:
    assert trends([("w1", [cell("m", "a", found(0))])], DETECTORS) == ()


def test_many_are_cut_and_a_quiet_week_shows_its_highest_rates() -> None:
    many = [cell("m", str(at), found(0)) for at in range(MOST + 9)]
    assert len(trends([("w1", many), ("w2", many)], DETECTORS)) == MOST
    calm = [cell("m", str(at), reading(0, at / 500)) for at in range(20)]
    shown = trends([("w1", calm), ("w2", calm)], DETECTORS)
    assert [one.corpus for one in shown] == [str(19 - at) for at in range(FEWEST)]


def test_points_lie_on_the_axis_of_all_weeks() -> None:
    made = report(cell("m", "a", found(0, 0.3)))
    [picture] = pictures(made)
    assert [dot.x for dot in picture.dots] == [4.0, 50.0, 96.0]
    assert all(dot.high < dot.y < dot.low for dot in picture.dots)
    assert len(picture.lines) == 2
    gap = made.model_copy(
        update={"trends": (picture.trend.model_copy(update={"points": picture.trend.points[::2]}),)}
    )
    assert pictures(gap)[0].lines == ()
