"""A week in one sentence and in numbers."""

from __future__ import annotations

from nla_ray.fleet.report.outline import silent
from nla_ray.fleet.report.sums import by_model, sentence, summed
from tests.fleet.reports import cell, change, detector, example, found, reading, report

DETECTORS = tuple(detector(at) for at in range(3))


def test_a_quiet_week() -> None:
    assert sentence([cell("m", "a", reading(0))], DETECTORS) == (
        "1 of 1 cell could be read; none of them has findings."
    )


def test_benign_documents_are_not_expected_to_say_anything() -> None:
    cells = [cell("m", "a", reading(0)), cell("m", "benign", verdict=None)]
    assert sentence(cells, DETECTORS).startswith("1 of 1 cell could be read")
    assert (summed("w", cells).cells, summed("w", cells).vectors) == (1, 10_000)
    assert summed("w", cells).benign_vectors == 5000
    assert silent(report(*cells)) == ()


def test_a_week_in_which_no_cell_speaks() -> None:
    assert sentence([cell("m", "a", verdict="not reportable")], DETECTORS) == (
        "0 of 1 cell could be read; nothing is known."
    )


def test_findings_are_named_new_ones_first() -> None:
    cells = [
        cell("m", "a", found(0), found(2)),
        cell("m", "b", found(1, standing="new"), reading(0, last=change(0.1, "risen"))),
        cell("m", "c", verdict="not reportable"),
    ]
    assert sentence(cells, DETECTORS) == (
        "2 of 3 cells could be read; 2 of them have findings: Detector 1 (m on b, new), Detector 0 (m on a), "
        "Detector 2 (m on a). Since last week 1 rate has risen."
    )
    many = [cell("m", str(at), found(0)) for at in range(5)]
    assert "and 2 more" in sentence(many, DETECTORS)


def test_sums_of_a_week_and_by_model() -> None:
    cells = example().cells
    total = summed("w", cells)
    assert (total.cells, total.speaking, total.with_findings, total.above) == (6, 4, 2, 3)
    assert total.vectors == 6 * 5000 and total.cost == 6 * 1.25
    models = by_model(cells)
    assert [one.of for one in models] == ["assistant", "tuned", "candidate"]
    assert sum(one.vectors for one in models) == total.vectors
    assert summed("w", [cell("m", "a", cost=None)]).cost is None
