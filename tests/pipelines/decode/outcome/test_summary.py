"""The summary of committed tables: counts, and intervals whose unit is the document."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nla_ray.pipelines.decode.outcome.summary import Summary, document_interval, summarize
from nla_ray.store import open_run, open_store
from nla_ray.store.runs.plan import Plan
from nla_ray.store.runs.unit_file import QuarantinedRow
from nla_ray.tables import EXPLANATIONS, table_of

BLANK = {field.name: None for field in EXPLANATIONS} | {
    "run_id": "r", "unit_id": "u", "layer": 1, "sample": 0, "seed": 0, "flags": [], "finish_reason": "stop",
    "closed": True, "n_tokens": 3, "target": "t", "av": "a", "provenance": "decoded", "outcome": "ok",
    "control": "real",
}  # fmt: skip
RECORD = {"baseline": {"value": 0.5, "reference": "test", "n": None}, "seconds": 3.0}


def row(doc: str, position: int | None, **values: object) -> dict[str, object]:
    control = str(values.get("control", "real"))
    return BLANK | {"doc_id": doc, "position": position, "row_id": f"{doc}-{position}-{control}"} | values


def summary_of(folder: Path, *rows: dict[str, object], aside: tuple[QuarantinedRow, ...] = ()) -> Summary:
    """The summary of these rows, committed as the only unit of a run."""
    planned = len(rows) + len(aside)
    run = open_run(open_store(folder), Plan(run_id="r", units={"u": planned}, facts={"layer": 1, "seed": 0}))
    run.write("u", table_of(rows, EXPLANATIONS), aside)
    return summarize(str(folder), run.commit(RECORD))


def test_a_vector_without_a_position_counts(tmp_path: Path) -> None:
    found = summary_of(tmp_path, row("a", None, norm=2.0), row("b", None, outcome="failed"))
    assert found.vectors == 1


def test_counts_and_means(tmp_path: Path) -> None:
    found = summary_of(
        tmp_path,
        row("a", 1, fve_nrm=0.5),
        row("a", 1, sample=1, fve_nrm=0.7, flags=["cjk"]),
        row("b", 2, fve_nrm=0.9, outcome="unclosed"),
        row("b", 2, control="random", fve_nrm=-0.5, flags=["cjk"]),
        row("c", None, outcome="failed", reason="'text' is empty"),
    )
    assert (found.documents, found.vectors, found.controls, found.rows, found.quarantined) == (3, 2, 1, 5, 0)
    assert list(found.outcomes.items()) == [("ok", 2), ("unclosed", 1), ("failed", 1)]
    assert found.flags == {"cjk": 1} and found.reasons == {"'text' is empty": 1}
    assert found.fidelity["real"].mean == pytest.approx(0.7)
    assert found.fidelity["random"].low is None
    assert set(found.fidelity) == {"real", "random"}
    assert found.record == RECORD and found.planted is None


def test_fidelity_follows_the_baseline_that_became_known_by_running(tmp_path: Path) -> None:
    found = summary_of(tmp_path, row("a", 1, mse_nrm=0.25), row("b", 1, mse_nrm=0.125))
    assert found.fidelity["real"].mean == pytest.approx((0.5 + 0.75) / 2)


def test_what_is_in_the_quarantine_counts_and_says_why(tmp_path: Path) -> None:
    aside = tuple(QuarantinedRow(f"x-{i}", 0, "x", i, "real", "its worker died") for i in range(3))
    found = summary_of(tmp_path, row("a", 1), row("b", None, outcome="failed", reason="bad"), aside=aside)
    assert (found.rows, found.quarantined) == (2, 3)
    assert list(found.reasons.items()) == [("its worker died", 3), ("bad", 1)]


def test_no_scores_no_fidelity(tmp_path: Path) -> None:
    assert summary_of(tmp_path, row("a", 1)).fidelity == {}


def test_the_interval_covers_the_truth_when_rows_of_a_document_are_alike() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(20):
        documents = rng.normal(0.6, 0.2, 60)
        low, high = document_interval(documents * 10, np.full(60, 10.0))
        covered += low <= 0.6 <= high
    assert covered >= 17


def test_the_interval_does_not_depend_on_the_order_of_documents() -> None:
    sums, counts = np.array([1.0, 5.0, 2.0]), np.array([2.0, 6.0, 2.0])
    assert document_interval(sums, counts) == document_interval(sums[::-1], counts[::-1])
