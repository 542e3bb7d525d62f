"""Two runs against each other: changed rates, drift of fidelity, findings that came and went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from nla_ray.audit.report.rates import Change, Comparison, Drift
from nla_ray.audit.statistics import benjamini_hochberg, mcnemar, two_samples
from nla_ray.audit.tally import Ints, Population, Tally, needed
from nla_ray.config.audit import Evidence
from nla_ray.config.detectors.model import Detector, Scope
from nla_ray.intervals import Interval, mean_difference, mean_interval, newcombe, newcombe_paired
from nla_ray.tables import CONTROLS, REAL

State = Literal["new", "unchanged", "absent"]


@dataclass(frozen=True)
class Matched:
    """Documents that both runs have: where they stand in each, in the same order."""

    before: Ints
    after: Ints
    paired: bool
    """Whether they are at least half of the smaller run, and so are what is compared."""


def compare(
    before: Tally,
    after: Tally,
    detectors: Sequence[Detector],
    rule: Evidence,
    *,
    drift: float,
    labels: tuple[str, str],
    states: Mapping[tuple[str, str], State],
) -> Comparison:
    """Change of every detector's rate by document, and of fidelity; from `drift` on it is called drift."""
    matched = match(before.populations[REAL], after.populations[REAL])
    sizes = len(before.populations[REAL]), len(after.populations[REAL])
    both = len(matched.before)
    changes = [_change(before, after, matched, detector) for detector in detectors]
    adjusted = benjamini_hochberg([change.p for change in changes])
    judged = (_judged(change, p, rule) for change, p in zip(changes, adjusted, strict=True))
    return Comparison(
        before=labels[0], after=labels[1],
        matched=both, only_before=sizes[0] - both, only_after=sizes[1] - both,
        method=_PAIRED if matched.paired else _APART, changes=tuple(judged),
        new=sum(state == "new" for state in states.values()),
        gone=sum(state == "absent" for state in states.values()),
        fidelity=tuple(
            _drift(before, after, name, matched, drift) for name in (REAL, *CONTROLS)
            if name in before.populations and name in after.populations
        ),
    )  # fmt: skip


_PAIRED = (
    "The documents that both have are compared pair by pair: McNemar's test (mid-p), Newcombe's interval for "
    "paired rates, Benjamini-Hochberg over detectors."
)
_APART = (
    "Too few documents are in both, so the two are samples of documents: Fisher's exact test (mid-p), "
    "Newcombe's interval, Benjamini-Hochberg over detectors."
)


def match(ours: Population, theirs: Population) -> Matched:
    """Documents of equal id."""
    ids, at, of = np.intersect1d(ours.doc_ids, theirs.doc_ids, assume_unique=True, return_indices=True)
    return Matched(at, of, 2 * len(ids) >= min(len(ours), len(theirs)) > 0)


def states_of(before: set[tuple[str, str]], after: set[tuple[str, str]]) -> dict[tuple[str, str], State]:
    """What became of findings, each a detector and a document."""
    return {
        key: "unchanged" if key in before and key in after else "new" if key in after else "absent"
        for key in sorted(before | after)
    }


def _change(before: Tally, after: Tally, matched: Matched, detector: Detector) -> Change:
    was, now = (tally.hits_of(detector.id, REAL).strength >= needed(detector) for tally in (before, after))
    if detector.scope != Scope():
        same = match(before.within(detector.id)[REAL], after.within(detector.id)[REAL])
        matched = replace(same, paired=matched.paired)
    if matched.paired:
        was, now = was[matched.before], now[matched.after]
    k1, n1, k2, n2 = int(was.sum()), len(was), int(now.sum()), len(now)
    interval = Interval(-1.0, 1.0)
    if matched.paired:
        came, went = int((now & ~was).sum()), int((was & ~now).sum())
        interval = newcombe_paired(int((was & now).sum()), came, went, int((~was & ~now).sum()))
        p = mcnemar(came, went)
    else:
        interval, p = newcombe(k2, n2, k1, n1), two_samples(k2, n2, k1, n1)
    return Change(
        detector=detector.id, k_before=k1, n_before=n1, k_after=k2, n_after=n2,
        change=k2 / n2 - k1 / n1 if n1 and n2 else None, low=interval.low, high=interval.high, p=p,
        p_adjusted=None, verdict="insufficient evidence",
    )  # fmt: skip


def _judged(change: Change, adjusted: float | None, rule: Evidence) -> Change:
    verdict = "no change shown"
    if adjusted is None or min(change.n_before, change.n_after) < rule.minimum_documents:
        verdict = "insufficient evidence"
    elif adjusted <= rule.alpha:
        verdict = "risen" if (change.change or 0.0) > 0 else "fallen"
    return change.model_copy(update={"p_adjusted": adjusted, "verdict": verdict})


def _drift(before: Tally, after: Tally, name: str, matched: Matched, most: float) -> Drift:
    ours, theirs = before.populations[name].fve, after.populations[name].fve
    if matched.paired and name == REAL:
        ours, theirs = ours[matched.before], theirs[matched.after]
        known = ~np.isnan(ours) & ~np.isnan(theirs)
        ours, theirs = ours[known], theirs[known]
        interval = mean_interval(theirs - ours)
    else:
        ours, theirs = ours[~np.isnan(ours)], theirs[~np.isnan(theirs)]
        interval = mean_difference(theirs, ours)
    if min(len(ours), len(theirs)) < 2:
        return Drift(population=name, before=None, after=None, change=None, low=None, high=None, drifted=None)
    change = float(theirs.mean() - ours.mean())
    return Drift(
        population=name, before=float(ours.mean()), after=float(theirs.mean()), change=change,
        low=interval.low, high=interval.high,
        drifted=abs(change) > most and not interval.low <= 0 <= interval.high,
    )  # fmt: skip
