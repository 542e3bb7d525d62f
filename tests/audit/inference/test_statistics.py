"""Tests and corrections against published values, brute force and simulation."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from nla_ray.audit.inference.statistics import (
    any_of_n,
    benjamini_hochberg,
    binomial_tail,
    either,
    expected_tie,
    many_at_once,
    mcnemar,
    tied_to_clusters,
    two_samples,
)


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
    assert (tied_to_clusters(together, trials) or 1.0) < 1e-9
    alone = np.zeros(200, int)
    alone[:30] = 1
    assert tied_to_clusters(alone, trials) == 1.0


def test_mentions_that_are_dealt_at_random_are_not_tied() -> None:
    rng = np.random.default_rng(5)
    found = [tied_to_clusters(rng.binomial(8, 0.1, 100), np.full(100, 8), seed=i) for i in range(60)]
    assert sum(p is not None and p <= 0.05 for p in found) <= 7


@pytest.mark.parametrize("sizes", [np.full(40, 5), np.arange(2, 42) % 9 + 2])
def test_many_hits_at_once_are_bounded_by_what_deals_give(sizes: np.ndarray) -> None:
    """The bound is never below the share of 1000 deals that are as extreme as what was seen."""
    rng = np.random.default_rng(3)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    deals = [np.bincount(rng.choice(owner, 25, replace=False), minlength=len(sizes)) for _ in range(1000)]
    bounds = np.array([many_at_once(deal, sizes) for deal in deals])
    for level in (0.2, 0.05, 0.01):
        assert (bounds <= level).mean() <= level + 3 * (level / 1000) ** 0.5


def test_a_bound_by_hand() -> None:
    """Two clusters of 10 with 10 hits in one: 2 / C(20, 10) exactly, at least."""
    bound = many_at_once(np.array([10, 0]), np.array([10, 10]))
    assert 2 / comb(20, 10) <= bound < 1e-3
    assert many_at_once(np.array([1, 1, 0]), np.array([3, 3, 3])) == 1.0


def test_the_finer_of_two_tests_costs_little() -> None:
    assert either(0.04, 1.0) == pytest.approx(0.0404, abs=1e-4)
    assert either(0.001, 1e-30) == pytest.approx(1e-28) and either(1.0, 1.0) == 1.0


def test_a_deal_that_could_not_differ_is_no_test() -> None:
    assert tied_to_clusters(np.array([1, 0]), np.array([5, 5])) is None
    assert tied_to_clusters(np.array([5, 5]), np.array([5, 5])) is None
    assert tied_to_clusters(np.array([1, 1]), np.array([1, 1])) is None


def test_very_many_places_are_tested_in_part() -> None:
    hits = np.zeros(40_000, int)
    hits[::100] = 4
    assert (tied_to_clusters(hits, np.full(40_000, 10)) or 1.0) < 1e-9


@pytest.mark.parametrize("rate", [0.02, 0.3])
def test_the_expected_p_of_a_dealing_is_that_of_deals(rate: float) -> None:
    """Mentions at random, and two more in some clusters: p between 0.0005 and 1, sparse and dense."""
    trials = np.full(400, 8)
    for seed, planted in enumerate((0, 4, 8, 16, 30)):
        rng = np.random.default_rng(seed)
        hits = np.minimum(rng.binomial(8, rate, 400) + 2 * (np.arange(400) < planted), 8)
        p, expected = tied_to_clusters(hits, trials), expected_tie(hits, trials)
        assert p is not None and ((expected == 1.0 and p > 0.2) or 0.3 < expected / p < 3.5), (p, expected)
