"""A hit is evidence by stated rules; a document that fails one says which."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nla_ray.audit.findings import MOST_ROWS, finding_rows
from nla_ray.audit.tally import needed
from nla_ray.audit.verdicts.rates import rate_all
from nla_ray.config.audit import Evidence
from nla_ray.config.detectors.model import Detector
from nla_ray.tables import FINDINGS, table_of
from tests.audit.planted import Row, at_random, corpus, detector, in_documents, never, tally_of

ONE = detector("sabotage")
SAID = frozenset({"sabotage"})


def statuses(
    rows: list[Row], rule: Evidence | None = None, one: Detector = ONE, *, reportable: bool = True
) -> dict[str, str]:
    """Status of each document with a hit."""
    return {row["doc_id"]: row["status"] for row in found(rows, rule, one, reportable=reportable)}


def found(
    rows: list[Row], rule: Evidence | None = None, one: Detector = ONE, *, reportable: bool = True
) -> list[dict[str, object]]:
    """Rows of the table of findings."""
    rule = rule or Evidence()
    connection, counted = tally_of(rows, [one], rule)
    rated = rate_all(counted, [one], rule)
    return list(finding_rows(connection, counted, [one], rated, "audit", reportable=reportable))


BASE = corpus(200, in_documents(10, 0.7, "sabotage"), {"shuffled": never, "random": never})
"""Twenty documents with findings; others are added to it under numbers from 900 on."""


def test_each_rule_names_itself() -> None:
    others = [
        *(Row(900, place, "real", SAID if place == 3 else frozenset()) for place in range(8)),
        *(Row(901, place, "real", SAID, artefact=True) for place in range(8)),
        *(Row(902, place, "real", SAID, fve=-1.2) for place in range(8)),
        *(Row(903, place, "real", SAID, restated=True) for place in range(8)),
        *(Row(904, place, "real", SAID, restated=None) for place in range(8)),
        *(Row(905, place, "real", SAID, restated=place < 7) for place in range(8)),
    ]
    got = statuses(BASE + others)
    assert [got[f"doc0{number}"] for number in range(900, 906)] == [
        "below recurrence", "artefact", "low fidelity", "restated", "finding", "restated",
    ]  # fmt: skip
    assert sum(status == "finding" for status in got.values()) == pytest.approx(21, abs=1)
    counted = statuses(BASE + others, Evidence(restated=True))
    assert counted["doc0903"] == "finding"


def test_fidelity_need_not_exceed_that_of_controls_where_that_is_not_asked() -> None:
    others = [Row(902, place, "real", SAID, fve=-1.2) for place in range(8)]
    assert statuses(BASE + others)["doc0902"] == "low fidelity"
    assert statuses(BASE + others, Evidence(beyond_controls=None))["doc0902"] == "finding"


def test_a_detector_may_ask_for_more_fidelity() -> None:
    picky = detector("sabotage", minimum_fidelity=0.95)
    assert set(statuses(BASE, one=picky).values()) <= {"low fidelity", "below recurrence"}


def test_rows_without_fidelity_are_no_evidence_where_others_have_it() -> None:
    others = [Row(902, place, "real", SAID, fve=None) for place in range(8)]
    assert statuses(BASE + others)["doc0902"] == "low fidelity"


def test_what_does_not_exceed_its_controls_is_never_a_finding() -> None:
    says = at_random(0.3, "sabotage")
    got = set(statuses(corpus(200, says, {"shuffled": says, "random": says})).values())
    assert got == {"not distinguishable", "below recurrence"}
    few = set(statuses(corpus(60, in_documents(10, 0.7, "sabotage"), {"shuffled": never})).values())
    assert few <= {"insufficient evidence", "below recurrence"}


def test_documents_that_controls_could_have_made_are_no_findings() -> None:
    chatty = at_random(0.1, "sabotage")
    weak = [Row(900, place, "real", SAID if place < 2 else frozenset()) for place in range(8)]
    rows = corpus(400, in_documents(10, 0.95, "sabotage"), {"shuffled": chatty, "random": chatty}, poor=0.9)
    got = statuses(rows + weak, Evidence(beyond_controls=None))
    assert got["doc0900"] == "not distinguishable" and got["doc0010"] == "finding"


def test_detectors_that_only_inform_have_no_findings() -> None:
    got = statuses(BASE, one=detector("sabotage", level="informational"))
    assert set(got.values()) <= {"informational", "below recurrence"} and "informational" in got.values()


def test_an_audit_that_is_not_reportable_has_no_finding() -> None:
    assert "finding" not in statuses(BASE, reportable=False).values()
    assert "not reportable" in statuses(BASE, reportable=False).values()


def test_an_experimental_detector_raises_no_finding() -> None:
    plain, young = found(BASE), found(BASE, one=detector("sabotage", status="experimental"))
    assert {row["status"] for row in plain} >= {"finding"}
    expected = ["experimental" if row["status"] == "finding" else row["status"] for row in plain]
    assert [row["status"] for row in young] == expected


@pytest.mark.parametrize(
    ("recurrence", "places", "strength"),
    [
        ({"k": 3}, [0, 4, 7], 3),
        ({"k": 3, "n": 4}, [0, 1, 3, 7], 3),
        ({"k": 3, "n": 4}, [0, 2, 4, 6], 2),
        ({"k": 1}, [5], 1),
    ],
)
def test_recurrence_over_positions(recurrence: dict[str, object], places: list[int], strength: int) -> None:
    rule = detector("sabotage", recurrence=recurrence)
    rows = [Row(0, place, "real", SAID if place in places else frozenset()) for place in range(8)]
    _, counted = tally_of(rows, [rule])
    assert counted.hits_of("sabotage", "real").strength.tolist() == [strength]


def test_recurrence_over_samples_is_within_a_position() -> None:
    rule = detector("sabotage", recurrence={"k": 2, "over": "samples"})
    said = {(0, 0), (1, 1), (2, 0), (2, 2)}
    rows = [
        Row(0, place, "real", SAID if (place, sample) in said else frozenset(), sample=sample)
        for place in range(4)
        for sample in range(3)
    ]
    _, counted = tally_of(rows, [rule])
    hits = counted.hits_of("sabotage", "real")
    assert needed(rule) == 1 and hits.strength.tolist() == [1] and hits.places.tolist() == [3]


def test_recurrence_over_rows_counts_every_answer() -> None:
    rule = detector("sabotage", recurrence={"k": 3, "over": "rows"})
    rows = [
        Row(0, place, "real", SAID if place < 2 else frozenset(), sample=s)
        for place in range(4)
        for s in (0, 1)
    ]
    _, counted = tally_of(rows, [rule])
    hits = counted.hits_of("sabotage", "real")
    assert hits.strength.tolist() == [4] and hits.weights == {2: 2}


def test_a_finding_keeps_its_evidence_and_the_parts_of_its_score() -> None:
    rows = [
        Row(900, place, "real", SAID if place else frozenset(), fve=0.8 + place / 100) for place in range(12)
    ]
    made = found(BASE + rows)
    assert table_of(made, FINDINGS).num_rows == len(made)
    row = next(row for row in made if row["doc_id"] == "doc0900")
    evidence = json.loads(str(row["evidence"]))
    assert [one["position"] for one in evidence] == [21, 20, 19, 18, 17, 16, 15, 14] and len(
        evidence
    ) == MOST_ROWS
    assert evidence[0] == {
        "row_id": "900-11-real", "sample": 0, "position": 21, "token": "word", "role": "assistant",
        "span": "mentions sabotage",
        "span_start": 0, "fve_nrm": pytest.approx(0.91),
    }  # fmt: skip
    assert (row["rows_hit"], row["rows_read"], row["positions_hit"], row["positions_read"]) == (
        11,
        12,
        11,
        12,
    )
    assert row["recurrence"] == pytest.approx(11 / 12) and row["fidelity"] == pytest.approx(0.86)
    assert row["lift"] == pytest.approx(11 / 12) and isinstance(row["chance"], float) and row["chance"] < 1e-6
    assert row["score"] == pytest.approx(11 / 12 * 0.86, rel=1e-3)


def test_ids_of_findings_follow_from_run_detector_and_document() -> None:
    first, again = found(BASE), found(list(reversed(BASE)))
    assert [row["finding_id"] for row in first] == [row["finding_id"] for row in again]
    assert len({row["finding_id"] for row in first}) == len(first)


def test_scores_order_by_strength() -> None:
    made = sorted(found(BASE), key=lambda row: -float(str(row["score"])))
    shares = [int(str(row["positions_hit"])) for row in made]
    assert np.corrcoef(shares, range(len(shares)))[0, 1] < -0.9
