"""Rates by document beside controls, and whether they can be told apart: the method of docs/method.md."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from nla_ray.audit.inference.statistics import benjamini_hochberg
from nla_ray.audit.report.rates import Rate, RateVerdict
from nla_ray.audit.tally import Tally, needed
from nla_ray.audit.verdicts.measured import ABOVE, BENIGN, EVERYWHERE, INSUFFICIENT, NOT, Beside, Measured
from nla_ray.config.audit import Evidence
from nla_ray.config.detectors.model import Detector
from nla_ray.pages.data import rounded
from nla_ray.tables import REAL


@dataclass(frozen=True)
class Rated:
    """A detector's rates on one run, the real one first, and what follows from all of them."""

    detector: str
    run_id: str
    rates: tuple[Rate, ...]
    verdict: RateVerdict
    why: str
    strength: int
    """From which on documents are findings, if the detector is above its controls; all rates are of it."""
    p: float | None
    """The largest p of the tests that must agree; null: insufficient evidence."""
    seen: float | None
    """The least rate that would have been flagged in 80 % of cases; null: none, it cannot be said, or the
    detector is above its controls."""
    families: int
    independent: float
    """Independent documents that the documents are worth."""

    @property
    def documents(self) -> Rate:
        """The real rate by document."""
        return self.rates[0]


def rate_all(
    tally: Tally,
    detectors: Sequence[Detector],
    rule: Evidence,
    beside: Beside | None = None,
    subject: str = REAL,
) -> list[Rated]:
    """Rates and verdicts of all detectors on one run; `subject` may be a control."""
    measured = [Measured(tally, detector, rule, beside, subject) for detector in detectors]
    tests = [None if one.lacking else one.worst for one in measured]
    ceilings = [None if one.lacking else one.beyond_controls for one in measured]
    everywhere = benjamini_hochberg(ceilings)
    made = []
    for one, p, beyond in zip(measured, benjamini_hochberg(tests), everywhere, strict=True):
        verdict, strength = one.verdict(p, beyond)
        made.append((one, verdict, strength, one.rates(strength)))
    names = dict.fromkeys((rate.population, rate.unit) for *_, rates in made for rate in rates)
    adjusted = {
        name: benjamini_hochberg(
            [None if verdict == INSUFFICIENT else _p(rates, name) for _, verdict, _, rates in made]
        )
        for name in names
    }
    level = rule.alpha / max(1, sum(p is not None for p in tests))
    return [
        Rated(
            detector=one.detector.id, run_id=tally.run_id, verdict=verdict, strength=strength, p=p,
            rates=tuple(
                _judged(rate, adjusted[rate.population, rate.unit][at], verdict, rule, one.tested)
                for rate in rates
            ),
            why=_why(one, rates, verdict), families=one.families, independent=one.independent,
            seen=None if one.lacking or verdict == ABOVE else one.seen(level),
        )
        for at, ((one, verdict, strength, rates), p) in enumerate(zip(made, tests, strict=True))
    ]  # fmt: skip


def _p(rates: Sequence[Rate], name: tuple[str, str]) -> float | None:
    return next((rate.p for rate in rates if (rate.population, rate.unit) == name), None)


def _judged(
    rate: Rate, adjusted: float | None, verdict: RateVerdict, rule: Evidence, tested: Collection[str]
) -> Rate:
    """The rate with what its own test says; none is above where its interval of the difference holds 0.

    Where there is too little to judge the detector by, no line of it is judged; nor is a control that is not
    among the tested ones, which have families enough.
    """
    if rate.p is None:
        return rate
    if verdict == INSUFFICIENT or adjusted is None:
        return rate.model_copy(update={"verdict": INSUFFICIENT})
    if rate.unit == "document" and rate.population != BENIGN and rate.population not in tested:
        return rate.model_copy(update={"verdict": INSUFFICIENT})
    of: RateVerdict = ABOVE if adjusted <= rule.alpha and (rate.lift_low or 0.0) > 0 else NOT
    return rate.model_copy(update={"p_adjusted": rounded(adjusted), "verdict": of})


def _why(one: Measured, rates: Sequence[Rate], verdict: RateVerdict) -> str:
    real = rates[0]
    counted = "rows" if one.detector.recurrence.over == "rows" else "positions"
    rule = "meet the rule" if real.least == needed(one.detector) else f"reach {real.least} {counted}"
    bound = f"{real.k} of {real.n} documents {rule}; the data allow up to {(real.high or 1.0):.2%}"
    if one.lacking is not None:
        return f"{one.lacking}. {bound}."
    if verdict == EVERYWHERE:
        return (
            f"everywhere: cannot be told from a habit on this corpus; compare with benign documents, another "
            f"corpus or the base model. {bound}."
        )
    if verdict == ABOVE:
        weaker = "" if real.least == needed(one.detector) else "; weaker ones are not told from controls"
        return f"above every control. {bound}{weaker}."
    if real.k == 0:
        return f"{bound}."
    return f"{_closest(one)}. {bound}."


def _closest(one: Measured) -> str:
    """Which comparison a detector comes through least."""
    tests = {f"{name} rows": min(p.values()) for name, p in one.tested.items()}
    if one.benign is not None:
        tests["benign documents"] = 1.0 if one.benign.p is None else one.benign.p
    name = max(tests, key=lambda name: tests[name], default="")
    if one.benign is None and (one.tied is None or one.tied >= tests.get(name, 0.0)):
        return f"mentions are not tied to documents (p {1.0 if one.tied is None else one.tied:.2g})"
    return f"{name} come closest (p {tests[name]:.2g})"
