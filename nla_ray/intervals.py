"""Intervals for rates, their differences and means: small pure functions, each with its source."""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 2000
_CHUNK = 4_000_000


class Interval(NamedTuple):
    """Two ends that cover the true value with the level's probability."""

    low: float
    high: float


def z_of(level: float) -> float:
    """Standard normal quantile of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + level) / 2)


def wilson(k: float, n: float, level: float = LEVEL) -> Interval:
    """Score interval of one proportion (Wilson 1927, JASA 22:209). All of [0, 1] where n is 0.

    `k` and `n` may be fractional: an effective sample. 0 of n has the upper end z^2 / (n + z^2).
    """
    if n <= 0:
        return Interval(0.0, 1.0)
    z2, p = z_of(level) ** 2, k / n
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = (z2 * (p * (1 - p) / n + z2 / (4 * n * n))) ** 0.5 / (1 + z2 / n)
    return Interval(0.0 if k <= 0 else centre - half, 1.0 if k >= n else centre + half)


def effective_size(k: Floats, n: Floats) -> float:
    """Independent trials that are worth as much as these clusters' trials, for the rate sum(k) / sum(n).

    `k` and `n` [clusters]: positive trials and trials of each. p (1 - p) over the linearised variance of the
    ratio (Kish 1965, Survey Sampling, 8.2), at most sum(n). Without any contrast the data do not tell: then
    the number of clusters, which is right for clusters that are all or nothing and cautious for others.
    """
    trials, clusters = float(n.sum()), int(np.count_nonzero(n))
    if clusters == 0:
        return 0.0
    p = float(k.sum()) / trials
    residual = k - p * n
    spread = float(residual @ residual) * (clusters / max(clusters - 1, 1)) / trials**2
    if spread <= 0 or not 0 < p < 1:
        return float(clusters)
    return min(p * (1 - p) / spread, trials)


def clustered_wilson(k: Floats, n: Floats, level: float = LEVEL) -> Interval:
    """Wilson's interval on the effective sample of clustered trials (Dean and Pagano 2015, JSSAM 3:484).

    Holds from about 30 clusters with a positive trial on; below, it covers less where clusters are large
    (`benchmarks/audit_coverage.py`).
    """
    size = effective_size(k, n)
    if size == 0:
        return Interval(0.0, 1.0)
    rate = float(k.sum() / n.sum())
    return wilson(rate * size, size, level)


def newcombe(k1: float, n1: float, k2: float, n2: float, level: float = LEVEL) -> Interval:
    """Interval of k1/n1 - k2/n2 for independent samples (Newcombe 1998, Stat Med 17:873, method 10)."""
    if min(n1, n2) <= 0:
        return Interval(-1.0, 1.0)
    return difference(k1 / n1, wilson(k1, n1, level), k2 / n2, wilson(k2, n2, level))


def difference(a: float, of_a: Interval, b: float, of_b: Interval) -> Interval:
    """Interval of a - b from those of independent a and b (MOVER; Zou and Donner 2008, Stat Med 27:1693)."""
    low = a - b - ((a - of_a.low) ** 2 + (of_b.high - b) ** 2) ** 0.5
    high = a - b + ((of_a.high - a) ** 2 + (b - of_b.low) ** 2) ** 0.5
    return Interval(max(low, -1.0), min(high, 1.0))


def standardised(k: Floats, n: Floats, weights: Floats, level: float = LEVEL) -> tuple[float, Interval]:
    """The rate of strata [strata] at common weights, with Wilson's interval on the effective sample.

    Rate and weights as in direct standardisation; the sample is worth p (1 - p) over the variance of the
    weighted rate (Dean and Pagano 2015, JSSAM 3:484), and without contrast 1 / sum(w^2 / n). Of one stratum
    it is Wilson's interval.
    """
    share, rates = weights / weights.sum(), k / n
    rate = float(share @ rates)
    spread = float((share**2) @ (rates * (1 - rates) / n))
    size = rate * (1 - rate) / spread if spread > 0 else 1 / float((share**2) @ (1 / n))
    return rate, wilson(rate * size, size, level)


def newcombe_paired(both: int, only_a: int, only_b: int, neither: int, level: float = LEVEL) -> Interval:
    """Interval of rate a minus rate b on the same units (Newcombe 1998, Stat Med 17:2635, method 10)."""
    n = both + only_a + only_b + neither
    if n == 0:
        return Interval(-1.0, 1.0)
    a, b = both + only_a, both + only_b
    (low_a, high_a), (low_b, high_b) = wilson(a, n, level), wilson(b, n, level)
    margins = float(a) * (n - a) * b * (n - b)
    product = both * neither - only_a * only_b
    phi = (
        0.0
        if margins == 0
        else max(product - n / 2, 0.0) / margins**0.5
        if product > 0
        else product / margins**0.5
    )
    p, q, d = a / n, b / n, (only_a - only_b) / n
    down = (p - low_a) ** 2 - 2 * phi * (p - low_a) * (high_b - q) + (high_b - q) ** 2
    up = (high_a - p) ** 2 - 2 * phi * (high_a - p) * (q - low_b) + (q - low_b) ** 2
    return Interval(d - max(down, 0.0) ** 0.5, d + max(up, 0.0) ** 0.5)


def cluster_bootstrap(sums: Floats, counts: Floats, *, level: float = LEVEL, seed: int = 0) -> Interval:
    """Percentile interval of sum(sums) / sum(counts) when whole clusters are drawn with replacement.

    Field and Welsh 2007, JRSS B 69:369. Clusters of one kind are drawn together as a multinomial count, so
    the cost is that of the distinct (sum, count) pairs; seeded, and independent of the clusters' order.
    """
    kinds, times = np.unique(np.stack([sums, counts]), axis=1, return_counts=True)
    clusters = int(times.sum())
    rng, found = np.random.default_rng(seed), []
    step = max(1, _CHUNK // kinds.shape[1])
    for start in range(0, RESAMPLES, step):
        drawn = rng.multinomial(clusters, times / clusters, size=min(step, RESAMPLES - start))
        total, size = (drawn @ kinds[0], drawn @ kinds[1])
        found.append(np.divide(total, size, out=np.zeros_like(total), where=size > 0))
    low, high = np.quantile(np.concatenate(found), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def mean_interval(values: Floats, level: float = LEVEL) -> Interval:
    """Normal interval of a mean over documents; a single one says nothing: all of the line."""
    if len(values) < 2:
        return Interval(-np.inf, np.inf)
    half = z_of(level) * float(values.std(ddof=1)) / len(values) ** 0.5
    return Interval(float(values.mean()) - half, float(values.mean()) + half)


def clustered_mean(values: Floats, cluster: npt.NDArray[np.int64], level: float = LEVEL) -> Interval:
    """`mean_interval` for values in clusters, numbered from 0: by the variance of sums over clusters."""
    rest = np.bincount(cluster, weights=values - values.mean()) if len(values) else np.empty(0)
    clusters = int(np.count_nonzero(np.bincount(cluster))) if len(values) else 0
    if clusters < 2:
        return Interval(-np.inf, np.inf)
    half = z_of(level) * (float(rest @ rest) * clusters / (clusters - 1)) ** 0.5 / len(values)
    return Interval(float(values.mean()) - half, float(values.mean()) + half)
