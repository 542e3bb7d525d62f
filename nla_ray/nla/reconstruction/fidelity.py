"""Fidelity: how well the vector rebuilt from a text agrees with the one that the text is about.

With v and r both rescaled to norm sqrt(d), as the models are trained and as published numbers are made:

    cos               = v.r / (|v| |r|)
    mse_nrm           = mean over d of (v_nrm - r_nrm)^2         = 2 (1 - cos)
    fve_nrm           = 1 - mse_nrm / Var(v_nrm)                 Var: squared distance to the mean vector
    fve_nrm_meannorm  = 1 - mse_nrm / MSE(v_nrm, mean_nrm)       mean_nrm: that mean, rescaled to norm sqrt(d)

`fve_nrm` is the comparable one. The mean of vectors of norm sqrt(d) is shorter than sqrt(d); rescaling it
makes the denominator larger and the score better, hence the two names. A score without its denominator's
reference set means little: `Baseline` carries both. Two more numbers are published and not comparable:
2 cos - 1, and the centred R2 of raw vectors, which is negative for an autoencoder of directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Baseline:
    """The denominator of an FVE: its value, the reference set it was computed over, and that set's size."""

    value: float
    reference: str
    n: int


def cos(v: Floats, r: Floats) -> npt.NDArray[np.float64]:
    """Cosine along the last axis, [..., d] x [..., d] -> [...]; NaN for a zero or non-finite vector."""
    return np.asarray(np.clip((unit(v) * unit(r)).sum(axis=-1), -1.0, 1.0))


def mse_nrm(v: Floats, r: Floats) -> npt.NDArray[np.float64]:
    """Mean squared error per dimension after both are rescaled to norm sqrt(d): 2 (1 - cos), 0 to 4."""
    return 2.0 * (1.0 - cos(v, r))


def fve_nrm(mse: float | Floats, baseline: Baseline) -> npt.NDArray[np.float64]:
    """Fraction of variance explained, 1 - mse / baseline, of one row or of an average over rows.

    1 is perfect, 0 is no better than the constant that the baseline stands for, below 0 is worse. NaN where
    the mse or the baseline is NaN, or the baseline is zero (under 1e-9). The baseline must be a
    `variance_baseline`.
    """
    denominator = baseline.value if baseline.value > 1e-9 else np.nan
    return np.asarray(1.0 - np.asarray(mse, dtype=np.float64) / denominator)


def fve_nrm_meannorm(mse: float | Floats, baseline: Baseline) -> npt.NDArray[np.float64]:
    """Like `fve_nrm`, but with a `meannorm_baseline`: larger, not comparable with published `fve_nrm`."""
    return fve_nrm(mse, baseline)


class Directions:
    """Running sum of unit vectors [d], from which the denominators of all vectors seen follow.

    Zero and non-finite vectors are left out; `n` counts the others.
    """

    def __init__(self, d: int) -> None:
        self.total: npt.NDArray[np.float64] = np.zeros(d)
        self.n = 0

    def add(self, vectors: Floats) -> Directions:
        """Count the usable rows of [n, d]."""
        directions = unit(vectors)
        usable = directions[np.isfinite(directions).all(axis=-1)]
        self.total = self.total + usable.sum(axis=0)
        self.n += len(usable)
        return self

    def mean_square(self) -> float:
        """Squared length of the mean unit vector, 0 to 1; NaN before the first vector."""
        return float(self.total @ self.total) / self.n**2 if self.n else float("nan")

    def variance_nrm(self) -> float:
        """Var(v_nrm) = 1 - |mean of unit vectors|^2: squared distance per dimension to the mean, 0 to 1."""
        return float(np.maximum(0.0, 1.0 - self.mean_square()))


def variance_nrm(vectors: Floats) -> float:
    """Var(v_nrm) of [n, d]; NaN when no vector has a direction."""
    return _directions(vectors).variance_nrm()


def meannorm_mse(vectors: Floats) -> float:
    """MSE(v_nrm, mean_nrm) of [n, d] = 2 (1 - |mean of unit vectors|); mean_nrm is the mean at norm sqrt(d).

    0 to 2; NaN when no vector has a direction.
    """
    return float(np.maximum(0.0, 2.0 * (1.0 - np.sqrt(_directions(vectors).mean_square()))))


def variance_baseline(vectors: Floats, reference: str) -> Baseline:
    """The denominator of `fve_nrm` over a named reference set [n, d]."""
    return Baseline(variance_nrm(vectors), reference, _directions(vectors).n)


def meannorm_baseline(vectors: Floats, reference: str) -> Baseline:
    """The denominator of `fve_nrm_meannorm` over a named reference set [n, d]."""
    return Baseline(meannorm_mse(vectors), reference, _directions(vectors).n)


def unit(vectors: Floats) -> npt.NDArray[np.float64]:
    """Vectors [..., d] divided by their norm; a zero or non-finite vector becomes NaN, without a warning.

    Divided by the largest component first, so that float32 extremes neither overflow nor vanish.
    """
    wide = np.asarray(vectors, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        scaled = wide / np.abs(wide).max(axis=-1, keepdims=True, initial=0.0)
        return np.asarray(scaled / np.linalg.norm(scaled, axis=-1, keepdims=True))


def _directions(vectors: Floats) -> Directions:
    return Directions(np.shape(vectors)[-1]).add(vectors)
