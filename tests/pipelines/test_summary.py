"""The summary: counts, and intervals whose unit is the document."""

from __future__ import annotations

import numpy as np
import pytest

from nla_ray.pipelines.summary import document_interval, fidelity_of, summarize
from nla_ray.tables import EXPLANATIONS, table_of

BLANK = {field.name: None for field in EXPLANATIONS} | {
    "run_id": "r", "unit_id": "u", "layer": 1, "sample": 0, "seed": 0, "flags": [], "finish_reason": "stop",
    "closed": True, "n_tokens": 3, "target": "t", "av": "a", "provenance": "decoded", "outcome": "ok",
    "control": "real",
}  # fmt: skip


def row(doc: str, position: int, **values: object) -> dict[str, object]:
    control = str(values.get("control", "real"))
    return BLANK | {"doc_id": doc, "position": position, "row_id": f"{doc}-{position}-{control}"} | values


def test_a_vector_without_a_position_counts() -> None:
    rows = [row("a", -1, norm=2.0) | {"position": None}, row("b", 0, outcome="failed") | {"position": None}]
    assert summarize(table_of(rows, EXPLANATIONS), {}).vectors == 1


def test_counts_and_means() -> None:
    rows = [
        row("a", 1, fve_nrm=0.5),
        row("a", 1, sample=1, fve_nrm=0.7, flags=["cjk"]),
        row("b", 2, fve_nrm=0.9, outcome="unclosed"),
        row("b", 2, control="random", fve_nrm=-0.5),
        row("c", 0, outcome="failed") | {"position": None},
    ]
    summary = summarize(table_of(rows, EXPLANATIONS), {"load": 5.0, "verbalize": 2.0})
    assert (summary.documents, summary.vectors, summary.rows) == (3, 3, 5)
    assert summary.outcomes == {"ok": 2, "unclosed": 1, "failed": 1}
    assert summary.flags == {"cjk": 1}
    assert summary.fidelity["real"].mean == pytest.approx(0.7)
    assert summary.fidelity["random"].low is None
    assert set(summary.fidelity) == {"real", "random"}
    assert summary.vectors_per_second == pytest.approx(1.5)


def test_no_scores_no_fidelity() -> None:
    assert fidelity_of(table_of([row("a", 1)], EXPLANATIONS), "real") is None


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
