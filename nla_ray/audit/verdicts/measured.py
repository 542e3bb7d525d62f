"""A detector's counts on one run: the tests that they allow, and its rates from a strength on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nla_ray.audit.inference.clusters import by_family, design_effect, worth
from nla_ray.audit.inference.contrast import Contrast, contrast
from nla_ray.audit.inference.expected import Expected
from nla_ray.audit.inference.exposure import Readings
from nla_ray.audit.inference.frame import Matched
from nla_ray.audit.inference.seen import smallest_rate, smallest_rise
from nla_ray.audit.inference.statistics import expected_tie, tied_to_clusters
from nla_ray.audit.report.rates import Rate, RateVerdict
from nla_ray.audit.tally import Hits, Population, Tally, needed
from nla_ray.config.audit import Evidence
from nla_ray.config.detectors.model import Detector
from nla_ray.intervals import Interval, cluster_bootstrap, clustered_wilson, difference, wilson
from nla_ray.tables import CONTROLS, REAL

ABOVE: RateVerdict = "above controls"
NOT: RateVerdict = "not distinguishable"
EVERYWHERE: RateVerdict = "everywhere"
INSUFFICIENT: RateVerdict = "insufficient evidence"

BENIGN, SHUFFLED = "benign", "shuffled"
NEARLY_ALL = 0.8
"""Share of documents from which on a property is everywhere, if nothing ties it to some of them."""


@dataclass(frozen=True)
class Beside:
    """Benign documents and the real ones that they are compared with, as comparisons count them."""

    benign: Readings
    real: Readings
    matched: Matched
    """Benign documents first."""


class Measured:
    """A detector's counts on one run, and the tests that they allow."""

    def __init__(
        self, tally: Tally, detector: Detector, rule: Evidence, beside: Beside | None, subject: str
    ) -> None:
        self.detector, self.rule, self._tally = detector, rule, tally
        self._within = tally.within(detector.id)
        self.real, self.hits = self._within[subject], tally.hits_of(detector.id, subject)
        self.controls = {
            name: Expected(self._within[name], tally.hits_of(detector.id, name), detector, self.real)
            for name in CONTROLS
            if name in self._within and len(self._within[name])
        }
        self.benign: Contrast | None = None
        if beside is not None:
            self.benign = contrast(beside.benign, beside.real, detector, beside.matched, greater=True)
        self.exceeded = {
            name: expected.exceeded(self.hits.strength, needed(detector))
            for name, expected in self.controls.items()
        }
        self.trials = by_family(self.real.places, self.real.families)
        self.mentions = by_family(self.hits.places, self.real.families)
        several = bool(len(self.real)) and int(self.real.places.max()) > 1
        self.tied = tied_to_clusters(self.mentions, self.trials) if several else None
        self.several = several
        self.lacking = self._lacking()

    @property
    def families(self) -> int:
        """How many families there are."""
        return len(self.trials)

    @property
    def independent(self) -> float:
        """Independent documents that this detector's are worth."""
        return len(self.real) / self.effect(needed(self.detector)) if len(self.real) else 0.0

    def effect(self, strength: int) -> float:
        """The design effect of families on documents of this strength."""
        return design_effect(self.hits.strength >= strength, self.real.families)

    @property
    def tested(self) -> dict[str, Mapping[int, float]]:
        """The controls of which there are enough."""
        least = self.rule.minimum_control_documents
        return {name: p for name, p in self.exceeded.items() if len(self.controls[name].places) >= least}

    @property
    def _strengths(self) -> Sequence[int]:
        return list(next(iter(self.exceeded.values()), (needed(self.detector),)))

    @property
    def beyond_controls(self) -> float:
        """P of the strength at which every control is exceeded the most; of all controls the largest."""
        return min(max((p[j] for p in self.tested.values()), default=0.0) for j in self._strengths)

    @property
    def worst(self) -> float:
        """The largest p: above its controls is what is above each (Berger 1982, intersection-union test).

        Where benign documents are at hand they take the place of the dealing at random, which cannot see a
        property that all documents have. Means nothing where evidence is lacking.
        """
        if self.benign is not None:
            return max(self.beyond_controls, 1.0 if self.benign.p is None else self.benign.p)
        # Mentions that no deal could place otherwise are in all positions or fewer than two.
        return max(self.beyond_controls, 1.0 if self.tied is None else self.tied)

    def verdict(self, p: float | None, beyond: float | None) -> tuple[RateVerdict, int]:
        """The verdict, and the strength that it is of, by adjusted p of all tests and of controls alone."""
        least = needed(self.detector)
        if p is None or beyond is None:
            return INSUFFICIENT, least
        share = float((self.hits.strength >= least).mean())
        if p <= self.rule.alpha and share:
            strength = self._strength(p / self.worst)
            return (NOT, least) if strength is None else (ABOVE, strength)
        untold = self.benign is None and beyond <= self.rule.alpha and not self._prior()
        if share >= NEARLY_ALL and untold:
            return EVERYWHERE, least
        return NOT, least

    def _prior(self) -> bool:
        """Whether a control that knows nothing of the corpus mentions it as often, at any fidelity."""
        real = _rows(REAL, self.real, self.hits)
        beside = (
            _rows(name, self._within[name], self._tally.hits_of(self.detector.id, name))
            for name in self.tested
            if name != SHUFFLED
        )
        return any((rate.high or 0.0) >= (real.low or 0.0) for rate in beside)

    def _strength(self, paid: float) -> int | None:
        """The least strength at which every control is exceeded, by p and by the interval; None: none."""
        for j in self._strengths:
            low = (self.control(name, j).lift_low or 0.0 for name in self.tested)
            if (
                all(p[j] * paid <= self.rule.alpha for p in self.tested.values())
                and min(low, default=1.0) > 0
            ):
                return j
        return None

    def rates(self, strength: int) -> list[Rate]:
        """All rates, those by document of documents that reach `strength`."""
        made = [self._documents(strength), _rows(REAL, self.real, self.hits)]
        for name in self.controls:
            made += [
                self.control(name, strength),
                _rows(name, self._within[name], self._tally.hits_of(self.detector.id, name)),
            ]
        if self.several and SHUFFLED in self.controls:
            made.append(self._repeated())
        if self.benign is not None and self.benign.p is not None:
            made.append(_benign(self.benign, needed(self.detector)))
        return made

    def _documents(self, strength: int) -> Rate:
        k, n, effect = int((self.hits.strength >= strength).sum()), len(self.real), self.effect(strength)
        low, high = wilson(k / effect, n / effect)
        return Rate(
            population=REAL, unit="document", least=strength, k=k, n=n, rate=k / n if n else None,
            low=low, high=high,
            method="wilson" if effect == 1 else f"wilson; {effect:.2f} documents are worth one (families)",
        )  # fmt: skip

    def control(self, name: str, strength: int) -> Rate:
        """What the documents would give if each of their places said what this control's places say."""
        expected, hits = self.controls[name], self._tally.hits_of(self.detector.id, name)
        rate, (low, high) = expected.by_document(strength)
        real = self._documents(strength)
        lift = difference(
            real.rate or 0.0, Interval(real.low or 0.0, 1.0 if real.high is None else real.high),
            rate, Interval(low, high),
        )  # fmt: skip
        evident, mentions = int(hits.evident.sum()), int(hits.places.sum())
        return Rate(
            population=name, unit="document", least=strength,
            k=int((hits.evident > 0).sum()), n=len(self._within[name]), rate=rate, low=low, high=high,
            method=f"{evident} of {int(expected.places.sum())} places ({mentions} before the fidelity floor, "
            "which most control text falls below by construction), corrected for any of a document's places; "
            "wilson on the effective sample of families",
            lift=None if real.rate is None else real.rate - rate, lift_low=lift.low, lift_high=lift.high,
            p=self.exceeded[name].get(strength, 1.0),
        )  # fmt: skip

    def _repeated(self) -> Rate:
        """How often a family's further places repeat a mention, beside the rate of shuffled places."""
        pairs, chances = self.mentions * (self.mentions - 1), self.mentions * (self.trials - 1)
        some = chances > 0
        beside = self._within[SHUFFLED]
        hits = by_family(self._tally.hits_of(self.detector.id, SHUFFLED).places, beside.families)
        places = by_family(beside.places, beside.families)
        by_chance, again = float(hits.sum() / places.sum()), None
        low, high = clustered_wilson(hits, places)
        lift = Interval(-1.0, 1.0)
        if some.any():
            again = float(pairs.sum() / chances.sum())
            lift = difference(
                again, cluster_bootstrap(pairs[some], chances[some]), by_chance, Interval(low, high)
            )
        return Rate(
            population=SHUFFLED, unit="repeat", k=int(hits.sum()), n=int(places.sum()), rate=by_chance,
            low=low, high=high,
            method="shuffled places with a mention at any fidelity; lift: how often another real place of a "
            f"family repeats a mention{'' if again is None else f' ({again:.3f})'}, less this rate; p by "
            "dealing mentions to places at random",
            lift=None if again is None else again - by_chance, lift_low=lift.low, lift_high=lift.high,
            p=1.0 if self.tied is None else self.tied,
        )  # fmt: skip

    def seen(self, level: float) -> float | None:
        """The least rate of documents which these tests flag at `level`.

        Documents that just meet the rule are thought of as added to what is there, wherever that is.
        """
        k, n = needed(self.detector), len(self.real)
        effect, there = self.effect(k), int((self.hits.strength >= k).sum())

        def flags(met: int) -> bool:
            for name in self.tested:
                if self.controls[name].chance(met, k, effect=effect) > level:
                    return False
            more = n * max(met - there, 0) / max(n - there, 1)
            return self.benign is not None or self._would_tie(worth(more, effect), k) <= level

        least = smallest_rate(n, effect, flags)
        if self.benign is None or least is None:
            return least
        # Against benign documents one tail is tested.
        rise = smallest_rise(self.benign, 2 * level)
        return None if rise is None else max(least, (self.benign.before.rate or 0.0) + rise)

    def _would_tie(self, families: int, each: int) -> float:
        """P of the dealing, had so many families more mentions, be it of few mentions or of many."""
        each = min(each, int(self.trials.max(initial=0)))
        room = np.flatnonzero(self.mentions + each <= self.trials)
        room = room[np.argsort(self.mentions[room], kind="stable")]
        mentions = self.mentions.copy()
        mentions[room[np.linspace(0, len(room) - 1, min(families, len(room))).astype(np.int64)]] += each
        return expected_tie(mentions, self.trials)

    def _lacking(self) -> str | None:
        """Why there is too little to judge by; None where there is enough."""
        rule, n = self.rule, self.families
        if n < rule.minimum_documents:
            of = f"{n} families of {len(self.real)} documents" if n < len(self.real) else f"{n} documents"
            return f"{of}, fewer than {rule.minimum_documents}"
        if not self.tested and not rule.controls:
            return f"no control has rows in {rule.minimum_control_documents} documents to compare with"
        for control in rule.controls:
            found = len(self.controls[control].places) if control in self.controls else 0
            if not found:
                return f"there are no {control} rows to compare with"
            if found < rule.minimum_control_documents:
                of = "documents" if found == len(self._within[control]) else "families of documents"
                return f"{control} rows in {found} {of}, fewer than {rule.minimum_control_documents}"
        if self.benign is not None:
            return _too_few(self.benign, rule)
        return (
            None if self.several else "one place per document cannot show that text belongs to its document"
        )


def _too_few(benign: Contrast, rule: Evidence) -> str | None:
    """Why benign documents cannot be compared with; None where they can."""
    if benign.p is None:
        return "benign documents share no exposure, pair or stratum with the audited ones"
    n = worth(benign.before.n, benign.effect)
    least = rule.minimum_control_documents
    return f"{n} benign documents at equal exposure, fewer than {least}" if n < least else None


def _rows(name: str, population: Population, hits: Hits) -> Rate:
    """Share of rows with a mention at any fidelity."""
    k, n = by_family(hits.rows, population.families), by_family(population.rows, population.families)
    low, high = clustered_wilson(k, n)
    return Rate(population=name, unit="row", k=int(k.sum()), n=int(n.sum()), low=low, high=high,
                rate=float(k.sum() / n.sum()) if len(n) else None,
                method="mentions at any fidelity; wilson on the effective sample of families")  # fmt: skip


def _benign(found: Contrast, least: int) -> Rate:
    k, n, exposure = found.before.k, found.before.n, found.exposure
    low, high = wilson(k / found.effect, n / found.effect)
    way = "in pairs" if found.paired else "two samples"
    drawn = "" if exposure is None else f"{exposure.positions} positions, {exposure.samples} samples of each"
    return Rate(
        population=BENIGN, unit="document", least=least, k=k, n=n, rate=found.before.rate, low=low, high=high,
        method=f"{way} at equal exposure ({drawn}): {found.after.k} of {found.after.n} real documents",
        lift=found.change, lift_low=found.interval.low, lift_high=found.interval.high, p=found.p,
    )  # fmt: skip
