"""Rates by document beside controls, and whether they can be told apart: the method of docs/method.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nla_ray.audit.intervals import (
    Floats,
    Interval,
    cluster_bootstrap,
    clustered_wilson,
    difference,
    newcombe,
    wilson,
)
from nla_ray.audit.report.rates import Rate, RateVerdict
from nla_ray.audit.statistics import (
    any_of_n,
    benjamini_hochberg,
    binomial_tail,
    tied_to_clusters,
    two_samples,
)
from nla_ray.audit.tally import Hits, Population, Tally, needed
from nla_ray.config.audit import Evidence
from nla_ray.config.detectors import Detector
from nla_ray.tables import CONTROLS, REAL

ABOVE: RateVerdict = "above controls"
NOT: RateVerdict = "not distinguishable"
INSUFFICIENT: RateVerdict = "insufficient evidence"

BENIGN, SHUFFLED = "benign", "shuffled"
_DOUBT = 0.001
"""Chance that a control's rate is above the bound that tests assume; it is added to their p."""


@dataclass(frozen=True)
class Rated:
    """A detector's rates on one run, the real one first, and what follows from all of them."""

    detector: str
    run_id: str
    rates: tuple[Rate, ...]
    verdict: RateVerdict
    why: str

    @property
    def documents(self) -> Rate:
        """The real rate by document."""
        return self.rates[0]


@dataclass(frozen=True)
class Twins:
    """Benign documents: how many were read, and how many meet each detector's rule."""

    n: int
    k: dict[str, int]


def rate_all(
    tally: Tally,
    detectors: Sequence[Detector],
    rule: Evidence,
    twins: Twins | None = None,
    subject: str = REAL,
) -> list[Rated]:
    """Rates and verdicts of all detectors on one run; `subject` may be a control."""
    measured = [_measure(tally, detector, rule, twins, subject) for detector in detectors]
    names = dict.fromkeys((rate.population, rate.unit) for rates in measured for rate in rates)
    adjusted = {name: benjamini_hochberg([_p(rates, name) for rates in measured]) for name in names}
    enough = [_enough(rates, rule) for rates in measured]
    worst = benjamini_hochberg(
        [_worst(rates, rule) if ok is None else None for rates, ok in zip(measured, enough, strict=True)]
    )
    made = []
    for index, (detector, rates) in enumerate(zip(detectors, measured, strict=True)):
        judged = tuple(_judged(rate, adjusted[rate.population, rate.unit][index], rule) for rate in rates)
        verdict, why = _verdict(judged, enough[index], worst[index], rule)
        made.append(Rated(detector.id, tally.run_id, judged, verdict, why))
    return made


def _measure(
    tally: Tally, detector: Detector, rule: Evidence, twins: Twins | None, subject: str
) -> list[Rate]:
    real, hits = tally.populations[subject], tally.hits_of(detector.id, subject)
    k = int((hits.strength >= needed(detector)).sum())
    rates = [_documents(k, len(real)), _rows(REAL, real, hits)]
    for control in (name for name in CONTROLS if name in tally.populations):
        beside = tally.populations[control], tally.hits_of(detector.id, control)
        rates.append(_control(control, (real, hits), beside, detector))
        rates.append(_rows(control, *beside))
    if len(real) and int(real.places.max()) > 1:
        rates = [
            _tied(rate, (real, hits), tally, detector) if _is(rate, SHUFFLED, "row") else rate
            for rate in rates
        ]
    if twins is not None:
        rates.append(_benign(rates[0], twins.n, twins.k.get(detector.id, 0)))
    return rates


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


def _control(name: str, real: Counted, control: Counted, detector: Detector) -> Rate:
    """What the documents would give if each of their places said what this control's places say."""
    places, evident = control[0].places.astype(np.float64), control[1].evident.astype(np.float64)
    c = float(evident.sum() / places.sum())
    reads = clustered_wilson(evident, places)
    shape = weight_shape(control[1], detector)
    expected, low, high = (_over_documents(at, shape, real[0], needed(detector)) for at in (c, *reads))
    k, n = int((real[1].strength >= needed(detector)).sum()), len(real[0])
    lift = difference(k / n, wilson(k, n), expected, Interval(low, high)) if n else Interval(-1, 1)
    return Rate(
        population=name, unit="document",
        k=int((control[1].evident > 0).sum()), n=len(control[0]), rate=expected, low=low, high=high,
        method=f"{int(evident.sum())} of {int(places.sum())} places, corrected for any of a document's "
        "places; wilson on the effective sample of documents",
        lift=k / n - expected if n else None, lift_low=lift.low, lift_high=lift.high,
        p=_more_than(real, (evident, places), shape, needed(detector)),
    )  # fmt: skip


def weight_shape(hits: Hits, detector: Detector) -> list[float]:
    """Of a place with weight: the share of each weight 1, 2, ...; without any the heaviest there is."""
    if not hits.weights:
        return [*[0.0] * (needed(detector) - 1), 1.0] if detector.recurrence.over == "rows" else [1.0]
    total = sum(hits.weights.values())
    return [hits.weights.get(weight, 0) / total for weight in range(1, max(hits.weights) + 1)]


def _over_documents(rate: float, shape: Sequence[float], real: Population, k: int) -> float:
    """Mean over the documents of the chance that their places reach `k` at this rate per place."""
    sizes, times = np.unique(real.places, return_counts=True)
    draw = [1 - rate, *(rate * share for share in shape)]
    chances = [any_of_n(draw, int(size), k) for size in sizes]
    return float(np.dot(chances, times) / max(times.sum(), 1))


def _more_than(real: Counted, control: tuple[Floats, Floats], shape: Sequence[float], k: int) -> float:
    """P of so many documents of some strength, if their places were like the control's.

    The control's rate is taken at the bound that it exceeds with `_DOUBT` (Berger and Boos 1994, JASA
    89:1012). Strengths k, 2k, 4k, ... are tried and paid for (Bonferroni): many documents that just meet the
    rule are evidence, and so are a few that meet it over and over.
    """
    n, most = len(real[0]), int(real[1].strength.max(initial=0))
    bound = clustered_wilson(*control, level=1 - 2 * _DOUBT).high
    strengths = [k]
    while strengths[-1] * 2 <= most:
        strengths.append(strengths[-1] * 2)
    tails = [
        binomial_tail(int((real[1].strength >= j).sum()), n, _over_documents(bound, shape, real[0], j))
        for j in strengths
    ]
    return min(1.0, min(tails) * len(tails) + _DOUBT)


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
    places = tally.populations[SHUFFLED].places.astype(np.float64)
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


def _worst(rates: Sequence[Rate], rule: Evidence) -> float:
    """The largest p: above its controls is what is above each (Berger 1982, intersection-union test)."""
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


def _enough(rates: Sequence[Rate], rule: Evidence) -> str | None:
    """Why there is too little to judge by; None where there is enough."""
    real = rates[0]
    if real.n < rule.minimum_documents:
        return f"{real.n} documents, fewer than {rule.minimum_documents}"
    for control in rule.controls:
        found = next((rate for rate in rates if _is(rate, control, "document")), None)
        if found is None:
            return f"the run has no {control} rows"
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


def _verdict(
    rates: Sequence[Rate], lacking: str | None, adjusted: float | None, rule: Evidence
) -> tuple[RateVerdict, str]:
    real = rates[0]
    bound = f"{real.k} of {real.n} documents meet the rule; the data allow up to {(real.high or 1.0):.2%}"
    if lacking is not None:
        return INSUFFICIENT, f"{lacking}. {bound}."
    if real.k == 0:
        return NOT, f"{bound}."
    closest = max(_tested(rates, rule), key=lambda rate: (rate.p or 0.0, rate.high or 0.0))
    kind = (
        "mentions are not tied to documents"
        if closest.unit == "row"
        else f"{closest.population} rows come closest"
    )
    if closest.population == BENIGN:
        kind = "benign documents come closest"
    if adjusted is not None and adjusted <= rule.alpha:
        return ABOVE, f"above every control (adjusted p {adjusted:.2g}). {bound}."
    return NOT, f"{kind} (p {closest.p:.2g}). {bound}."
