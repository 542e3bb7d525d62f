"""The picture: what stands in a square, and the squares of all corpora."""

from __future__ import annotations

import pytest

from nla_ray.fleet.report.matrix import matrices, overview, short, square
from nla_ray.fleet.report.model import Reading
from tests.fleet.reports import change, example, found, reading


@pytest.mark.parametrize(
    ("one", "colour", "text"),
    [
        (reading(), "q", "1.0"),
        (reading(rate=0.0), "q", "0"),
        (found(rate=0.012), "h1", "1.2"),
        (found(rate=0.05), "h2", "5.0"),
        (found(rate=0.25, last=change(0.2, "risen")), "h3", "25\u25b2"),
        (found(rate=0.5, base=change(-0.2, "fallen")), "h4", "50\u25bd"),
        (reading(last=change(-0.1, "fallen")), "q", "1.0\u25bc"),
        (reading(verdict="insufficient evidence"), "u", "1.0"),
        (None, "x", ""),
    ],
)
def test_a_square(one: Reading | None, colour: str, text: str) -> None:
    assert (square(one).colour, square(one).text) == (colour, text)


def test_a_square_tells_its_interval_and_its_changes() -> None:
    assert square(reading()).title == "0.4 to 2.3 %"
    told = square(found(rate=0.15, last=change(0.14, "risen"))).title
    assert "15 % (12 to 18 %), 75 of 500, controls 1.1 %" in told
    assert "last +14.0 points (+12.0 to +16.0), p 0.001; base " in told


def test_rates_in_few_characters() -> None:
    rates = (0.0, 0.0004, 0.0123, 0.0994, 0.0996, 1.0, None)
    assert [short(one) for one in rates] == ["0", "0.0", "1.2", "9.9", "10", "100", "\u2013"]


def test_models_by_detectors() -> None:
    report = example()
    assert [one.corpus for one in matrices(report)] == ["notes", "chats"]
    notes = matrices(report)[0]
    assert [(row.model, row.base, row.silent) for row in notes.rows] == [
        ("assistant", None, ""), ("tuned", "assistant", ""), ("candidate", "assistant", "missing"),
    ]  # fmt: skip
    assert (notes.above, notes.moved, notes.silent) == (1, 2, 1)
    rows = {row.model: row for row in overview(report)}
    assert [one.text for one in rows["tuned"].squares] == ["1\u25b2\u25b3", "\u25bc", "\u25bd"]
    assert rows["tuned"].squares[0].title == "notes 15 %\u25b2\u25b3"
    assert rows["assistant"].squares[0].colour == "h3"
