"""What reviews make of packs: whose numbers stand, and when a detector becomes experimental."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nla_ray.audit.review.draw import rule_sha256, sample_of
from nla_ray.config.detectors.model import Pack, Validation
from nla_ray.config.detectors.packs import Packs
from nla_ray.pipelines.review.sittings import Row
from nla_ray.pipelines.review.validation import informed, of_runs
from tests.audit.planted import detector

RUNS = {"week1": "a" * 64}
REVIEW = sample_of(RUNS, 0)


def rows(true: int, false: int, *, review: str = REVIEW, **values: str) -> Iterator[Row]:
    """Verdicts on so many hits."""
    for at in range(true + false):
        yield {
            "review_id": review, "hit": f"hit{at}", "run_id": "week1", "row_id": f"{at}", "sample": 0,
            "doc_id": f"d{at}", "family": f"d{at}", "control": "real", "detector": "sabotage",
            "rule_sha256": rule_sha256(detector()), "stratum": "hit", "strata": '{"hit": 90}',
            "verdict": "true" if at < true else "false", "note": "", "reviewer": "Ann",
            "said_at": "2026-11-30T12:00:00.000000+00:00",
        } | values  # fmt: skip


def packs(known: int | None = None, **values: object) -> Packs:
    """A pack whose own validation knows of so many hits, all true."""
    own = None if known is None else Validation(tp=known, fp=0, tn=0, fn=0, source="the pack")
    pack = Pack(id="p", title="P", description="P", detectors=(detector(validation=own, **values),))
    return Packs(packs=(pack,))


@pytest.mark.parametrize(
    ("known", "judged", "source"),
    [
        (None, 3, "reviewed by Ann"),
        (4, 3, "the pack"),
        (4, 4, "reviewed by Ann"),
        (500, 50, "reviewed by Ann"),
    ],
)
def test_the_numbers_stand_that_know_enough_or_more(known: int | None, judged: int, source: str) -> None:
    (found,) = informed(packs(known), list(rows(judged, 0))).detectors
    assert found.validation is not None and source in found.validation.source


@pytest.mark.parametrize(
    ("true", "false", "before", "after"),
    [
        (20, 30, "test", "experimental"),
        (20, 30, "stable", "experimental"),
        (20, 30, "deprecated", "deprecated"),
        (30, 20, "test", "test"),
        (20, 29, "test", "test"),
    ],
)
def test_what_is_wrong_more_often_than_right_is_experimental(
    true: int, false: int, before: str, after: str
) -> None:
    (found,) = informed(packs(status=before), list(rows(true, false))).detectors
    assert found.status == after


def test_verdicts_of_another_rule_say_nothing_of_this_one() -> None:
    before = packs(description="Another question.")
    assert informed(before, list(rows(60, 0))) == before
    older = rows(60, 0, reviewer="Bob", rule_sha256="0" * 32, said_at="2026-12-24T12:00:00.000000+00:00")
    (found,) = informed(packs(), [*older, *rows(5, 0)]).detectors
    assert found.validation is not None
    assert found.validation.source == "5 explanations of week1, reviewed by Ann until 2026-11-30"


def test_verdicts_are_of_the_same_runs_and_of_one_sample() -> None:
    more = sample_of(RUNS, 1)
    said = [*rows(3, 0), *rows(4, 0, review=more), *rows(9, 0, review=sample_of({"week2": "b" * 64}, 0))]
    assert {row["review_id"] for row in of_runs(said, RUNS)} == {more}
