"""Held-out fidelity: means over rows, the interval over documents."""

from __future__ import annotations

import numpy as np
import pytest

from nla_ray.intervals import cluster_bootstrap
from nla_ray.nla.reconstruction.fidelity import Baseline
from nla_ray.training.heldout import HeldOut

BASELINE = Baseline(0.5, "a test", 9)


def rows(documents: list[int]) -> HeldOut:
    n = len(documents)
    vectors = np.ones((n, 2), np.float32)
    return HeldOut(vectors, vectors, [str(at) for at in range(n)], [None] * n, documents, cluster_bootstrap)


def test_the_interval_is_over_documents() -> None:
    own, other = np.array([0.1, 0.1, 0.3, 0.3, 0.2, 0.2]), np.full(6, 0.4)
    found = rows([4, 4, 9, 9, 2, 2]).fve(own, other, BASELINE)
    assert found["fve_nrm"] == pytest.approx(1 - 0.2 / 0.5) and found["shuffled"] == pytest.approx(0.2)
    assert (found["rows"], found["documents"]) == (6, 3)
    low, high = cluster_bootstrap(np.array([0.2, 0.6, 0.4]), np.array([2.0, 2.0, 2.0]))
    assert found["fve_nrm_low"] == pytest.approx(1 - high / 0.5)
    assert found["fve_nrm_high"] == pytest.approx(1 - low / 0.5)
    alone = rows([1, 2, 3, 4, 5, 6]).fve(own, other, BASELINE)
    assert alone["fve_nrm_high"] - alone["fve_nrm_low"] < found["fve_nrm_high"] - found["fve_nrm_low"]


def test_some_rows_keep_their_documents() -> None:
    held_out = rows([4, 4, 9, 9, 2])
    assert list(held_out.part(1, 2).documents) == [4, 9] and list(held_out.first(3).documents) == [4, 4, 9]


def test_one_document_has_no_interval() -> None:
    assert "fve_nrm_low" not in rows([3, 3]).fve(np.array([0.1, 0.2]), np.array([0.4, 0.4]), BASELINE)
