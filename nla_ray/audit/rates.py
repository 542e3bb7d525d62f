"""Rates by document beside controls, and whether they can be told apart: the method of docs/method.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nla_ray.audit.expected import Expected
from nla_ray.audit.report.rates import Rate, RateVerdict
from nla_ray.audit.statistics import benjamini_hochberg, tied_to_clusters, two_samples
from nla_ray.audit.tally import Hits, Population, Tally, needed
from nla_ray.config.audit import Evidence
from nla_ray.config.detectors.model import Detector
from nla_ray.intervals import (
    Interval,
    cluster_bootstrap,
    clustered_wilson,
    difference,
    newcombe,
    wilson,
)
from nla_ray.tables import CONTROLS, REAL

ABOVE: RateVerdict = "above controls"
NOT: RateVerdict = "not distinguishable"
INSUFFICIENT: RateVerdict = "insufficient evidence"

BENIGN, SHUFFLED = "benign", "shuffled"


@dataclass(frozen=True)
class Rated:
    """A detector's rates on one run, the real one first, and what follows from all of them."""

    detector: str
    run_id: str
    rates: tuple[Rate, ...]
    verdict: RateVerdict
    why: str
    strength: int
    """From which on documents are findings, if the detector is above its controls."""

    @property
    def documents(self) -> Rate:
        """The real rate by document."""
        return self.rates[0]


@dataclass(frozen=True)
class Twins:
    """Benign documents by detector: how many were read, and how many of them meet its rule."""

    n: Mapping[str, int]
    k: Mapping[str, int]


def rate_all(
    tally: Tally,
    detectors: Sequence[Detector],
    rule: Evidence,
    twins: Twins | None = None,
    subject: str = REAL,
) -> list[Rated]:
    """Rates and verdicts of all detectors on one run; `subject` may be a control."""
    measured = [_measure(tally, detector, rule, twins, subject) for detector in detectors]
    names = dict.fromkeys((rate.population, rate.unit) for one in measured for rate in one.rates)
    adjusted = {name: benjamini_hochberg([_p(one.rates, name) for one in measured]) for name in names}
    lacking = [_lacking(one.rates, rule) for one in measured]
    worst = [None if why else worst_p(one.rates, rule) for one, why in zip(measured, lacking, strict=True)]
    made = []
    for index, p in enumerate(benjamini_hochberg(worst)):
        one, detector = measured[index], detectors[index]
        judged = tuple(_judged(rate, adjusted[rate.population, rate.unit][index], rule) for rate in one.rates)
        verdict = INSUFFICIENT if p is None else ABOVE if one.documents.k and p <= rule.alpha else NOT
        paid = (p or 1.0) / (worst[index] or 1.0)
        strength = _strength(one, paid, rule) if verdict == ABOVE else needed(detector)
        counted = "rows" if detector.recurrence.over == "rows" else "positions"
        least = f"{strength} {counted}" if strength > needed(detector) else ""
        why = _why(one.rates, rule, verdict, lacking[index], p, least)
        made.append(Rated(detector.id, tally.run_id, judged, verdict, why, strength))
    return made


@dataclass(frozen=True)
class _Measured:
    """A detector's rates before they are judged; by control, p for documents of each strength or above."""

    rates: list[Rate]
    exceeded: dict[str, dict[int, float]]

    @property
    def documents(self) -> Rate:
        return self.rates[0]


def _measure(
    tally: Tally, detector: Detector, rule: Evidence, twins: Twins | None, subject: str
) -> _Measured:
    within = tally.within(detector.id)
    real, hits = within[subject], tally.hits_of(detector.id, subject)
    k = int((hits.strength >= needed(detector)).sum())
    rates = [_documents(k, len(real)), _rows(REAL, real, hits)]
    exceeded = {}
    for control in (name for name in CONTROLS if name in within and len(within[name])):
        beside, of_it = within[control], tally.hits_of(detector.id, control)
        expected = Expected(beside, of_it, detector)
        exceeded[control] = expected.exceeded(real.places, hits.strength, needed(detector))
        rates.append(
            _control(control, rates[0], real, expected, needed(detector), min(exceeded[control].values()))
        )
        rates.append(_rows(control, beside, of_it))
    if len(real) and int(real.places.max()) > 1:
        rates = [
            _tied(rate, (real, hits), tally, detector) if _is(rate, SHUFFLED, "row") else rate
            for rate in rates
        ]
    if twins is not None and twins.n[detector.id]:
        rates.append(_benign(rates[0], twins.n[detector.id], twins.k[detector.id]))
    return _Measured(rates, exceeded)


def _strength(one: _Measured, paid: float, rule: Evidence) -> int:
    """The least strength that more documents reach than with any control; `paid` is what BH asks for."""
    tested = {rate.population for rate in _tested(one.rates, rule) if rate.unit == "document"}
    least = [
        min(j for j, p in found.items() if p * paid <= rule.alpha)
        for control, found in one.exceeded.items()
        if control in tested
    ]
    return max(least, default=1)


def _documents(k: int, n: int) -> Rate:
    low, high = wilson(k, n)
    return Rate(
        population=REAL,
        unit="document",
        k=k,
        n=n,
        rate=k / n if n else None,
        low=low,
        high=high,
        method="wilson",
    )


def _rows(name: str, population: Population, hits: Hits) -> Rate:
    """Share of rows with a mention at any fidelity."""
    k, n = int(hits.rows.sum()), int(population.rows.sum())
    low, high = clustered_wilson(hits.rows.astype(np.float64), population.rows.astype(np.float64))
    return Rate(population=name, unit="row", k=k, n=n, rate=k / n if n else None, low=low, high=high,
                method="mentions at any fidelity; wilson on the effective sample of documents")  # fmt: skip


Counted = tuple[Population, Hits]


def _control(name: str, real: Rate, population: Population, expected: Expected, k: int, p: float) -> Rate:
    """What the documents would give if each of their places said what this control's places say."""
    rate, (low, high) = expected.by_document(population.places, k)
    lift = difference(real.rate or 0.0, wilson(real.k, real.n), rate, Interval(low, high))
    evident, places = expected.evident, expected.places
    return Rate(
        population=name, unit="document", k=int((evident > 0).sum()), n=len(places), rate=rate,
        low=low, high=high,
        method=f"{int(evident.sum())} of {int(places.sum())} places, corrected for any of a document's "
        "places; wilson on the effective sample of documents",
        lift=None if real.rate is None else real.rate - rate, lift_low=lift.low, lift_high=lift.high, p=p,
    )  # fmt: skip


def _tied(rate: Rate, real: Counted, tally: Tally, detector: Detector) -> Rate:
    """The shuffled rows' rate of mentions beside how often a document's further places repeat a mention."""
    k, n = real[1].places, real[0].places
    pairs, chances = (k * (k - 1)).astype(np.float64), (k * (n - 1)).astype(np.float64)
    p = tied_to_clusters(k, n)
    some = chances > 0
    if not some.any():
        return rate.model_copy(update={"p": 1.0 if p is None else p})
    again = float(pairs.sum() / chances.sum())
    hits = tally.hits_of(detector.id, SHUFFLED).places.astype(np.float64)
    places = tally.within(detector.id)[SHUFFLED].places.astype(np.float64)
    by_chance = float(hits.sum() / places.sum())
    lift = difference(
        again, cluster_bootstrap(pairs[some], chances[some]), by_chance, clustered_wilson(hits, places)
    )
    return rate.model_copy(
        update={
            "lift": again - by_chance, "lift_low": lift.low, "lift_high": lift.high,
            "p": 1.0 if p is None else p,
            "method": f"{rate.method}; lift: {again:.3f}, how often another place of a document repeats a "
            f"mention, less {by_chance:.3f} of shuffled places; p by dealing mentions to places at random",
        }
    )  # fmt: skip


def _benign(real: Rate, n: int, k: int) -> Rate:
    low, high = wilson(k, n)
    lift = newcombe(real.k, real.n, k, n)
    return Rate(
        population=BENIGN, unit="document", k=k, n=n, rate=k / n if n else None,
        low=low, high=high, method="wilson",
        lift=(real.rate or 0.0) - k / n if n else None, lift_low=lift.low, lift_high=lift.high,
        p=two_samples(real.k, real.n, k, n, greater=True),
    )  # fmt: skip


def _is(rate: Rate, population: str, unit: str) -> bool:
    return (rate.population, rate.unit) == (population, unit)


def _p(rates: Sequence[Rate], name: tuple[str, str]) -> float | None:
    return next((rate.p for rate in rates if _is(rate, *name)), None)


def worst_p(rates: Sequence[Rate], rule: Evidence) -> float:
    """The largest p: above its controls is what is above each (Berger 1982, intersection-union test).

    Means nothing for a detector with insufficient evidence.
    """
    return max((rate.p or 0.0 for rate in _tested(rates, rule)), default=1.0)


def _tested(rates: Sequence[Rate], rule: Evidence) -> list[Rate]:
    """The rates that real must lie above: benign documents, and controls of which there are enough.

    Where benign documents are at hand they take the place of the dealing at random, which cannot see a
    property that all documents have.
    """
    benign = any(rate.population == BENIGN for rate in rates)
    return [
        rate
        for rate in rates
        if rate.p is not None
        and not (benign and rate.unit == "row")
        and (rate.population == BENIGN or rate.unit == "row" or rate.n >= rule.minimum_control_documents)
    ]


def _lacking(rates: Sequence[Rate], rule: Evidence) -> str | None:
    """Why there is too little to judge by; None where there is enough."""
    real = rates[0]
    if real.n < rule.minimum_documents:
        return f"{real.n} documents, fewer than {rule.minimum_documents}"
    for control in rule.controls:
        found = next((rate for rate in rates if _is(rate, control, "document")), None)
        if found is None:
            return f"there are no {control} rows to compare with"
        if found.n < rule.minimum_control_documents:
            return f"{control} rows in {found.n} documents, fewer than {rule.minimum_control_documents}"
    tied = next((rate.p for rate in rates if _is(rate, SHUFFLED, "row")), None)
    if tied is None and not any(rate.population == BENIGN for rate in rates):
        return "one place per document cannot show that text belongs to its document"
    return None


def _judged(rate: Rate, adjusted: float | None, rule: Evidence) -> Rate:
    if rate.p is None or adjusted is None:
        return rate
    verdict = ABOVE if adjusted <= rule.alpha else NOT
    if rate.population != BENIGN and rate.n < (
        rule.minimum_control_documents if rate.unit == "document" else 1
    ):
        verdict = INSUFFICIENT
    return rate.model_copy(update={"p_adjusted": adjusted, "verdict": verdict})


def _why(
    rates: Sequence[Rate],
    rule: Evidence,
    verdict: RateVerdict,
    lacking: str | None,
    p: float | None,
    least: str,
) -> str:
    real = rates[0]
    bound = f"{real.k} of {real.n} documents meet the rule; the data allow up to {(real.high or 1.0):.2%}"
    if lacking is not None:
        return f"{lacking}. {bound}."
    if real.k == 0:
        return f"{bound}."
    if verdict == ABOVE:
        but = f" for documents that reach {least}; weaker ones are not told from controls" if least else ""
        return f"above every control{but} (adjusted p {p or 0.0:.2g}). {bound}."
    closest = max(_tested(rates, rule), key=lambda rate: (rate.p or 0.0, rate.high or 0.0))
    if closest.unit == "row":
        return f"mentions are not tied to documents (p {closest.p:.2g}). {bound}."
    kind = "documents" if closest.population == BENIGN else "rows"
    return f"{closest.population} {kind} come closest (p {closest.p:.2g}). {bound}."
