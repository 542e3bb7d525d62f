"""Planted truth: the scores with intervals, and claims by agreement."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nla_ray.demo.vocabulary import vocabulary
from nla_ray.evaluation.planted import agreement, planted
from nla_ray.evaluation.rows import Rows
from nla_ray.evaluation.truth import score
from nla_ray.tables import REAL
from tests.evaluation.made import changed, drawn, truth, world

SAYS = (
    "This text is about tandems, in the words of cycling.",
    "This text is about gardening.",
    "Nothing that is known.",
)


def demo_rows() -> Rows:
    rows = world(controls=())[0]
    rows = changed(rows, np.full(len(rows), True), meta=truth(topic=0, item=30, mood=10**6, safety=0))
    rows.text[:] = [SAYS[(at // 2 + at * at) % 3] for at in range(len(rows))]
    return rows


def test_the_scores_are_those_of_a_table() -> None:
    rows = demo_rows()
    ours = {one.prop: one for one in planted(rows, drawn(), vocabulary())}
    said = [
        vocabulary().judged(int(at), text, meta)
        for at, text, meta in zip(rows.position, rows.text, rows.meta, strict=True)
    ]
    theirs = score([one for one in said if one is not None], vocabulary())
    assert list(ours) == [one.prop for one in theirs]
    for one in theirs:
        mine = ours[one.prop]
        assert mine.recall.n == one.n and (mine.recall.share or 0.0) == pytest.approx(one.recall)
        assert mine.precision.share == (None if one.precision is None else pytest.approx(one.precision))
        assert mine.chance == pytest.approx(one.chance)
    assert ours["item"].recall.n == 160 and ours["mood"].recall.n == 0


def test_claims_that_more_answers_make_are_counted_apart() -> None:
    rows = demo_rows()
    rows.text[rows.sample == 0] = "about tandems"
    rows.text[rows.sample == 1] = np.where(
        rows.document[rows.sample == 1] < 20, "about tandems", "about tulips"
    )
    found = {one.samples: one.true for one in agreement(rows.of(REAL), 2, drawn(), vocabulary())}
    assert found[2].share == 1.0 and found[2].n == 60
    assert found[1].k >= 60
    assert agreement(rows.of(REAL), 1, drawn(), vocabulary()) == ()


@pytest.mark.parametrize(
    "meta",
    [None, "{}", '{"truth": 3}', '{"truth": {"n": 1}}', json.dumps({"truth": {"shown": {"topic": 1}}})],
)
def test_any_other_truth_is_none(meta: str | None) -> None:
    rows = demo_rows()
    assert planted(changed(rows, np.full(len(rows), True), meta=meta), drawn(), vocabulary()) == ()
    assert agreement(changed(rows, np.full(len(rows), True), meta=meta), 2, drawn(), vocabulary()) == ()
