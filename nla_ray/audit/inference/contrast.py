"""Two populations of documents at equal exposure: in pairs, or as samples within strata."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nla_ray.audit.inference.clusters import Ints, by_family, design_effect, paired_effect, worth
from nla_ray.audit.inference.exposure import Exposure, Mask, Readings, draw
from nla_ray.audit.inference.frame import Frame, Matched, frame
from nla_ray.audit.inference.statistics import TINY, mcnemar, mcnemar_above, stratified
from nla_ray.config.detectors.model import Detector
from nla_ray.intervals import Floats, Interval, difference, newcombe_paired, standardised

UNBOUNDED = Interval(-1.0, 1.0)
TESTED = 0.75
"""Share of the error that tests use; the rest is for what is approximate: mid-p, design effects, strata."""


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
    rule = detector.recurrence
    found = frame(before, after, before.reads[detector.id], after.reads[detector.id], rule, matched)
    if found is None:
        return Contrast(Side(), Side(), matched.paired)
    if not len(found.at[0]):
        was, now = (Side(left_out=n) for n in found.left_out)
        return Contrast(was, now, matched.paired, found.exposure, unshared=found.unshared)
    met = [
        draw(one, detector.id, rule, found.exposure)[at]
        for one, at in zip((before, after), found.at, strict=True)
    ]
    return (_in_pairs if matched.paired else _apart)(met[0], met[1], found, greater=greater)


def _in_pairs(was: Mask, now: Mask, of: Frame, *, greater: bool) -> Contrast:
    n, (left, _) = len(was), of.left_out
    effect = paired_effect(now.astype(np.int64) - was, of.family[0])
    both, came, went, neither = (
        worth(int(some.sum()), effect) for some in (was & now, now & ~was, was & ~now, ~was & ~now)
    )
    test = mcnemar_above if greater else mcnemar
    return Contrast(
        Side(int(was.sum()), n, float(was.mean()), left), Side(int(now.sum()), n, float(now.mean()), left),
        paired=True, exposure=of.exposure, interval=newcombe_paired(both, came, went, neither),
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


def _apart(was: Mask, now: Mask, of: Frame, *, greater: bool) -> Contrast:
    effect = design_effect(
        np.concatenate([was, now]),
        np.concatenate([of.family[0], of.family[1] + of.family[0].max() + 1]),
        np.concatenate(of.within),
    )
    k, n = [by_family(met, within) for met, within in zip((was, now), of.within, strict=True)], of.sizes
    weights = n[0] * n[1] / (n[0] + n[1])
    (before, of_before), (after, of_after) = (
        standardised(a / effect, b / effect, weights) for a, b in zip(k, n, strict=True)
    )
    hits, rest = zip(*(_worth_in_strata(k[at], n[at], effect) for at in (1, 0)), strict=True)
    counts = [one.tolist() for one in (hits[0], hits[0] + rest[0], hits[1], hits[1] + rest[1])]
    return Contrast(
        Side(int(was.sum()), len(was), before, of.left_out[0]),
        Side(int(now.sum()), len(now), after, of.left_out[1]),
        paired=False, exposure=of.exposure, interval=difference(after, of_after, before, of_before),
        p=_kept(stratified(list(zip(*counts, strict=True)), greater=greater)), effect=effect,
        unshared=of.unshared, balance=float(weights.sum()) * (1 / len(was) + 1 / len(now)),
    )  # fmt: skip
