"""How a report writes numbers, places them on an axis, and cuts text about a finding."""

from __future__ import annotations

import pytest

from nla_ray.audit.report.context import AROUND, MOST, Read, contexts
from nla_ray.audit.report.evidence import Evidence
from nla_ray.audit.report.outline import AROUND as SHOWN
from nla_ray.audit.report.outline import marked
from nla_ray.pages.axes import change_axis, rate_axis
from nla_ray.pages.words import decimals, number, percent, points, probability, shown


def test_numbers() -> None:
    assert (percent(0.1234), percent(None), percent(0.0038, 2)) == ("12.3 %", "\u2013", "0.38 %")
    assert (points(-0.012), points(0.052), points(0.0)) == ("\u22121.2", "+5.2", "0.0")
    assert (number(-0.001, 2), number(-1.5, 2), number(12345, 0)) == ("0.00", "\u22121.50", "12,345")
    assert (probability(0.00001), probability(0.04), probability(None)) == ("< 0.001", "0.040", "\u2013")


@pytest.mark.parametrize(
    ("shares", "digits"), [((0.1, 0.2), 1), ((0.0005, 0.3), 2), ((0.0, None), 1), ((1e-9,), 4)]
)
def test_decimals_keep_the_smallest_rate_above_zero(shares: tuple[float | None, ...], digits: int) -> None:
    assert decimals(shares) == digits


def test_newlines_stay_and_what_cannot_be_seen_is_written_out() -> None:
    assert shown("a\nb\r\x1b\u202e\u200b") == "a\nb\\r\\x1b\\u202e\\u200b"


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


def test_a_context_is_the_text_with_the_tokens_that_were_read() -> None:
    text = "one two three four"
    window = contexts(
        text, [3, 7, 13, 18], {1: Read(0.5, hit=True), 3: Read(None, hit=False), 9: Read(0, hit=True)}
    )
    assert len(window) == 1 and not window[0].cut_before and not window[0].cut_after
    assert "".join(segment.text for segment in window[0].segments) == text
    assert [(one.text, one.hit) for one in window[0].segments if one.position is not None] == [
        (" two", True),
        (" four", False),
    ]


def test_far_hits_have_windows_of_their_own_and_not_too_many() -> None:
    ends = list(range(10, 20_001, 10))
    windows = contexts("word word " * 2000, ends, {at: Read(0.9, hit=True) for at in range(100, 2000, 300)})
    assert len(windows) == MOST
    for window in windows:
        assert window.cut_before and window.cut_after
        assert sum(len(segment.text) for segment in window.segments) == 2 * AROUND + 10


def test_no_hit_no_window() -> None:
    assert contexts("one two", [3, 7], {0: Read(0.1, hit=False)}) == ()


def test_the_matched_words_are_found_where_they_start() -> None:
    row = Evidence(row_id="r", sample=0, position=1, token="x", span="test", span_start=10,
                   explanation="a test; a test", fve_nrm=0.5)  # fmt: skip
    assert marked(row) == ("a test; a ", "test", "")
    assert marked(row.model_copy(update={"span": "exam"})) == ("a test; a test", "", "")
    long = row.model_copy(update={"explanation": "y" * 5000 + "test" + "z" * 5000, "span_start": 0})
    before, span, after = marked(long)
    assert span == "test" and len(before) < SHOWN + 60 and len(after) < SHOWN + 60
