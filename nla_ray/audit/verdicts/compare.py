"""Two runs against each other: changed rates, drift of fidelity, findings that came and went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nla_ray.audit.inference.clusters import Ints
from nla_ray.audit.inference.contrast import Contrast, contrast, in_strata
from nla_ray.audit.inference.exposure import Readings
from nla_ray.audit.inference.frame import Matched, match
from nla_ray.audit.inference.seen import smallest_rise
from nla_ray.audit.inference.statistics import benjamini_hochberg
from nla_ray.audit.report.rates import Change, Comparison, Drift
from nla_ray.audit.tally import Tally
from nla_ray.config.audit import Evidence
from nla_ray.config.detectors.model import Detector
from nla_ray.intervals import Floats, Interval, clustered_mean
from nla_ray.tables import CONTROLS, REAL

State = Literal["new", "unchanged", "absent"]
Verdict = Literal["risen", "fallen", "no change shown", "insufficient evidence", "not comparable"]


@dataclass(frozen=True)
class Week:
    """One side of a comparison."""

    label: str
    tally: Tally
    readings: Readings
    """Of its real rows."""
    named: bool = False
    """Whether its strata are those of a configured column."""


def compare(
    before: Week,
    after: Week,
    detectors: Sequence[Detector],
    rule: Evidence,
    *,
    drift: float,
    states: Mapping[tuple[str, str], State],
) -> Comparison:
    """Change of every detector's rate by document, and of fidelity; from `drift` on it is called drift."""
    was, now, strata = in_strata(before.readings, after.readings, named=before.named)
    matched = match(was.doc_ids, now.doc_ids)
    found = [contrast(was, now, detector, matched) for detector in detectors]
    adjusted = benjamini_hochberg([one.p if _enough(one, rule) else None for one in found])
    level = rule.alpha / max(1, sum(p is not None for p in adjusted))
    changes = tuple(
        _change(detector.id, one, p, rule, level)
        for detector, one, p in zip(detectors, found, adjusted, strict=True)
    )
    states, both = claimed(states, changes), len(matched.before)
    return Comparison(
        before=before.label, after=after.label,
        matched=both, only_before=len(was) - both, only_after=len(now) - both,
        method=_PAIRED if matched.paired else f"{_APART} {_mix(strata, named=before.named)}",
        changes=changes,
        new=sum(state == "new" for state in states.values()),
        gone=sum(state == "absent" for state in states.values()),
        fidelity=tuple(
            _drift(before.tally, after.tally, name, matched, drift) for name in (REAL, *CONTROLS)
            if name in before.tally.populations and name in after.tally.populations
        ),
    )  # fmt: skip


_PAIRED = (
    "The documents that both have are compared pair by pair, each at as many positions and samples as the "
    "other: McNemar's test (mid-p), Newcombe's interval for paired rates, Benjamini-Hochberg over detectors."
)
_APART = (
    "Too few documents are in both, so the two are samples of documents, each read at as many positions and "
    "samples as the others: the exact conditional test (mid-p) within strata, rates at common weights, "
    "Benjamini-Hochberg over detectors."
)


def _mix(strata: int, *, named: bool) -> str:
    if strata or named:
        return f"Strata: {strata} {'values of the configured column' if named else 'source files'} in both."
    return (
        "There are no strata, so a change may be one of the corpus's mix: name a column in units.stratum, or "
        "give both the same source files."
    )


def states_of(before: set[tuple[str, str]], after: set[tuple[str, str]]) -> dict[tuple[str, str], State]:
    """What became of findings, each a detector and a document."""
    return {
        key: "unchanged" if key in before and key in after else "new" if key in after else "absent"
        for key in sorted(before | after)
    }


def claimed(
    states: Mapping[tuple[str, str], State], changes: Iterable[Change]
) -> dict[tuple[str, str], State]:
    """States of the detectors that can be compared: of others nothing is new or gone."""
    silent = {one.detector for one in changes if one.verdict in ("not comparable", "insufficient evidence")}
    return {key: state for key, state in states.items() if key[0] not in silent}


def _enough(one: Contrast, rule: Evidence) -> bool:
    return one.p is not None and min(one.before.n, one.after.n) >= rule.minimum_documents


def _change(name: str, one: Contrast, adjusted: float | None, rule: Evidence, level: float) -> Change:
    verdict: Verdict = "no change shown"
    why = ""
    if one.p is None:
        verdict = "not comparable"
        why = _why_not(one)
    elif adjusted is None:
        verdict = "insufficient evidence"
        least = rule.minimum_documents
        why = (
            f"{one.before.n} and {one.after.n} documents at equal exposure, fewer than the {least} of "
            "evidence.minimum_documents: read some more than so many of each (those with too few positions "
            "are left out), or set it lower"
        )
    elif adjusted <= rule.alpha:
        verdict = "risen" if (one.change or 0.0) > 0 else "fallen"
    known = one.p is not None
    return Change(
        detector=name, k_before=one.before.k, n_before=one.before.n, k_after=one.after.k, n_after=one.after.n,
        rate_before=one.before.rate, rate_after=one.after.rate,
        positions=one.exposure.positions if one.exposure else None,
        samples=one.exposure.samples if one.exposure else None,
        left_out_before=one.before.left_out, left_out_after=one.after.left_out, unshared=one.unshared,
        change=one.change, low=one.interval.low if known else None,
        high=one.interval.high if known else None,
        p=None if adjusted is None else one.p, p_adjusted=adjusted,
        seen=None if adjusted is None else smallest_rise(one, level),
        verdict=verdict, why=why,
    )  # fmt: skip


def _why_not(one: Contrast) -> str:
    if one.exposure is None:
        return "one of the two has no row in scope and above the fidelity floor"
    if one.unshared:
        return f"the two share no stratum; of one alone: {', '.join(one.unshared[:8])}"
    return f"no document has {one.exposure.positions} positions with {one.exposure.samples} samples in both"


def _drift(before: Tally, after: Tally, name: str, matched: Matched, most: float) -> Drift:
    sides = before.populations[name], after.populations[name]
    (ours, of_ours), (theirs, of_theirs) = ((one.fve, one.families) for one in sides)
    if matched.paired and name == REAL:
        ours, theirs, of_ours = ours[matched.before], theirs[matched.after], of_ours[matched.before]
        known = ~np.isnan(ours) & ~np.isnan(theirs)
        ours, theirs = ours[known], theirs[known]
        interval = clustered_mean(theirs - ours, of_ours[known])
    else:
        was, now = clustered_mean(*_known(ours, of_ours)), clustered_mean(*_known(theirs, of_theirs))
        ours, theirs = ours[~np.isnan(ours)], theirs[~np.isnan(theirs)]
        half = float(np.hypot(was.high - was.low, now.high - now.low)) / 2
        middle = sum(was) / 2, sum(now) / 2
        interval = Interval(middle[1] - middle[0] - half, middle[1] - middle[0] + half)
    if min(len(ours), len(theirs)) < 2 or not np.isfinite(interval.low):
        return Drift(population=name, before=None, after=None, change=None, low=None, high=None, drifted=None)
    change = float(theirs.mean() - ours.mean())
    return Drift(
        population=name, before=float(ours.mean()), after=float(theirs.mean()), change=change,
        low=interval.low, high=interval.high,
        drifted=abs(change) > most and not interval.low <= 0 <= interval.high,
    )  # fmt: skip


def _known(values: Floats, family: Ints) -> tuple[Floats, Ints]:
    known = ~np.isnan(values)
    return values[known], family[known]
