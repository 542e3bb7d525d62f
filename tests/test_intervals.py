"""Intervals against published values, brute force and simulation."""

from __future__ import annotations

import numpy as np
import pytest

from nla_ray.intervals import (
    Interval,
    cluster_bootstrap,
    clustered_mean,
    clustered_wilson,
    difference,
    effective_size,
    mean_interval,
    newcombe,
    newcombe_paired,
    wilson,
)
from tests.clusters import clusters


def test_wilson() -> None:
    assert wilson(0, 1000) == pytest.approx((0.0, 0.003827), abs=1e-6)
    assert wilson(1000, 1000).high == 1.0
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)  # Newcombe 1998, Table I
    assert wilson(0, 0) == (0.0, 1.0)


def test_newcombe() -> None:
    """Newcombe 1998, Table II: 56/70 - 48/80 and 9/10 - 3/10, method 10."""
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert newcombe(9, 10, 3, 10) == pytest.approx((0.1705, 0.8090), abs=1e-4)
    assert newcombe(0, 10, 0, 20) == pytest.approx((-0.1611, 0.2775), abs=1e-4)
    assert newcombe(1, 2, 0, 0) == (-1.0, 1.0)


def test_a_difference_of_intervals_is_newcombes_where_they_are_wilsons() -> None:
    assert difference(0.8, wilson(56, 70), 0.6, wilson(48, 80)) == newcombe(56, 70, 48, 80)


@pytest.mark.parametrize("cells", [(36, 12, 2, 0), (20, 5, 12, 63), (1, 0, 0, 99), (0, 3, 0, 40)])
def test_a_paired_interval_is_signed_and_holds_its_estimate(cells: tuple[int, int, int, int]) -> None:
    both, only_a, only_b, neither = cells
    low, high = newcombe_paired(*cells)
    assert low <= (only_a - only_b) / sum(cells) <= high
    assert newcombe_paired(both, only_b, only_a, neither) == pytest.approx((-high, -low))


def test_pairs_that_agree_make_a_paired_interval_narrow() -> None:
    low, high = newcombe_paired(40, 10, 5, 45)
    apart = newcombe(50, 100, 45, 100)
    assert high - low < 0.8 * (apart.high - apart.low)
    assert newcombe_paired(0, 0, 0, 0) == (-1.0, 1.0)


def test_an_effective_sample_is_between_clusters_and_trials() -> None:
    n = np.full(50, 4.0)
    assert effective_size(np.where(np.arange(50) < 10, 4.0, 0.0), n) == pytest.approx(50, rel=0.03)
    assert effective_size(np.zeros(50), n) == 50
    assert effective_size(np.ones(50), n) == 50
    assert effective_size(np.array([]), np.array([])) == 0.0


@pytest.mark.parametrize("p", [0.01, 0.05, 0.3])
def test_intervals_cover_the_truth_as_often_as_they_say(p: float) -> None:
    """`benchmarks/audit_coverage.py` has more cases and tighter bounds."""
    rng, n, size = np.random.default_rng(11), np.full(400, 10.0), 400
    covered = [
        low <= p <= high
        for low, high in (clustered_wilson(clusters(rng, p, size, 10), n) for _ in range(500))
    ]
    assert 0.92 <= np.mean(covered) <= 0.98


def test_rows_taken_for_independent_would_not_cover() -> None:
    rng = np.random.default_rng(12)
    covered = [
        low <= 0.01 <= high
        for low, high in (wilson(clusters(rng, 0.01, 1000, 40).sum(), 40_000) for _ in range(200))
    ]
    assert np.mean(covered) < 0.7


def test_a_bootstrap_is_seeded_and_does_not_depend_on_order() -> None:
    rng = np.random.default_rng(3)
    k, n = clusters(rng, 0.2, 300, 5), np.full(300, 5.0)
    found = cluster_bootstrap(k, n)
    order = rng.permutation(300)
    assert found == cluster_bootstrap(k[order], n[order])
    assert found.low < k.sum() / n.sum() < found.high
    assert found == pytest.approx(clustered_wilson(k, n), abs=0.01)


def test_means() -> None:
    a = np.array([1.0, 2.0, 3.0])
    assert mean_interval(a) == pytest.approx((2 - 1.96 / 3**0.5, 2 + 1.96 / 3**0.5), abs=1e-4)
    assert mean_interval(a[:1]) == Interval(-np.inf, np.inf)


def test_a_mean_of_copies_is_as_sure_as_that_of_one_each() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.1, 60)
    alone = clustered_mean(values, np.arange(60))
    assert alone == pytest.approx(mean_interval(values))
    copied = clustered_mean(np.repeat(values, 5), np.repeat(np.arange(60), 5))
    assert copied == pytest.approx(alone)
    assert clustered_mean(values, np.zeros(60, np.int64)) == (-np.inf, np.inf)
