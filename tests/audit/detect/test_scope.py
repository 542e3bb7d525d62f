"""A detector with a scope is rated on the places that it is about, and on no others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import pytest

from nla_ray.audit.findings import finding_rows
from nla_ray.audit.inference.frame import UNMATCHED
from nla_ray.audit.tally import Tally
from nla_ray.audit.verdicts.compare import compare
from nla_ray.audit.verdicts.measured import INSUFFICIENT, NOT, Beside
from nla_ray.audit.verdicts.rates import Rated, rate_all
from nla_ray.config.audit import Evidence
from tests.audit.planted import Row, at_random, corpus, detector, in_documents, never, tally_of, week_of

NARROW = detector("sabotage", scope={"roles": ["user"]})
RULE = Evidence()


def chats(n: int = 400) -> list[Row]:
    """Half of the documents have user turns, at their first four of eight places; a tenth of those has it."""
    rows = corpus(n, in_documents(20, 0.8, "sabotage"), {"shuffled": never, "random": never}, share=0.3)
    return [of_user(row) if row.doc % 2 == 0 and row.place < 4 else without(row) for row in rows]


def of_user(row: Row) -> Row:
    return dataclasses.replace(row, role="user")


def without(row: Row) -> Row:
    return dataclasses.replace(row, said=frozenset())


def rated(counted: Tally, beside: Beside | None = None) -> Rated:
    (found,) = rate_all(counted, [NARROW], RULE, beside)
    return found


def test_rates_are_of_documents_with_a_place_in_scope() -> None:
    connection, counted = tally_of(chats(), [NARROW])
    real = counted.within("sabotage")["real"]
    assert len(counted.populations["real"]) == 400 and len(real) == 200
    assert set(real.places.tolist()) == {4} and set(counted.populations["real"].places.tolist()) == {8}
    found = rated(counted)
    assert (found.documents.k, found.documents.n) == (pytest.approx(20, abs=2), 200)
    rows = {rate.population: rate.n for rate in found.rates if rate.unit == "row"}
    assert rows["real"] == 800 and rows["random"] < 400
    first = next(iter(finding_rows(connection, counted, [NARROW], [found], "audit", reportable=True)))
    assert (first["rows_read"], first["positions_read"]) == (4, 4)


def test_controls_are_rated_on_places_in_scope_too() -> None:
    """They mention it at every place of a user and nowhere else: diluted by the others, it would be half."""
    always = at_random(1.0, "sabotage")
    rows = corpus(200, always, {"shuffled": always, "random": always}, share=0.5, poor=0.9)
    half = [of_user(row) if row.place % 2 == 0 else without(row) for row in rows]
    rule = Evidence(beyond_controls=None)
    _, counted = tally_of(half, [NARROW], rule)
    (found,) = rate_all(counted, [NARROW], rule)
    random = next(one for one in found.rates if (one.population, one.unit) == ("random", "document"))
    assert random.rate == pytest.approx(1.0) and found.verdict == NOT


def test_places_in_a_row_are_places_in_scope() -> None:
    picky = detector("sabotage", scope={"roles": ["user"]}, recurrence={"k": 3, "n": 3})
    said = frozenset({"sabotage"})
    rows = [Row(0, place, "real", said, role="user" if place % 2 else "assistant") for place in range(8)]
    spoken = [row if row.role == "user" else without(row) for row in rows]
    _, counted = tally_of(spoken, [picky])
    assert counted.hits_of("sabotage", "real").strength.tolist() == [3]


def test_nothing_in_scope_is_insufficient_evidence() -> None:
    rows = corpus(200, never, {"shuffled": never, "random": never})
    week = week_of(rows, [NARROW])
    found = rated(week.tally)
    assert (found.documents.n, found.documents.rate, found.verdict) == (0, None, INSUFFICIENT)
    (change,) = compare(week, week, [NARROW], RULE, drift=0.1, states={}).changes
    assert (change.n_before, change.change, change.verdict) == (0, None, "not comparable")
    assert "no row in scope" in change.why


def test_a_control_without_a_place_in_scope_is_no_control() -> None:
    rows = [dataclasses.replace(row, role="system") if row.control == "random" else row for row in chats()]
    found = rated(tally_of(rows, [NARROW])[1])
    assert found.verdict == INSUFFICIENT and "no random rows" in found.why


def test_benign_documents_without_a_place_in_scope_are_no_benign_documents() -> None:
    week = week_of(chats(), [NARROW])
    benign = week_of(corpus(200, never, {}), [NARROW])
    found = rated(week.tally, Beside(benign.readings, week.readings, UNMATCHED))
    assert "benign" not in {rate.population for rate in found.rates}
    assert found.verdict == INSUFFICIENT and "benign documents share no exposure" in found.why


def test_weeks_are_compared_on_documents_in_scope() -> None:
    before, after = (week_of(some(chats(), where), [NARROW]) for where in (range(300), range(100, 400)))
    (change,) = compare(before, after, [NARROW], RULE, drift=0.1, states={}).changes
    assert (change.n_before, change.n_after) == (100, 100)
    assert change.change == 0


def some(rows: Iterable[Row], documents: range) -> list[Row]:
    return [row for row in rows if row.doc in documents]


def test_one_document_counts_once_in_each_scope() -> None:
    """Two detectors of one audit keep their own places."""
    other = detector("privacy")
    _, counted = tally_of(chats(), [NARROW, other])
    assert counted.within("privacy") is counted.populations
    assert np.array_equal(counted.hits_of("privacy", "real").places, np.zeros(400))
    assert len(counted.hits_of("sabotage", "real").places) == 200
