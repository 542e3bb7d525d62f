"""Two runs against each other: what rose, what fell, what drifted, what came and went."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nla_ray.audit.inference.frame import match
from nla_ray.audit.report.rates import Comparison
from nla_ray.audit.verdicts.compare import Week, compare, states_of
from nla_ray.config.audit import Evidence, Units
from nla_ray.config.detectors.model import Detector
from tests.audit.planted import Row, Says, at_random, corpus, detector, in_documents, never, week_of

MANY = [detector("sabotage"), detector("privacy"), detector("deception")]
RULE = Evidence()


def week(says: Says, n: int = 400, *, first: int = 0, fve: float = 0.9, seed: int = 0) -> Week:
    """A week of `n` documents, numbered from `first` on."""
    rows = corpus(n, says, {"shuffled": never, "random": never}, fve=fve, seed=seed, places=6)
    return week_of([dataclasses.replace(row, doc=row.doc + first) for row in rows], MANY)


def compared(before: Week, after: Week, detectors: list[Detector] = MANY) -> Comparison:
    """The comparison of two weeks."""
    return compare(before, after, detectors, RULE, drift=0.05, states={})


def verdicts(found: Comparison) -> list[str]:
    """Of each detector."""
    return [change.verdict for change in found.changes]


def test_the_same_documents_are_compared_in_pairs() -> None:
    before = week(in_documents(20, 0.8, "sabotage", "privacy", "deception"))
    after = week(in_documents(10, 0.8, "sabotage", "privacy"), seed=1)
    found = compared(before, after)
    assert (found.matched, found.only_before, found.only_after) == (400, 0, 0)
    assert "pair by pair" in found.method
    assert verdicts(found) == ["risen", "risen", "fallen"]
    rise = found.changes[0]
    assert rise.low is not None and rise.high is not None and rise.low < 0.05 < rise.high
    assert rise.p is not None and rise.p_adjusted is not None and rise.p_adjusted >= rise.p


def test_other_documents_are_two_samples() -> None:
    before = week(in_documents(20, 0.8, "sabotage"))
    after = week(in_documents(5, 0.8, "sabotage"), first=300, seed=1)
    found = compared(before, after)
    assert (found.matched, found.only_before, found.only_after) == (100, 300, 300)
    assert "samples of documents" in found.method
    assert verdicts(found) == ["risen", "no change shown", "no change shown"]
    assert (found.changes[0].n_before, found.changes[0].n_after) == (400, 400)


def test_the_same_week_twice_shows_no_change() -> None:
    one = week(in_documents(10, 0.6, "sabotage", "privacy", "deception"))
    found = compared(one, one)
    assert verdicts(found) == ["no change shown"] * 3
    assert {change.change for change in found.changes} == {0.0}
    assert not any(drift.drifted for drift in found.fidelity)


def test_few_documents_are_insufficient() -> None:
    few = week(in_documents(3, 0.9, "sabotage"), n=40)
    found = compared(few, week(never, n=40))
    assert verdicts(found) == ["insufficient evidence"] * 3
    assert "fewer than the 100 of evidence.minimum_documents: read some more" in found.changes[0].why


def test_fidelity_that_moved_has_drifted() -> None:
    found = compared(week(never, n=150), week(never, n=150, fve=0.7, seed=1))
    real = found.fidelity[0]
    assert real.population == "real" and real.drifted is True
    assert real.low is not None and real.high is not None and real.low < -0.2 < real.high
    assert [drift.drifted for drift in found.fidelity[1:]] == [False, False]


def test_runs_without_fidelity_have_no_drift_to_speak_of() -> None:
    rows = [Row(doc, place, "real", fve=None) for doc in range(120) for place in range(3)]
    one = week_of(rows, MANY)
    (real,) = compared(one, one).fidelity
    assert real.drifted is None and real.change is None


def test_documents_match_by_id_alone() -> None:
    before, after = week(never, n=30), week(never, n=20, first=15)
    matched = match(before.readings.doc_ids, after.readings.doc_ids)
    ids = before.readings.doc_ids[matched.before]
    assert matched.paired and ids.tolist() == after.readings.doc_ids[matched.after].tolist()
    assert len(ids) == 15


def test_findings_come_and_go() -> None:
    before, after = {("a", "1"), ("a", "2")}, {("a", "2"), ("b", "1")}
    assert states_of(before, after) == {("a", "1"): "absent", ("a", "2"): "unchanged", ("b", "1"): "new"}


def test_null_weeks_rarely_alarm_and_a_rise_of_five_points_is_seen() -> None:
    """Counts alone, as many as a week of 1000 documents has; `benchmarks/audit_power.py` decodes them."""
    rng = np.random.default_rng(8)
    base = week(never, n=1000)

    def drawn(rates: tuple[float, ...]) -> Week:
        owners = base.readings.reads[MANY[0].id].document
        hits = {
            one.id: np.flatnonzero((rng.random(1000) < rate)[owners])
            for one, rate in zip(MANY, rates, strict=True)
        }
        return dataclasses.replace(base, readings=dataclasses.replace(base.readings, hits=hits))

    null, rise = (0.05, 0.05, 0.05), (0.10, 0.05, 0.05)
    alarms = sum(set(verdicts(compared(drawn(null), drawn(null)))) != {"no change shown"} for _ in range(60))
    seen = sum(verdicts(compared(drawn(null), drawn(rise)))[0] == "risen" for _ in range(60))
    assert alarms <= 6 and seen >= 48


def test_more_positions_are_not_more_documents() -> None:
    """The same habit of 15 % a read, at 8 and at 24 positions: at equal exposure the rates are alike."""
    habit = at_random(0.15, "sabotage")
    few, many = (week_of(corpus(300, habit, {}, places=places, seed=places), MANY) for places in (8, 24))
    change = compared(few, many).changes[0]
    assert (change.positions, change.samples) == (8, 1)
    assert change.verdict == "no change shown" and abs(change.change or 1.0) < 0.15


def test_documents_that_were_read_less_are_left_out_and_counted() -> None:
    rows = [row for row in corpus(400, never, {}) if row.doc >= 12 or row.place < 3]
    change = compared(week_of(rows, MANY), week_of(corpus(400, never, {}), MANY)).changes[0]
    assert (change.positions, change.n_after, change.left_out_after) == (8, 388, 12)


def test_another_mix_of_sources_is_no_change() -> None:
    """Half of one stratum has the property, none of the other; the second week has more of the first."""

    def mixed(prone: int, first: int) -> Week:
        def says(rng: np.random.Generator, doc: int, place: int) -> list[str]:
            return ["sabotage"] if doc < prone and doc % 2 else []

        rows = [dataclasses.replace(row, doc=row.doc + first) for row in corpus(400, says, {})]
        part = lambda doc: '{"part": "prone"}' if doc - first < prone else '{"part": "calm"}'  # noqa: E731
        return week_of(rows, MANY, units=Units(stratum="part"), meta=part)

    found = compared(mixed(200, 0), mixed(280, 1000))
    change = found.changes[0]
    assert (change.k_before, change.k_after) == (100, 140)
    assert change.change == pytest.approx(0, abs=1e-9) and change.verdict == "no change shown"
    assert "2 values of the configured column" in found.method


def test_weeks_without_a_stratum_in_common_are_not_compared() -> None:
    one, other = (
        week_of(
            [dataclasses.replace(row, doc=row.doc + first) for row in corpus(150, never, {})],
            MANY, units=Units(stratum="part"), meta=lambda doc, name=name: f'{{"part": "{name}"}}',
        )
        for name, first in (("a", 0), ("b", 1000))
    )  # fmt: skip
    change = compared(one, other).changes[0]
    assert (change.verdict, change.p, change.change) == ("not comparable", None, None)
    assert "of one alone: a, b" in change.why


def test_one_position_beside_a_rule_of_two_is_not_compared() -> None:
    found = compared(week_of(corpus(150, never, {}, places=1), MANY), week_of(corpus(150, never, {}), MANY))
    assert {one.verdict for one in found.changes} == {"not comparable"}
    assert "no document has 2 positions" in found.changes[0].why


def test_the_least_rise_is_one_that_is_flagged() -> None:
    week = week_of(corpus(400, in_documents(20, 1.0, "sabotage"), {}), MANY)
    other = week_of([dataclasses.replace(row, doc=row.doc + 1000) for row in corpus(400, never, {})], MANY)
    seen = compared(week, other).changes[0].seen
    assert seen is not None and 0.05 < seen < 0.12
