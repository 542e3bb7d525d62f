"""Fidelity beside controls: the numbers by hand, buckets, and when a pair is called broken."""

from __future__ import annotations

import numpy as np
import pytest

from nla_ray.evaluation.fidelity import EDGES, buckets, judge, measure
from nla_ray.evaluation.rows import UNKNOWN, Rows
from nla_ray.tables import CONTROLS, REAL
from tests.evaluation.made import DOCUMENTS, baselines, changed, drawn, rows_of, world

ROWS, VECTORS = world()
BASELINES = baselines(VECTORS)


def judged(rows: Rows, minimum: int = 30):  # type: ignore[no-untyped-def]
    return judge(measure(rows, drawn(), BASELINES), minimum)


def test_the_numbers_are_those_by_hand() -> None:
    real = measure(ROWS, drawn(), BASELINES)[0]
    mse = ROWS.mse[ROWS.control == REAL]
    assert real.mse_nrm == pytest.approx(mse.mean())
    assert real.fve_nrm.mean == pytest.approx(1 - mse.mean() / BASELINES.stated.value)
    assert real.fve_nrm_of_documents == pytest.approx(real.fve_nrm.mean)
    assert real.fve_nrm_meannorm == pytest.approx(1 - mse.mean() / BASELINES.meannorm.value)
    assert real.distribution is not None and sum(real.distribution.histogram) == real.rows
    assert len(real.distribution.histogram) == len(EDGES) - 1
    assert real.distribution.quantiles["0.5"] == pytest.approx(np.median(1 - mse / BASELINES.stated.value))
    assert real.outcomes["ok"].share == 1.0 and list(real.outcomes) == ["ok"]
    assert real.tokens["mean"] == pytest.approx(10.5) and real.words == pytest.approx(11.0)


def test_rows_without_a_text_have_no_fidelity_and_an_outcome() -> None:
    lost = (ROWS.control == REAL) & (ROWS.position == 20)
    rows = changed(ROWS, lost, text="", outcome="empty", cos=np.nan, mse=np.nan)
    real = measure(rows, drawn(), BASELINES)[0]
    assert real.rows == 240 and real.fve_nrm.rows == 160
    assert real.outcomes["empty"].k == 80 and real.outcomes["ok"].k == 160


def test_a_good_pair_lies_above_every_control() -> None:
    measured, verdict, reasons = judged(ROWS)
    assert verdict == "above controls" and len(reasons) == len(CONTROLS)
    assert [one.control for one in measured] == [REAL, *CONTROLS]
    assert {one.judgement for one in measured[1:]} == {"beaten"} and measured[0].judgement is None
    for one in measured[1:]:
        assert one.real_minus_this is not None and one.real_minus_this.low is not None
        assert one.real_minus_this.low > 0


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_as_good_as_real_breaks_the_pair(control: str) -> None:
    rows = changed(ROWS, ROWS.control == control)
    real = ROWS.control == REAL
    rows.mse[rows.control == control] = ROWS.mse[real]
    measured, verdict, reasons = judged(rows)
    assert verdict == "broken"
    assert {one.control for one in measured if one.judgement == "not beaten"} == {control}
    assert any(reason.startswith(f"{control}: real does not lie above it") for reason in reasons)


def test_a_control_that_was_not_decoded_leaves_the_question_open() -> None:
    _, verdict, reasons = judged(ROWS.take(ROWS.control != "mean"))
    assert verdict == "insufficient evidence"
    assert "mean: was not decoded; give it a share in `controls`." in reasons


def test_few_documents_leave_the_question_open() -> None:
    assert judged(ROWS, DOCUMENTS + 1)[1] == "insufficient evidence"
    few = ROWS.take((ROWS.control != "none") | (ROWS.document < 10))
    measured, verdict, _ = judged(few)
    assert verdict == "insufficient evidence" and measured[-1].judgement == "too few documents"


def test_a_control_without_texts_is_nothing_to_beat() -> None:
    rows = changed(ROWS, ROWS.control == "none", text="", cos=np.nan, mse=np.nan, outcome="empty")
    measured, verdict, reasons = judged(rows)
    assert verdict == "above controls" and measured[-1].judgement == "no text"
    assert "none: nothing to beat; 0 of 240 answers have a text to score." in reasons


def test_less_than_the_mean_activation_is_said() -> None:
    rows = changed(ROWS, np.full(len(ROWS), False))
    rows.mse[:] = np.where(ROWS.control == REAL, 1.5, 1.9)
    _, verdict, reasons = judged(rows)
    assert verdict == "above controls" and reasons[0].startswith("real: fve_nrm is below 0")


def test_real_answers_without_texts_break_the_pair() -> None:
    rows = changed(ROWS, ROWS.control == REAL, text="", cos=np.nan, mse=np.nan, outcome="unclosed")
    measured, verdict, _ = judged(rows)
    assert verdict == "broken" and measured[0].fve_nrm.mean is None and measured[0].distribution is None


def test_buckets_hold_every_row_once() -> None:
    real = ROWS.of(REAL)
    found = {one.by: one for one in buckets(real, drawn(), BASELINES)}
    assert set(found) == {"position", "norm", "token class"}
    for grouped in found.values():
        assert sum(one.fve_nrm.rows for one in grouped.buckets) == len(real)
    assert [one.name for one in found["position"].buckets] == ["16 to 31", "32 to 63"]
    assert len(found["norm"].buckets) == 5
    assert [one.name for one in found["token class"].buckets] == ["punctuation", "word, first part"]


def test_what_tells_nothing_apart_is_left_out() -> None:
    rows = changed(ROWS.of(REAL), np.full(240, True), position=UNKNOWN, kind="not known", norm=1.0)
    assert buckets(rows, drawn(), BASELINES) == ()
    assert buckets(rows_of([]), drawn(), BASELINES) == ()
