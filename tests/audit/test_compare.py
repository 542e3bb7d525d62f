"""Two runs against each other: what rose, what fell, what drifted, what came and went."""

from __future__ import annotations

import dataclasses

import numpy as np

from nla_ray.audit.compare import compare, match, states_of
from nla_ray.audit.report.rates import Comparison
from nla_ray.audit.tally import Tally
from nla_ray.config.audit import Evidence
from nla_ray.config.detectors.model import Detector
from tests.audit.planted import Row, Says, corpus, detector, in_documents, never, tally_of

MANY = [detector("sabotage"), detector("privacy"), detector("deception")]
RULE = Evidence()


def week(says: Says, n: int = 400, *, first: int = 0, fve: float = 0.9, seed: int = 0) -> Tally:
    """Counts of `n` documents, numbered from `first` on."""
    rows = corpus(n, says, {"shuffled": never, "random": never}, fve=fve, seed=seed, places=6)
    return tally_of([dataclasses.replace(row, doc=row.doc + first) for row in rows], MANY)[1]


def compared(before: Tally, after: Tally, detectors: list[Detector] = MANY) -> Comparison:
    """The comparison of two weeks."""
    return compare(before, after, detectors, RULE, drift=0.05, labels=("before", "after"), states={})


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
    assert verdicts(compared(few, week(never, n=40))) == ["insufficient evidence"] * 3


def test_fidelity_that_moved_has_drifted() -> None:
    found = compared(week(never, n=150), week(never, n=150, fve=0.7, seed=1))
    real = found.fidelity[0]
    assert real.population == "real" and real.drifted is True
    assert real.low is not None and real.high is not None and real.low < -0.2 < real.high
    assert [drift.drifted for drift in found.fidelity[1:]] == [False, False]


def test_runs_without_fidelity_have_no_drift_to_speak_of() -> None:
    rows = [Row(doc, place, "real", fve=None) for doc in range(120) for place in range(3)]
    one = tally_of(rows, MANY)[1]
    (real,) = compared(one, one).fidelity
    assert real.drifted is None and real.change is None


def test_documents_match_by_id_alone() -> None:
    before, after = week(never, n=30), week(never, n=20, first=15)
    matched = match(before.populations["real"], after.populations["real"])
    ids = before.populations["real"].doc_ids[matched.before]
    assert matched.paired and ids.tolist() == after.populations["real"].doc_ids[matched.after].tolist()
    assert len(ids) == 15


def test_findings_come_and_go() -> None:
    before, after = {("a", "1"), ("a", "2")}, {("a", "2"), ("b", "1")}
    assert states_of(before, after) == {("a", "1"): "absent", ("a", "2"): "unchanged", ("b", "1"): "new"}


def test_null_weeks_rarely_alarm_and_a_rise_of_five_points_is_seen() -> None:
    """Counts alone, as many as a week of 1000 documents has; `benchmarks/audit_power.py` decodes them."""
    rng = np.random.default_rng(8)
    base = week(never, n=1000)

    def drawn(rates: tuple[float, ...]) -> Tally:
        hits = {}
        for one, rate in zip(MANY, rates, strict=True):
            strength = np.where(rng.random(1000) < rate, 3, 0)
            hits[one.id, "real"] = dataclasses.replace(base.hits_of(one.id, "real"), strength=strength)
        return dataclasses.replace(base, hits=hits)

    null, rise = (0.05, 0.05, 0.05), (0.10, 0.05, 0.05)
    alarms = sum(set(verdicts(compared(drawn(null), drawn(null)))) != {"no change shown"} for _ in range(60))
    seen = sum(verdicts(compared(drawn(null), drawn(rise)))[0] == "risen" for _ in range(60))
    assert alarms <= 6 and seen >= 48
