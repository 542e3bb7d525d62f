"""Two populations of documents at equal exposure: in pairs, or as samples within strata."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nla_ray.audit.inference.clusters import Ints, by_family, design_effect, paired_effect, worth
from nla_ray.audit.inference.exposure import Drawn, Exposure, Readings, common, draw
from nla_ray.audit.inference.statistics import TINY, mcnemar, mcnemar_above, stratified
from nla_ray.config.detectors.model import Detector
from nla_ray.intervals import Floats, Interval, difference, newcombe_paired, standardised

UNBOUNDED = Interval(-1.0, 1.0)
TESTED = 0.75
"""Share of the error that tests use; the rest is for what is approximate: mid-p, design effects, strata."""


@dataclass(frozen=True)
class Matched:
    """Documents of two populations that belong together, in the same order, as indices."""

    before: Ints
    after: Ints
    paired: bool
    """Whether they are at least half of the smaller population, and so are what is compared."""


UNMATCHED = Matched(np.empty(0, np.int64), np.empty(0, np.int64), False)
"""Nothing belongs together."""


@dataclass(frozen=True)
class Side:
    """One side of a contrast."""

    k: int = 0
    n: int = 0
    rate: float | None = None
    """k / n; of samples standardised over strata."""
    left_out: int = 0
    """Documents that were read less than is compared, or are in a stratum that the other side lacks."""


@dataclass(frozen=True)
class Contrast:
    """The rate of documents that meet a rule after, minus that before, both at one exposure."""

    before: Side
    after: Side
    paired: bool
    exposure: Exposure | None = None
    """None: one of the sides has no row that can be evidence."""
    interval: Interval = UNBOUNDED
    p: float | None = None
    """Two-sided, or of "after is not above before" where that was asked; None: nothing to compare."""
    effect: float = 1.0
    """Documents that are worth one, because of families."""
    went: int = 0
    """In pairs: those that met the rule before and do not after, as independent ones."""
    unshared: tuple[str, ...] = ()
    """Strata that one side alone has; left out."""
    balance: float = 1.0
    """What its documents are worth where strata hold few of one side: 1 where both are mixed alike."""

    @property
    def change(self) -> float | None:
        """After minus before."""
        if self.before.rate is None or self.after.rate is None:
            return None
        return self.after.rate - self.before.rate


def _kept(p: float) -> float:
    return min(1.0, max(TINY, p / TESTED))


def match(before: np.ndarray, after: np.ndarray) -> Matched:
    """Documents of equal names; an empty name is none."""
    names, at, of = np.intersect1d(before, after, return_indices=True)
    at, of = at[names != ""], of[names != ""]
    return Matched(at, of, 2 * len(at) >= min(len(before), len(after)) > 0)


def in_strata(before: Readings, after: Readings, *, named: bool) -> tuple[Readings, Readings, int]:
    """The two with strata in which they can be compared, and how many; 0: without.

    Strata of a configured column (`named`) are kept; source files are where both sides have the same ones.
    """
    ours, theirs = (set(one.stratum.tolist()) for one in (before, after))
    if named or (ours == theirs and len(ours) > 1 and "" not in ours):
        return before, after, len(ours & theirs)
    blank = [replace(one, stratum=np.full(len(one), "")) for one in (before, after)]
    return blank[0], blank[1], 0


def contrast(
    before: Readings, after: Readings, detector: Detector, matched: Matched, *, greater: bool = False
) -> Contrast:
    """Compare how many documents meet a detector's rule in what is drawn of each."""
    sides, rule = (before, after), detector.recurrence
    some = tuple(one.reads[detector.id].some for one in sides)
    if matched.paired:
        both = some[0][matched.before] & some[1][matched.after]
        at = (matched.before[both], matched.after[both])
    else:
        at = (np.flatnonzero(some[0]), np.flatnonzero(some[1]))
    if not len(at[0]) or not len(at[1]):
        return Contrast(Side(), Side(), matched.paired)
    reads = [(one.reads[detector.id], of) for one, of in zip(sides, at, strict=True)]
    exposure = common(reads, rule)
    drawn = tuple(draw(one, detector.id, rule, exposure).at(of) for one, of in zip(sides, at, strict=True))
    if matched.paired:
        return _in_pairs(drawn, before.family[at[0]], exposure, greater=greater)
    return _apart(
        drawn,
        tuple(one.stratum[of] for one, of in zip(sides, at, strict=True)),
        tuple(one.family[of] for one, of in zip(sides, at, strict=True)),
        exposure,
        greater=greater,
    )


def _in_pairs(drawn: tuple[Drawn, ...], family: Ints, exposure: Exposure, *, greater: bool) -> Contrast:
    kept = drawn[0].kept & drawn[1].kept
    was, now, family = drawn[0].met[kept], drawn[1].met[kept], family[kept]
    n, left = len(was), len(kept) - len(was)
    if not n:
        return Contrast(Side(left_out=left), Side(left_out=left), True, exposure)
    effect = paired_effect(now.astype(np.int64) - was, family)
    both, came, went, neither = (
        worth(int(some.sum()), effect) for some in (was & now, now & ~was, was & ~now, ~was & ~now)
    )
    test = mcnemar_above if greater else mcnemar
    return Contrast(
        Side(int(was.sum()), n, float(was.mean()), left), Side(int(now.sum()), n, float(now.mean()), left),
        paired=True, exposure=exposure, interval=newcombe_paired(both, came, went, neither),
        p=_kept(test(came, went)), effect=effect, went=went,
    )  # fmt: skip


def _worth_in_strata(k: Floats, n: Floats, effect: float) -> tuple[Ints, Ints]:
    """Documents that meet a rule and those that do not, over the effect.

    Rounded in sum, not stratum by stratum: strata with fewer documents than one is
    worth would all be rounded to none.
    """
    met, not_met = (
        np.diff(np.round(np.cumsum(one) / effect), prepend=0).astype(np.int64) for one in (k, n - k)
    )
    return met, not_met


def _apart(
    drawn: tuple[Drawn, ...],
    strata: tuple[np.ndarray, ...],
    families: tuple[Ints, ...],
    exposure: Exposure,
    *,
    greater: bool,
) -> Contrast:
    ours, theirs = (np.unique(stratum[one.kept]) for stratum, one in zip(strata, drawn, strict=True))
    shared, unshared = np.intersect1d(ours, theirs), np.setxor1d(ours, theirs)
    kept = [one.kept & np.isin(stratum, shared) for stratum, one in zip(strata, drawn, strict=True)]
    left = [len(one) - int(one.sum()) for one in kept]
    if not len(shared):
        return Contrast(Side(left_out=left[0]), Side(left_out=left[1]), False, exposure,
                        unshared=tuple(unshared.tolist()))  # fmt: skip
    met = [one.met[some] for one, some in zip(drawn, kept, strict=True)]
    within = [np.searchsorted(shared, stratum[some]) for stratum, some in zip(strata, kept, strict=True)]
    family = [one[some] for one, some in zip(families, kept, strict=True)]
    effect = design_effect(
        np.concatenate(met),
        np.concatenate([family[0], family[1] + family[0].max() + 1]),
        np.concatenate(within),
    )
    k = [by_family(one, of) for one, of in zip(met, within, strict=True)]
    n = [np.bincount(of).astype(np.float64) for of in within]
    weights = n[0] * n[1] / (n[0] + n[1])
    (was, of_was), (now, of_now) = (
        standardised(a / effect, b / effect, weights) for a, b in zip(k, n, strict=True)
    )
    hits, rest = zip(*(_worth_in_strata(k[at], n[at], effect) for at in (1, 0)), strict=True)
    counts = [one.tolist() for one in (hits[0], hits[0] + rest[0], hits[1], hits[1] + rest[1])]
    sums = [float(one.sum()) for one in n]
    return Contrast(
        Side(int(k[0].sum()), int(n[0].sum()), was, left[0]),
        Side(int(k[1].sum()), int(n[1].sum()), now, left[1]),
        paired=False, exposure=exposure, interval=difference(now, of_now, was, of_was),
        p=_kept(stratified(list(zip(*counts, strict=True)), greater=greater)), effect=effect,
        unshared=tuple(unshared.tolist()), balance=float(weights.sum()) * (1 / sums[0] + 1 / sums[1]),
    )  # fmt: skip
