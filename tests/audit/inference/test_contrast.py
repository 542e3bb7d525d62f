"""Two populations at equal exposure: pairs, families, strata, and what cannot be compared."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nla_ray.audit.inference.clusters import design_effect, paired_effect
from nla_ray.audit.inference.contrast import contrast
from nla_ray.audit.inference.exposure import Readings, Reads, common, draw, drawable, joined
from nla_ray.audit.inference.frame import UNMATCHED, Matched, match
from nla_ray.audit.inference.seen import smallest_rise
from nla_ray.audit.inference.statistics import stratified, two_samples
from tests.audit.planted import detector

ONE = detector("sabotage")


def readings(places: list[int], hits: list[int], samples: int = 1, **changes: object) -> Readings:
    """Documents with so many places each, of which the first few are hits."""
    document = np.repeat(np.arange(len(places)), np.array(places) * samples)
    place = np.repeat(np.arange(sum(places)), samples)
    first = np.concatenate([[0], np.cumsum(places)[:-1]])
    said = np.isin(place, [first[at] + one for at, n in enumerate(hits) for one in range(n)])
    n = len(places)
    fixed = {
        "doc_ids": np.array([f"d{at:04}" for at in range(n)]), "family": np.arange(n),
        "stratum": np.full(n, ""), "pair": np.full(n, ""),
        "reads": {"sabotage": Reads(document, place, n)}, "hits": {"sabotage": np.flatnonzero(said)},
    }  # fmt: skip
    return Readings(**(fixed | changes))  # type: ignore[arg-type]


def test_as_many_positions_are_drawn_as_nearly_all_documents_have() -> None:
    few, many = readings([4] * 19 + [1], [2] * 20), readings([12] * 20, [3] * 20)
    sides = [(one.reads["sabotage"], np.arange(20)) for one in (few, many)]
    exposure = common(sides, ONE.recurrence)
    assert (exposure.positions, exposure.samples) == (4, 1)
    assert drawable(few.reads["sabotage"], exposure).tolist() == [True] * 19 + [False]
    assert draw(few, "sabotage", ONE.recurrence, exposure)[:19].all()
    # Of twelve places the first four are drawn, and of these three are hits.
    assert draw(many, "sabotage", ONE.recurrence, exposure).all()


def test_as_many_samples_are_drawn_of_each_position() -> None:
    one, four = readings([8] * 20, [0] * 20), readings([8] * 20, [2] * 20, samples=4)
    sides = [(side.reads["sabotage"], np.arange(20)) for side in (one, four)]
    assert common(sides, ONE.recurrence).samples == 1


@pytest.mark.parametrize(("over", "met"), [("positions", True), ("samples", True), ("rows", True)])
def test_every_kind_of_recurrence_is_drawn(over: str, met: bool) -> None:
    rule = detector("sabotage", recurrence={"k": 2, "over": over}).recurrence
    found = readings([3], [2], samples=2)
    exposure = common([(found.reads["sabotage"], np.arange(1))], rule)
    assert draw(found, "sabotage", rule, exposure).tolist() == [met]


def test_a_window_bounds_the_positions_that_are_drawn() -> None:
    rule = detector("sabotage", recurrence={"k": 2, "n": 5}).recurrence
    found = readings([20], [2])
    assert common([(found.reads["sabotage"], np.arange(1))], rule).positions == 5


def test_as_much_is_drawn_as_a_rule_over_rows_asks_for() -> None:
    """Drawn less, no document could meet the rule, and both sides would be alike."""
    rule = detector("sabotage", recurrence={"k": 4, "over": "rows"}).recurrence
    found = readings([2] * 3 + [20] * 17, [0] * 20)
    assert common([(found.reads["sabotage"], np.arange(20))], rule).positions == 4


def test_benign_twins_are_compared_in_pairs() -> None:
    """All that set it off by topic do so in both; ten more do in the audited ones alone."""
    benign = readings([8] * 200, [4] * 20 + [0] * 180)
    real = readings([8] * 200, [4] * 30 + [0] * 170)
    pairs = Matched(np.arange(200), np.arange(200), True)
    paired = contrast(benign, real, ONE, pairs, greater=True)
    apart = contrast(benign, real, ONE, UNMATCHED, greater=True)
    assert paired.p is not None and apart.p is not None and paired.p < 0.005 < apart.p
    assert paired.change == apart.change == pytest.approx(0.05)


def test_names_that_are_empty_match_nothing() -> None:
    assert match(np.array(["", "a"]), np.array(["", "b"])).before.tolist() == []


def test_one_stratum_is_fishers_test_and_several_do_not_mix() -> None:
    assert stratified([(5, 50, 12, 50)]) == two_samples(5, 50, 12, 50)
    # Simpson's paradox: no difference in either stratum, a large one in their sum.
    assert stratified([(45, 50, 90, 100), (5, 100, 2, 50)]) > 0.5
    assert two_samples(50, 150, 92, 150) < 1e-4


def test_what_would_be_seen_knows_how_few_documents_share_a_stratum() -> None:
    """Of a thousand a side ten are in the other's stratum: a rise of three points is invisible."""
    sides = [
        readings([2] * 1000, [2] * 50 + [0] * 950, stratum=np.array(["a"] * many + ["b"] * (1000 - many)))
        for many in (10, 990)
    ]
    mixed = smallest_rise(contrast(sides[0], sides[1], ONE, UNMATCHED), 0.05)
    alike = smallest_rise(contrast(sides[0], sides[0], ONE, UNMATCHED), 0.05)
    assert alike is not None and mixed is not None and alike < 0.04 and mixed > 0.2


def test_no_p_is_zero() -> None:
    none, each = readings([2] * 1000, [0] * 1000), readings([2] * 1000, [2] * 1000)
    assert (contrast(none, each, ONE, UNMATCHED, greater=True).p or 0.0) > 0


def test_design_effects() -> None:
    pairs = np.arange(200) // 2
    met = np.isin(pairs, np.arange(10))
    assert design_effect(met, pairs) == pytest.approx(2)
    assert design_effect(met, np.arange(200)) == 1
    assert design_effect(np.zeros(200, bool), pairs) == 2
    assert paired_effect(met.astype(np.int64), pairs) == pytest.approx(2)
    assert paired_effect(np.zeros(200, np.int64), pairs) == 1


def test_strata_of_few_families_hide_no_variance() -> None:
    """Of two families a stratum, the mean of the stratum takes half of their variance."""
    rng = np.random.default_rng(5)
    family, alike = np.arange(24_000) // 6, rng.random(24_000) < 0.5
    met = np.where(alike, rng.random(4_000)[family], rng.random(24_000)) < 0.2
    whole, pairs = design_effect(met, family), design_effect(met, family, family // 2)
    assert pairs == pytest.approx(whole, rel=0.08) and whole == pytest.approx(1 + 5 * 0.25, rel=0.08)


def test_families_cost_what_their_copies_are_worth() -> None:
    before, after = readings([4] * 400, [2] * 20 + [0] * 380), readings([4] * 400, [2] * 45 + [0] * 355)
    alone = contrast(before, after, ONE, UNMATCHED)
    fives = [dataclasses.replace(one, family=np.arange(400) // 5) for one in (before, after)]
    copied = contrast(*fives, ONE, UNMATCHED)
    assert alone.p is not None and copied.p is not None and alone.p < 0.01 < 0.1 < copied.p
    assert copied.effect == pytest.approx(5, abs=0.2)


def test_strata_of_fewer_documents_than_one_is_worth_are_not_lost() -> None:
    """Families of six documents, each in another stratum: 60 strata of 6 are worth 60, not none."""
    stratum, family = np.array([f"s{doc % 60:02}" for doc in range(360)]), np.arange(360) // 6
    few, many = (
        readings([2] * 360, [2 * (doc // 6 < met) for doc in range(360)], stratum=stratum, family=family)
        for met in (3, 15)
    )
    found = contrast(few, many, ONE, UNMATCHED)
    assert found.effect == pytest.approx(6) and found.interval.low > 0
    assert found.p is not None and found.p < 0.01


def test_several_runs_are_one_population() -> None:
    both = joined([readings([2, 3], [2, 0]), readings([4], [3])])
    assert (len(both), both.reads["sabotage"].documents) == (3, 3)
    exposure = common([(both.reads["sabotage"], np.arange(3))], ONE.recurrence)
    assert draw(both, "sabotage", ONE.recurrence, exposure).tolist() == [True, False, True]
    assert both.family.tolist() == [0, 1, 2]
