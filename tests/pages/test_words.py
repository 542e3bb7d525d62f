"""How pages write numbers and untrusted text."""

from __future__ import annotations

import pytest

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
