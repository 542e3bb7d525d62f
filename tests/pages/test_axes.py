"""Where numbers are placed on an axis."""

from __future__ import annotations

import pytest

from nla_ray.pages.axes import change_axis, rate_axis


def test_close_rates_share_a_linear_axis_from_zero() -> None:
    axis = rate_axis([0.1, 0.02, 0.0], [0.13, 0.04, 0.01])
    assert not axis.log and axis.ticks == (0.0, 0.05, 0.1, 0.15)
    assert (axis.at(0.0), axis.at(0.075), axis.at(0.15), axis.at(0.9)) == (0.0, 50.0, 100.0, 100.0)


def test_rates_far_apart_share_a_logarithmic_axis_with_a_place_for_zero() -> None:
    axis = rate_axis([0.3, 0.001, 0.0], [0.35, 0.004, 0.002])
    assert axis.log and axis.ticks == (0.0, 0.001, 0.01, 0.1, 0.5)
    places = [axis.at(value) for value in (0.0, 0.001, 0.01, 0.1, 0.5)]
    assert places == sorted(places) and places[0] == 0.0 and places[-1] == 100.0


@pytest.mark.parametrize("bounds", [[], [0.0], [None], [1.0], [0.0004], [0.73]])
def test_an_axis_holds_what_is_drawn_on_it(bounds: list[float | None]) -> None:
    for axis in (rate_axis([], bounds), change_axis(bounds)):
        assert axis.low < axis.high and 2 <= len(axis.ticks) <= 11
        assert all(bound is None or axis.low <= bound <= axis.high for bound in bounds)


def test_changes_have_zero_in_the_middle() -> None:
    assert change_axis([-0.01, 0.052]).at(0.0) == 50.0
