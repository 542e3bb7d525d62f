"""What holds over a whole sweep."""

from __future__ import annotations

import numpy as np
import pytest

from nla_ray.audit.inference.statistics import benjamini_hochberg
from nla_ray.fleet.report.model import Change, FleetCell, Reading
from nla_ray.pipelines.sweep.judging import judged
from tests.fleet.reports import cell, change, found, reading


def only(cells: tuple[FleetCell, ...], at: int = 0) -> Reading:
    return cells[at].readings[0]


def test_a_finding_of_one_cell_may_be_chance_among_many() -> None:
    """0.002 is enough in a cell of its own, and not the smallest of a thousand."""
    one = cell("m", "a", found(0, p=0.002))
    others = [cell("m", str(at), reading(0, p=(at + 1) / 1000)) for at in range(999)]
    alone, _ = judged([one], {}, 0.05)
    assert only(alone).verdict == "above controls" and only(alone).counted and alone[0].says == "findings"
    among, families = judged([one, *others], {}, 0.05)
    assert only(among).verdict == "not distinguishable"
    assert only(among).findings == 0 and among[0].says == "quiet"
    assert (families[0].tests, families[0].significant) == (1000, 0)


def test_a_sweep_of_nothing_rarely_alarms() -> None:
    """Uniform p in 40 cells of 12 detectors: any alarm at all in about 5 % of weeks, not of cells."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(100):
        cells = [
            cell("m", str(at), *(found(d, p=p) for d, p in enumerate(rng.uniform(size=12))))
            for at in range(4)
        ]
        alarms += any(one.says == "findings" for one in judged(cells, {}, 0.05)[0])
    assert alarms <= 12


def test_what_the_audit_does_not_claim_the_sweep_does_not_either() -> None:
    quiet = reading(0, p=1e-12)
    lacking = reading(0, p=None, alone="insufficient evidence")
    cells, families = judged([cell("m", "a", quiet), cell("m", "b", lacking)], {}, 0.05)
    assert only(cells).verdict == "not distinguishable"
    assert only(cells, 1).verdict == "insufficient evidence"
    assert families[0].tests == 1


def test_cells_that_are_not_reportable_claim_and_test_nothing() -> None:
    spoilt = cell("m", "a", found(0, p=1e-12, last=raw(1e-9, 0.2)), verdict="not reportable")
    [made], families = judged([spoilt], {}, 0.05)
    assert only((made,)).verdict == "insufficient evidence" and only((made,)).last is None
    assert [one.tests for one in families] == [0, 0, 0]


def raw(p: float | None, by: float) -> Change:
    return change(by).model_copy(update={"p": p, "p_adjusted": None, "verdict": "insufficient evidence"})


def test_changes_are_families_of_their_own() -> None:
    ps = [1e-6, 0.01, 0.02, 0.5]
    readings = [reading(at, last=raw(p, -0.1), base=raw(None, 0.1)) for at, p in enumerate(ps)]
    [made], (_, last, base) = judged([cell("m", "a", *readings)], {}, 0.05)
    found = [one.last for one in made.readings if one.last]
    assert [one.p_adjusted for one in found] == pytest.approx(benjamini_hochberg(ps))
    assert [one.verdict for one in found] == ["fallen", "fallen", "fallen", "no change shown"]
    assert (last.tests, last.significant, base.tests) == (4, 3, 0)
    assert {one.base.verdict for one in made.readings if one.base} == {"insufficient evidence"}


def test_new_still_and_gone_against_the_newest_earlier_week() -> None:
    above, quiet = found(0, p=1e-9), reading(0, p=0.9)
    standings = []
    for was, now in ((quiet, above), (above, above), (above, quiet), (quiet, quiet)):
        earlier = {("m", "a"): cell("m", "a", was)}
        standings.append(only(judged([cell("m", "a", now)], earlier, 0.05)[0]).standing)
    assert standings == ["new", "still", "gone", None]
    first = above.model_copy(update={"standing": None})
    assert only(judged([cell("m", "a", first)], {}, 0.05)[0]).standing is None
