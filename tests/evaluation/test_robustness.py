"""The text channel, with a reconstructor that adds up words: what each edit must and must not cost."""

from __future__ import annotations

import numpy as np
import pytest

from nla_ray.evaluation.edits import RULES, SHARES
from nla_ray.evaluation.robustness import Texts, choose, distractors, robustness
from nla_ray.tables import REAL
from tests.evaluation.made import baselines, changed, drawn, rebuild, rows_of, world

ROWS, VECTORS = world()
REAL_ROWS = ROWS.of(REAL)


def texts_of(most: int = 1000) -> Texts:
    chosen = choose(REAL_ROWS, most, 0)
    own = np.array([VECTORS[key] for key in chosen.row_id])
    return Texts(chosen, own, rebuild(chosen.text.tolist()), 0)


def test_one_answer_a_vector_is_chosen_by_key() -> None:
    chosen = choose(REAL_ROWS, 1000, 0)
    assert len(chosen) == len(VECTORS) and set(chosen.sample) == {0}
    few = choose(REAL_ROWS, 10, 0)
    assert len(few) == 10 and list(few.row_id) == list(choose(REAL_ROWS, 10, 0).row_id)
    assert list(few.row_id) != list(choose(REAL_ROWS, 10, 1).row_id)


def test_where_the_first_answer_has_no_text_the_next_is_chosen() -> None:
    rows = changed(REAL_ROWS, REAL_ROWS.sample == 0, text="", cos=np.nan)
    assert set(choose(rows, 1000, 0).sample) == {1}


def test_each_edit_costs_what_it_takes() -> None:
    found = robustness(texts_of(), rebuild, drawn(), baselines(VECTORS))
    assert found.texts == len(VECTORS) and found.largest_difference == pytest.approx(0, abs=1e-6)
    edits = {edit.name: edit for edit in found.edits}
    assert list(edits) == [rule.name for rule in RULES]
    assert edits["word shuffle"].changed == 120 and edits["word shuffle"].change.mean == pytest.approx(
        0, abs=1e-6
    )
    for name in ("without quotes", "without the first section", "without the last section"):
        edit = edits[name]
        assert edit.change.high is not None and edit.change.high < 0, name
        assert edit.change.mean == pytest.approx(edit.edited.mean - edit.intact.mean)  # type: ignore[operator]
    assert edits["without a middle section"].changed == 0
    assert edits["without a middle section"].change.mean is None


def test_fidelity_grows_with_length_to_that_of_the_whole() -> None:
    found = robustness(texts_of(), rebuild, drawn(), baselines(VECTORS))
    means = [one.fve_nrm.mean for one in found.lengths]
    assert [one.share for one in found.lengths] == list(SHARES)
    assert found.lengths[0].words == 0 and means[-1] == found.intact.mean
    assert max(means) == means[-1] and min(means) in means[:3]  # type: ignore[type-var]


def test_the_own_vector_stands_out_among_others() -> None:
    texts = texts_of()
    same, other = distractors(texts, texts.rows, texts.vectors, drawn())
    assert (same.distractors, other.distractors) == ("same document", "other documents")
    assert other.share.mean is not None and other.share.mean > 0.95
    assert same.share.rows == other.share.rows == len(VECTORS)


def test_texts_that_say_nothing_choose_by_chance() -> None:
    texts = texts_of()
    blind = Texts(texts.rows, texts.vectors, np.ones_like(texts.vectors), 0)
    for choice in distractors(blind, texts.rows, texts.vectors, drawn()):
        assert choice.share.mean == pytest.approx(0.5, abs=0.1)
    equal = Texts(texts.rows, np.ones_like(texts.vectors), texts.rebuilt, 0)
    for choice in distractors(equal, texts.rows, np.ones_like(texts.vectors), drawn()):
        assert choice.share.mean == 0.5


def test_one_place_alone_has_no_distractors() -> None:
    one = texts_of(1)
    assert distractors(one, one.rows, one.vectors, drawn()) == ()


def test_nothing_to_edit_gives_nothing() -> None:
    nothing = Texts(rows_of([]), np.empty((0, 24), np.float32), np.empty((0, 24), np.float32), 0)
    found = robustness(nothing, rebuild, drawn(), baselines(VECTORS))
    assert found.texts == 0 and found.intact.mean is None and found.largest_difference is None
