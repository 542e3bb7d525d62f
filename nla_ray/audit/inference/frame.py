"""What is compared of two populations: the same for all detectors that share rows and a rule."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from nla_ray.audit.inference.clusters import Ints
from nla_ray.audit.inference.exposure import Exposure, Mask, Readings, Reads, common, drawable
from nla_ray.config.detectors.model import Recurrence
from nla_ray.intervals import Floats


@dataclass(frozen=True, eq=False)
class Matched:
    """Documents of two populations that belong together, in the same order, as indices."""

    before: Ints
    after: Ints
    paired: bool
    """Whether they are at least half of the smaller population, and so are what is compared."""


UNMATCHED = Matched(np.empty(0, np.int64), np.empty(0, np.int64), False)
"""Nothing belongs together."""


def match(before: np.ndarray, after: np.ndarray) -> Matched:
    """Documents of equal names; an empty name is none."""
    names, at, of = np.intersect1d(before, after, return_indices=True)
    at, of = at[names != ""], of[names != ""]
    return Matched(at, of, 2 * len(at) >= min(len(before), len(after)) > 0)


@dataclass(frozen=True, eq=False)
class Frame:
    """Documents that are compared, of the side before and the one after; in pairs in the same order."""

    exposure: Exposure
    at: tuple[Ints, Ints]
    """Which of each population."""
    family: tuple[Ints, Ints]
    within: tuple[Ints, Ints]
    """Their strata, numbered from 0."""
    left_out: tuple[int, int]
    unshared: tuple[str, ...] = ()
    """Strata of one side alone; left out."""

    @cached_property
    def sizes(self) -> tuple[Floats, Floats]:
        """Documents of each side by stratum."""
        before, after = (np.bincount(one).astype(np.float64) for one in self.within)
        return before, after


@lru_cache(maxsize=4)
def frame(
    before: Readings, after: Readings, was: Reads, now: Reads, rule: Recurrence, matched: Matched
) -> Frame | None:
    """The documents of two populations, of which `was` and `now` are rows; None: one of them has no row."""
    if matched.paired:
        both = was.some[matched.before] & now.some[matched.after]
        of = [matched.before[both], matched.after[both]]
    else:
        of = [np.flatnonzero(was.some), np.flatnonzero(now.some)]
    if not len(of[0]) or not len(of[1]):
        return None
    exposure = common(list(zip((was, now), of, strict=True)), rule)
    kept = [drawable(reads, exposure)[at] for reads, at in zip((was, now), of, strict=True)]
    strata = [one.stratum[at] for one, at in zip((before, after), of, strict=True)]
    unshared: tuple[str, ...] = ()
    if matched.paired:
        kept = [kept[0] & kept[1]] * 2
    else:
        kept, unshared = _in_shared(kept, strata)
    at = (of[0][kept[0]], of[1][kept[1]])
    shared = np.unique(strata[0][kept[0]])
    return Frame(
        exposure, at,
        family=(before.family[at[0]], after.family[at[1]]),
        within=(np.searchsorted(shared, strata[0][kept[0]]), np.searchsorted(shared, strata[1][kept[1]])),
        left_out=(len(of[0]) - len(at[0]), len(of[1]) - len(at[1])),
        unshared=unshared,
    )  # fmt: skip


def _in_shared(kept: list[Mask], strata: list[np.ndarray]) -> tuple[list[Mask], tuple[str, ...]]:
    """Those that are in strata of both sides, and the names of the other strata."""
    ours, theirs = (np.unique(stratum[some]) for stratum, some in zip(strata, kept, strict=True))
    shared = np.intersect1d(ours, theirs)
    within = [some & np.isin(stratum, shared) for stratum, some in zip(strata, kept, strict=True)]
    return within, tuple(np.setxor1d(ours, theirs).tolist())
