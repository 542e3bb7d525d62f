"""Intervals and tests against published values, brute force and simulation."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from nla_ray.audit.statistics import (
    any_of_n,
    benjamini_hochberg,
    binomial_tail,
    mcnemar,
    tied_to_clusters,
    two_samples,
)
from nla_ray.intervals import (
    Interval,
    cluster_bootstrap,
    clustered_wilson,
    difference,
    effective_size,
    mean_difference,
    mean_interval,
    newcombe,
    newcombe_paired,
    wilson,
)


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


def test_mcnemar() -> None:
    """Fagerland et al. 2013, 1 and 7 discordant pairs: mid-p 0.039."""
    assert mcnemar(1, 7) == pytest.approx(0.0391, abs=1e-4)
    assert mcnemar(7, 1) == mcnemar(1, 7)
    assert mcnemar(0, 0) == 1.0 and mcnemar(4, 4) == 1.0


@pytest.mark.parametrize(
    ("k", "n", "p"), [(0, 5, 0.1), (1, 5, 0.1), (3, 30, 0.1), (29, 30, 0.9), (31, 30, 0.5)]
)
def test_binomial_tail(k: int, n: int, p: float) -> None:
    exact = sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
    assert binomial_tail(k, n, p) == pytest.approx(exact, rel=1e-9)


def test_binomial_tail_at_its_ends() -> None:
    assert binomial_tail(3, 10, 0.0) == 0.0 and binomial_tail(3, 10, 1.0) == 1.0
    assert 0 < binomial_tail(400, 1000, 0.1) < 1e-100


@pytest.mark.parametrize("sides", [(3, 20, 9, 20), (0, 50, 4, 60), (100, 1000, 150, 1000)])
def test_two_samples(sides: tuple[int, int, int, int]) -> None:
    k1, n1, k2, n2 = sides
    total = k1 + k2
    chance = {k: comb(n1, k) * comb(n2, total - k) / comb(n1 + n2, total) for k in range(min(n1, total) + 1)}
    above = sum(p for k, p in chance.items() if k > k1) + chance[k1] / 2
    assert two_samples(*sides, greater=True) == pytest.approx(above, rel=1e-6)
    assert two_samples(*sides) == pytest.approx(2 * min(above, 1 - above), rel=1e-6)


def test_two_samples_without_documents_say_nothing() -> None:
    assert two_samples(0, 0, 3, 10) == 1.0


def test_benjamini_hochberg() -> None:
    p = [0.01, None, 0.04, 0.03, 0.5]
    assert benjamini_hochberg(p) == pytest.approx([0.04, None, 0.16 / 3, 0.16 / 3, 0.5])
    assert benjamini_hochberg([]) == [] and benjamini_hochberg([None]) == [None]


def test_any_of_n() -> None:
    assert any_of_n((0.99, 0.01), 10, 1) == pytest.approx(1 - 0.99**10)
    assert any_of_n((0.9, 0.1), 10, 2) == pytest.approx(binomial_tail(2, 10, 0.1))
    assert any_of_n((0.5, 0.3, 0.2), 2, 3) == pytest.approx(2 * 0.3 * 0.2 + 0.2**2)
    assert any_of_n((0.9, 0.1), 3, 4) == 0.0 and any_of_n((0.9, 0.1), 3, 0) == 1.0


def test_mentions_that_stay_together_are_tied_to_their_documents() -> None:
    trials = np.full(200, 10)
    together = np.zeros(200, int)
    together[:5] = 6
    assert tied_to_clusters(together, trials) == 1 / 2000
    alone = np.zeros(200, int)
    alone[:30] = 1
    assert tied_to_clusters(alone, trials) == 1.0


def test_mentions_that_are_dealt_at_random_are_not_tied() -> None:
    rng = np.random.default_rng(5)
    found = [tied_to_clusters(rng.binomial(8, 0.1, 100), np.full(100, 8), seed=i) for i in range(60)]
    assert sum(p is not None and p <= 0.05 for p in found) <= 7


def test_a_deal_that_could_not_differ_is_no_test() -> None:
    assert tied_to_clusters(np.array([1, 0]), np.array([5, 5])) is None
    assert tied_to_clusters(np.array([5, 5]), np.array([5, 5])) is None
    assert tied_to_clusters(np.array([1, 1]), np.array([1, 1])) is None


def test_very_many_places_are_tested_in_part() -> None:
    hits = np.zeros(40_000, int)
    hits[::100] = 4
    assert tied_to_clusters(hits, np.full(40_000, 10)) == 1 / 2000


def test_an_effective_sample_is_between_clusters_and_trials() -> None:
    n = np.full(50, 4.0)
    assert effective_size(np.where(np.arange(50) < 10, 4.0, 0.0), n) == pytest.approx(50, rel=0.03)
    assert effective_size(np.zeros(50), n) == 50
    assert effective_size(np.ones(50), n) == 50
    assert effective_size(np.array([]), np.array([])) == 0.0


def clusters(rng: np.random.Generator, p: float, n: int, size: int, correlation: float = 0.2) -> np.ndarray:
    """Beta-binomial counts [n]."""
    spread = 1 / correlation - 1
    return rng.binomial(size, rng.beta(p * spread, (1 - p) * spread, n)).astype(float)


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
    a, b = np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, 3.0])
    assert mean_interval(a) == pytest.approx((2 - 1.96 / 3**0.5, 2 + 1.96 / 3**0.5), abs=1e-4)
    low, high = mean_difference(a, b)
    assert (low + high) / 2 == pytest.approx(1.0)
    assert mean_interval(a[:1]) == Interval(-np.inf, np.inf) == mean_difference(a, b[:1])
