"""What the page's plots show."""

from __future__ import annotations

from nla_ray.evaluation.model import Length, Mean
from nla_ray.evaluation.report.figures import axis_over, curve, histograms
from tests.evaluation.made import evaluation


def test_axes_hold_all_of_an_interval() -> None:
    axis = axis_over([Mean(rows=2, documents=2, mean=0.4, low=-0.31, high=0.91)])
    assert axis.low <= -0.31 and axis.high >= 0.91 and axis.ticks[0] == axis.low and 0.0 in axis.ticks
    nothing = axis_over([])
    assert nothing.low < nothing.high
    flat = axis_over([Mean(rows=1, documents=1, mean=0.0)])
    assert flat.low < flat.high


def test_histograms_are_scaled_to_their_highest_bar() -> None:
    made = evaluation()
    found = histograms(made.histogram_edges, made.measured)
    assert [one.control for one in found.plots] == [one.control for one in made.measured]
    for one in found.plots:
        assert max(bar.height for bar in one.bars) == 100 and 0 < one.top <= 1
        assert all(0 <= bar.left <= 100 and bar.width > 0 for bar in one.bars)


def test_a_curve_goes_from_left_to_right() -> None:
    mean = Mean(rows=2, documents=2, mean=0.5, low=0.4, high=0.6)
    found = curve([Length(share=0, words=0, fve_nrm=mean), Length(share=1, words=9, fve_nrm=mean)])
    assert found is not None and [point.x for point in found.points] == [0, 100]
    assert all(point.high < point.y < point.low for point in found.points)
    assert len(found.band.split()) == 4 and curve([]) is None
