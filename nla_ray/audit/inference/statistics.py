"""Tests and corrections of an audit: small pure functions, each with its source. No p-value is of rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from math import exp, lgamma, log, perm

import numpy as np

from nla_ray.intervals import Floats

RESAMPLES, AT_ONCE = 1999, 50
ENOUGH = 20
MOST_TRIALS = 100_000
TINY = 1e-300
"""What smaller ones are rounded to: no p is zero."""
FINE = 0.01
"""Share of the error that is kept for tests whose p can be tiny, see `either`."""


def binomial_tail(k: int, n: int, p: float) -> float:
    """P(at least k of n) for independent trials of probability p."""
    if k <= 0:
        return 1.0
    if k > n or p <= 0:
        return 0.0
    if p >= 1:
        return 1.0
    if k <= n * p:
        below = np.arange(k)
        chances = np.exp(_log_choose(n, below) + below * log(p) + (n - below) * log(1 - p))
        return max(0.0, 1.0 - float(chances.sum()))
    total, term, i = 0.0, _binomial(k, n, p), k
    while i <= n and term > total * 1e-16:
        total += term
        term *= (n - i) / (i + 1) * p / (1 - p)
        i += 1
    return min(1.0, total)


def _binomial(i: int, n: int, p: float) -> float:
    return exp(lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) + i * log(p) + (n - i) * log(1 - p))


def any_of_n(per_trial: Sequence[float], n: int, k: int) -> float:
    """P(a sum of n independent draws is at least k), where `per_trial[j]` is the chance that one draw is j.

    What a rate per read amounts to over a document: of `per_trial` (1 - p, p) and k = 1 it is 1 - (1 - p)^n.
    """
    if k <= 0:
        return 1.0
    step = np.asarray(per_trial, dtype=np.float64)
    held = np.zeros(k + 1)
    held[0] = 1.0
    for _ in range(n):
        sums = np.convolve(held[:k], step)
        reached = held[k] + sums[k:].sum()
        held[: min(k, len(sums))] = sums[:k]
        held[k] = reached
    return float(min(1.0, held[k]))


def benjamini_hochberg(p: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values for a false discovery rate (Benjamini and Hochberg 1995, JRSS B 57:289).

    None stays None and counts as no test.
    """
    given = [index for index, value in enumerate(p) if value is not None]
    order = sorted(given, key=lambda index: (p[index] or 0.0, index), reverse=True)
    adjusted: list[float | None] = [None] * len(p)
    least = 1.0
    for rank, index in zip(range(len(order), 0, -1), order, strict=True):
        least = min(least, (p[index] or 0.0) * len(order) / rank)
        adjusted[index] = least
    return adjusted


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided mid-p of equal rates on the same units (Fagerland et al. 2013, BMC MRM 13:91)."""
    n, least = only_a + only_b, min(only_a, only_b)
    if n == 0:
        return 1.0
    below = 1.0 - binomial_tail(least + 1, n, 0.5)
    return min(1.0, 2 * below - _binomial(least, n, 0.5))


def mcnemar_above(came: int, went: int) -> float:
    """One-sided mid-p of "no more came than went"."""
    n = came + went
    return 1.0 if n == 0 else min(1.0, binomial_tail(came, n, 0.5) - _binomial(came, n, 0.5) / 2)


def two_samples(k1: int, n1: int, k2: int, n2: int, *, greater: bool = False) -> float:
    """`stratified` with one stratum: the mid-p of Fisher's exact test."""
    return stratified([(k1, n1, k2, n2)], greater=greater)


def stratified(strata: Sequence[tuple[int, int, int, int]], *, greater: bool = False) -> float:
    """Mid-p of equal rates in two independent samples of documents, within each stratum (k1, n1, k2, n2).

    The exact conditional test: the sum of k1 given all margins, as hypergeometric draws convolved over
    strata (Gart 1970, Biometrika 57:471). Two-sided by the doubled smaller tail; with `greater`, of "the
    first is not above the second". Half the probability of what was seen counts, as the exact test is too
    cautious (Lancaster 1961, JASA 56:223).
    """
    chances, seen = np.ones(1), 0
    for k1, n1, k2, n2 in strata:
        if min(n1, n2) > 0:
            low, drawn = _margins(k1 + k2, n1, n2)
            chances, seen = np.convolve(chances, drawn), seen + k1 - low
    above = float(chances[seen + 1 :].sum()) + chances[seen] / 2
    below = float(chances[:seen].sum()) + chances[seen] / 2
    return float(min(1.0, above)) if greater else float(min(1.0, 2 * min(above, below)))


def _margins(total: int, n1: int, n2: int) -> tuple[int, Floats]:
    """The least k1 that these margins allow, and the chances of it and all above."""
    low = max(0, total - n2)
    support = np.arange(low, min(n1, total) + 1)
    logs = _log_choose(n1, support) + _log_choose(n2, total - support)
    chances = np.exp(logs - logs.max())
    return low, np.asarray(chances / chances.sum(), np.float64)


def _log_choose(n: int, k: np.ndarray) -> Floats:
    factorials = _log_factorials(n.bit_length())
    return np.asarray(factorials[n] - factorials[k] - factorials[n - k], np.float64)


@lru_cache(maxsize=4)
def _log_factorials(bits: int) -> Floats:
    """Of all numbers with so many bits."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, 1 << bits)))])


def either(coarse: float, fine: float) -> float:
    """P of two tests of one hypothesis: one of more power, and one whose p can be as small as it takes.

    Weighted Bonferroni (Genovese, Roeder and Wasserman 2006, Biometrika 93:509). A p with a floor at 0.001
    is never significant among thousands of others; the other test costs `FINE` of it.
    """
    return min(1.0, coarse / (1 - FINE), max(TINY, fine / FINE))


def expected_tie(hits: np.ndarray, trials: np.ndarray) -> float:
    """About the p that `tied_to_clusters` gives these [clusters], without a deal.

    The number of pairs of hits within clusters is taken for Poisson, stretched to the variance of deals.
    """
    hits, trials = _part(hits, trials, np.random.default_rng(0))
    pairs = float((hits * (hits - 1)).sum()) / 2
    mean, variance = _dealt_pairs(int(hits.sum()), trials.astype(np.float64))
    if pairs <= mean or variance <= 0:
        return 1.0
    stretch = variance / mean
    coarse = max(_poisson_tail(round(pairs / stretch), mean / stretch), 1 / (RESAMPLES + 1))
    return either(coarse, many_at_once(hits, trials))


def _dealt_pairs(hits: int, trials: Floats) -> tuple[float, float]:
    """Mean and variance of the number of pairs of hits within clusters, where hits are dealt at random."""
    m, n = ([float(perm(some, r)) for r in range(5)] for some in (hits, int(trials.sum())))
    if n[4] == 0:
        return 0.0, 0.0
    # Falling factorials: trials (trials - 1) ... of r factors.
    of = list(accumulate(range(4), lambda made, r: made * (trials - r), initial=np.ones_like(trials)))
    mean = m[2] / 2 * of[2].sum() / n[2]
    # Two pairs are the same one, share a hit, or share none and lie in one cluster or in two.
    apart = of[4].sum() + of[2].sum() ** 2 - (of[2] ** 2).sum()
    return mean, mean + m[3] * of[3].sum() / n[3] + m[4] / 4 * apart / n[4] - mean**2


def _poisson_tail(k: int, mean: float) -> float:
    """P(at least k) of a Poisson variable, of more than its mean; else 1."""
    if k <= mean:
        return 1.0
    total, term, i = 0.0, exp(k * log(mean) - mean - lgamma(k + 1)), k
    while term > total * 1e-16:
        total += term
        i += 1
        term *= mean / i
    return min(1.0, total)


def many_at_once(hits: np.ndarray, trials: np.ndarray) -> float:
    """A bound of P that so many clusters hold 2, 3, ... hits, if hits were dealt to trials at random.

    Counts of a deal are negatively associated, so Chernoff's bound holds (Dubhashi and Ranjan 1998, RSA
    13:99); the numbers of hits that are tried are paid for (Bonferroni).
    """
    total, population, clusters = int(hits.sum()), int(trials.sum()), len(hits)
    sizes, times = np.unique(trials, return_counts=True)
    tails = [_dealt_tails(population, total, int(size)) for size in sizes]
    tried = range(2, int(hits.max()) + 1)
    bounds = [1.0]
    for j in tried:
        chance = sum(n * tail[j] for n, tail in zip(times, tails, strict=True) if j < len(tail)) / clusters
        bounds.append(_chernoff(int((hits >= j).sum()), clusters, float(chance)))
    return min(1.0, max(1, len(tried)) * min(bounds))


def _dealt_tails(population: int, marked: int, drawn: int) -> Floats:
    """P of at least 0, 1, ... marked ones among those drawn without replacement."""
    counts = np.arange(max(0, drawn - (population - marked)), min(marked, drawn) + 1)
    logs = _log_choose(marked, counts) + _log_choose(population - marked, drawn - counts)
    chances = np.zeros(int(counts[-1]) + 1)
    chances[counts] = np.exp(logs - _log_choose(population, np.array([drawn])))
    return np.asarray(chances[::-1].cumsum()[::-1], np.float64)


def _chernoff(k: int, n: int, p: float) -> float:
    """A bound of P of at least k of n events of mean probability p."""
    if k <= n * p or not 0 < p < 1:
        return 1.0
    share = k / n
    rest = (1 - share) * log((1 - share) / (1 - p)) if k < n else 0.0
    return exp(-n * (share * log(share / p) + rest))


def tied_to_clusters(hits: np.ndarray, trials: np.ndarray, *, seed: int = 0) -> float | None:
    """P of so many pairs of hits within clusters, if hits were dealt to trials at random (permutation test).

    `hits` and `trials` [clusters] are counts. None where no deal could differ: no pair of hits, or no cluster
    with two trials. Seeded. Where fewer than `ENOUGH` of `RESAMPLES` deals have as many pairs, `many_at_once`
    may make p smaller than deals can show. Dealing stops once `ENOUGH` deals have as many pairs (Besag and
    Clifford 1991, Biometrika 78:301), or none of the first while that bound is below what deals can show.
    Of more than `MOST_TRIALS` a random part of the clusters is tested, which is as valid.
    """
    rng = np.random.default_rng(seed)
    hits, trials = _part(hits, trials, rng)
    total = int(hits.sum())
    if total < 2 or total == int(trials.sum()) or int(trials.max()) < 2:
        return None
    fine = many_at_once(hits, trials)
    seen, reached = int((hits * (hits - 1)).sum()), 0
    for done in range(0, RESAMPLES, AT_ONCE):
        size = min(AT_ONCE, RESAMPLES - done)
        dealt = rng.multivariate_hypergeometric(trials, total, size=size, method="count")
        as_many = reached + np.cumsum((dealt * (dealt - 1)).sum(axis=1) >= seen)
        reached = int(as_many[-1])
        if reached >= ENOUGH:
            deals = done + 1 + int(np.searchsorted(as_many, ENOUGH))
            return min(1.0, ENOUGH / deals / (1 - FINE))
        if reached == 0 and fine / FINE <= 1 / (RESAMPLES + 1):
            break
    return either((reached + 1) / (RESAMPLES + 1), fine)


def _part(hits: np.ndarray, trials: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The clusters in an order that is theirs alone, of more than `MOST_TRIALS` a random part."""
    order = np.lexsort((hits, trials))
    if trials.sum() > MOST_TRIALS:
        order = rng.permutation(order)[: max(2, int(MOST_TRIALS / trials.mean()))]
    return hits[order].astype(np.int64), trials[order].astype(np.int64)
