"""Recurrence of words and sections beside chance."""

from __future__ import annotations

import numpy as np
import pytest

from nla_ray.evaluation.model import Recurrence
from nla_ray.evaluation.recurrence import recurrence, words_of
from nla_ray.evaluation.rows import UNKNOWN, Rows
from nla_ray.tables import REAL
from tests.evaluation.made import changed, drawn, world

ROWS = world()[0].of(REAL)


def found(rows: Rows) -> dict[tuple[str, str], Recurrence]:
    return {(one.feature, one.over): one for one in recurrence(rows, drawn(), 0)[0]}


def test_words_are_normalised_and_long_enough() -> None:
    assert words_of("The ＨＡＲＢＯＵＲ's old har\u200bbour, 12 ABCD été naïve") == {
        "harbour",
        "abcd",
        "naïve",
    }


def test_equal_answers_recur_wholly() -> None:
    rows = changed(ROWS, ROWS.sample == 1)
    rows.text[rows.sample == 1] = ROWS.text[ROWS.sample == 0]
    for feature in ("word", "section"):
        one = found(rows)[feature, "samples"]
        assert one.rate.mean == 1.0 and one.chance.mean is not None and one.chance.mean < 0.5
        assert one.lift.mean == pytest.approx(1.0 - one.chance.mean)
    assert found(rows)["word", "samples"].times["1"] == 0


def test_answers_to_anything_recur_as_by_chance() -> None:
    rows = changed(ROWS, np.full(len(ROWS), False))
    rows.text[:] = np.random.default_rng(0).permutation(ROWS.text)
    for one in found(rows).values():
        assert one.lift.low is not None and one.lift.high is not None
        assert one.lift.low <= 0.03 and one.lift.high >= -0.03


def test_what_all_explanations_say_is_no_feature() -> None:
    counts = found(ROWS)["word", "samples"].features
    rows = changed(ROWS, np.full(len(ROWS), False))
    rows.text[:] = [f"the passage concerns {text}" for text in ROWS.text]
    assert found(rows)["word", "samples"].features == counts


def test_neighbours_are_the_positions_read_before_and_after() -> None:
    recurring, distance = recurrence(ROWS, drawn(), 0)
    assert {(one.feature, one.over) for one in recurring} == {
        (feature, over) for feature in ("word", "section") for over in ("samples", "neighbours")
    }
    assert distance == 20
    unknown = changed(ROWS, np.full(len(ROWS), True), position=UNKNOWN)
    assert {over for _, over in found(unknown)} == {"samples"}
    assert {over for _, over in found(ROWS.take(ROWS.sample == 0))} == {"neighbours"}
    assert recurrence(unknown, drawn(), 0)[1] is None


def test_it_depends_on_keys_alone() -> None:
    assert recurrence(ROWS, drawn(), 0) == recurrence(ROWS, drawn(), 0)
    chances = {recurrence(ROWS, drawn(), seed)[0][0].chance.mean for seed in range(3)}
    assert len(chances) == 3


def test_no_texts_no_recurrence() -> None:
    assert recurrence(changed(ROWS, np.full(len(ROWS), True), text=""), drawn(), 0) == ((), None)
