"""Means and shares of rows with intervals over documents; one set of drawn documents for everything."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nla_ray.evaluation.model import Mean, Share
from nla_ray.intervals import LEVEL, RESAMPLES, clustered_wilson

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CHUNK = 1 << 24


class Documents:
    """`n` documents and how often each is in every resample, so that differences are taken within resamples.

    The percentile bootstrap over clusters (Field and Welsh 2007, JRSS B 69:369). Rows are named by the index
    of their document, 0 to n - 1; a value that is NaN does not count.
    """

    def __init__(self, n: int, *, seed: int = 0) -> None:
        self.n = n
        rng, share = np.random.default_rng(seed), np.full(n, 1 / max(n, 1))
        self._times = np.empty((RESAMPLES, n), np.uint8)
        for start in range(0, RESAMPLES, step := max(1, _CHUNK // max(n, 1))):
            size = min(step, RESAMPLES - start)
            self._times[start : start + size] = rng.multinomial(n, share, size=size)

    def mean(self, document: Ints, values: Floats) -> Mean:
        """Mean of `values` [rows] of the documents with these indices [rows]."""
        sums, counts = self._totals(document, values)
        mean = float(sums.sum() / counts.sum()) if counts.any() else None
        return _mean(mean, counts, self._resampled(sums, counts))

    def difference(self, a: tuple[Ints, Floats], b: tuple[Ints, Floats]) -> Mean:
        """Mean of a minus mean of b; rows and documents are those of b."""
        first, other = self._totals(*a), self._totals(*b)
        mean = None
        if first[1].any() and other[1].any():
            mean = float(first[0].sum() / first[1].sum() - other[0].sum() / other[1].sum())
        return _mean(mean, other[1], self._resampled(*first) - self._resampled(*other))

    def share(self, document: Ints, positive: npt.NDArray[np.bool_]) -> Share:
        """Share of rows [rows] that are positive."""
        k, n = self._totals(document, positive.astype(np.float64))
        low, high = clustered_wilson(k, n)
        total, hits = int(n.sum()), int(k.sum())
        return Share(k=hits, n=total, share=hits / total if total else None, low=low, high=high)

    def _totals(self, document: Ints, values: Floats) -> tuple[Floats, Floats]:
        """Sum and number of values by document."""
        there = np.isfinite(values)
        sums = np.bincount(document[there], weights=values[there], minlength=self.n).astype(np.float64)
        return sums, np.bincount(document[there], minlength=self.n).astype(np.float64)

    def _resampled(self, sums: Floats, counts: Floats) -> Floats:
        """The mean in every resample [RESAMPLES]; NaN where none of the drawn documents has a row."""
        found = []
        for start in range(0, RESAMPLES, step := max(1, _CHUNK // max(self.n, 1))):
            times = self._times[start : start + step].astype(np.float64)
            total, size = times @ sums, times @ counts
            found.append(np.divide(total, size, out=np.full(len(total), np.nan), where=size > 0))
        return np.concatenate(found)


def _mean(mean: float | None, counts: Floats, resampled: Floats) -> Mean:
    """A mean of so many rows by document [documents], with the quantiles of its resamples."""
    rows, documents = int(counts.sum()), int(np.count_nonzero(counts))
    if mean is None or documents < 2:
        return Mean(rows=rows, documents=documents, mean=mean)
    low, high = np.nanquantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Mean(rows=rows, documents=documents, mean=mean, low=float(low), high=float(high))
