"""Families of documents as clusters: what counts are worth where documents of one family are alike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nla_ray.intervals import Floats

Ints = npt.NDArray[np.int64]


def by_family(values: npt.NDArray[np.generic], family: Ints) -> Floats:
    """Sums of values [documents] over families, numbered from 0."""
    return np.asarray(np.bincount(family, weights=values.astype(np.float64)), np.float64)


def numbered(family: Ints) -> Ints:
    """Families numbered from 0 without gaps."""
    return np.asarray(np.unique(family, return_inverse=True)[1], np.int64)


def design_effect(met: npt.NDArray[np.generic], family: Ints, stratum: Ints | None = None) -> float:
    """How many documents are worth one: at least 1, which it is where each is its own family.

    The variance of the rate of `met` [documents], within strata where there are any, over that of independent
    documents (Kish 1965, Survey Sampling, 8.2). Counts over it are tested as if independent (Rao and Scott
    1992, Biometrics 48:577). Where all documents are alike nothing tells: then documents per family. The
    means of strata are taken from the same documents, which hides variance where strata hold few families:
    both variances are put right for that, with a family's documents in one stratum as what has one mean.
    """
    family = numbered(family)
    families = int(family.max(initial=-1)) + 1
    if families == len(met):
        return 1.0
    within = np.zeros(len(met), np.int64) if stratum is None else numbered(stratum)
    rest = met.astype(np.float64) - (by_family(met, within) / np.bincount(within))[within]
    parts = numbered(family * len(met) + within)
    strata, cells = int(within.max()) + 1, int(parts.max()) + 1
    alone = float(rest @ rest)
    if alone <= 0 or cells <= strata:
        return len(met) / families
    together, of_parts = (
        float(sums @ sums) * cells / (cells - strata)
        for sums in (by_family(rest, family), by_family(rest, parts))
    )
    return max(1.0, together / (alone + of_parts * strata / len(met)))


def paired_effect(change: Ints, family: Ints) -> float:
    """The same for pairs: `change` [pairs] is 1, 0 or -1 (Eliasziw and Donner 1991, Stat Med 10:1981)."""
    moved = int(np.abs(change).sum())
    if moved == 0 or len(np.unique(family)) == len(change):
        return 1.0
    sums = by_family(change, numbered(family))
    return max(1.0, float(sums @ sums) / moved)


def worth(count: float, effect: float) -> int:
    """A count of documents as one of independent documents."""
    return round(count / effect)
