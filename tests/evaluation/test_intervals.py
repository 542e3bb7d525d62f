"""Means, differences and shares over documents: their values, and what their intervals depend on."""

from __future__ import annotations

import numpy as np
import pytest

from nla_ray.evaluation.intervals import Documents
from nla_ray.intervals import cluster_bootstrap, clustered_wilson

RNG = np.random.default_rng(0)
OF = np.repeat(np.arange(60), 4)
EFFECT = RNG.normal(size=60)[OF]
VALUES = 0.5 + EFFECT + 0.2 * RNG.normal(size=240)


def test_a_mean_is_over_rows_and_its_interval_over_documents() -> None:
    found = Documents(60).mean(OF, VALUES)
    assert (found.rows, found.documents) == (240, 60)
    assert found.mean == pytest.approx(VALUES.mean())
    low, high = cluster_bootstrap(np.bincount(OF, VALUES), np.bincount(OF).astype(float))
    assert found.low == pytest.approx(low, abs=0.03) and found.high == pytest.approx(high, abs=0.03)
    rows_alone = Documents(240).mean(np.arange(240), VALUES)
    assert found.high - found.low > 1.5 * (rows_alone.high - rows_alone.low)  # type: ignore[operator]


def test_equal_inputs_have_equal_intervals_in_any_order_of_rows() -> None:
    order = RNG.permutation(240)
    assert Documents(60).mean(OF, VALUES) == Documents(60).mean(OF[order], VALUES[order])


def test_values_that_are_missing_do_not_count() -> None:
    holes = np.where(OF < 10, np.nan, VALUES)
    found = Documents(60).mean(OF, holes)
    assert (found.rows, found.documents) == (200, 50)
    assert found.mean == pytest.approx(np.nanmean(holes))


def test_one_document_has_no_interval_and_none_no_mean() -> None:
    alone = Documents(60).mean(OF[:4], VALUES[:4])
    assert alone.documents == 1 and alone.mean is not None and alone.low is None and alone.high is None
    nothing = Documents(60).mean(OF[:0], VALUES[:0])
    assert (nothing.rows, nothing.mean, nothing.low) == (0, None, None)


def test_a_difference_is_taken_within_drawn_documents() -> None:
    documents = Documents(60)
    lower = VALUES - 0.3 + 0.05 * RNG.normal(size=240)
    found = documents.difference((OF, VALUES), (OF, lower))
    assert found.mean == pytest.approx(VALUES.mean() - lower.mean())
    assert found.low is not None and found.high is not None and 0.25 < found.low < found.high < 0.35
    alone = documents.mean(OF, VALUES)
    assert found.high - found.low < 0.3 * (alone.high - alone.low)  # type: ignore[operator]
    assert documents.difference((OF[:0], VALUES[:0]), (OF, lower)).mean is None


def test_the_interval_covers() -> None:
    hits = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=40)[np.repeat(np.arange(40), 5)] + rng.normal(size=200)
        found = Documents(40, seed=seed).mean(np.repeat(np.arange(40), 5), values)
        hits += found.low <= 0 <= found.high  # type: ignore[operator]
    assert hits >= 88


def test_a_share_is_clustered() -> None:
    positive = EFFECT > 0.5
    found = Documents(60).share(OF, positive)
    k, n = np.bincount(OF, positive), np.bincount(OF).astype(float)
    assert (found.k, found.n, found.share) == (positive.sum(), 240, pytest.approx(positive.mean()))
    assert (found.low, found.high) == pytest.approx(clustered_wilson(k, n))
    empty = Documents(60).share(OF[:0], positive[:0])
    assert (empty.n, empty.share, empty.low, empty.high) == (0, None, 0.0, 1.0)
