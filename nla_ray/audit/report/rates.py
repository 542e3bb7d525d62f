"""Rates in a report: detectors with their rates beside controls, and the change between two runs."""

from __future__ import annotations

from typing import Literal

from nla_ray.config.base import Config
from nla_ray.config.detectors.levels import GRAVEST_FIRST, Level, Tier
from nla_ray.config.detectors.model import VALIDATED, Validation
from nla_ray.pages.data import Count, Number

RateVerdict = Literal["above controls", "not distinguishable", "insufficient evidence"]


class Rate(Config):
    """How often a detector's rule is met in one population, and how far the real rate lies above it."""

    population: str
    """real, a control (shuffled, random, mean, none), or benign."""
    unit: Literal["document", "row"]
    k: Count
    n: Count
    rate: Number | None
    """k / n, or the corrected rate that `method` names; null where n is 0."""
    low: Number | None
    high: Number | None
    """95 % interval."""
    method: str
    """How the interval was made: "wilson", "cluster bootstrap"."""
    lift: Number | None = None
    """Real rate minus this rate; null for real."""
    lift_low: Number | None = None
    lift_high: Number | None = None
    p: Number | None = None
    """Of "the real rate is not above this one"."""
    p_adjusted: Number | None = None
    """After Benjamini-Hochberg over detectors."""
    verdict: RateVerdict | None = None
    """Of real against this population; null for real."""


class Result(Config):
    """A detector on one run."""

    run_id: str
    verdict: RateVerdict
    why: str
    """One sentence, for instance which control comes closest."""
    findings: Count
    """Documents that are findings, suppressed ones too, also where the report holds the strongest alone."""
    set_aside: dict[str, Count]
    """Documents with hits that are none, by status: restated, artefact, below recurrence, ..."""
    rates: tuple[Rate, ...]
    """By document first; real, then controls in their order, then benign."""


class Detector(Config):
    """A detector as it was applied."""

    id: str
    title: str
    description: str
    kind: str
    level: Level
    tier: Tier
    status: str
    """Maturity: experimental, test, stable."""
    rule: str
    """Recurrence, least fidelity and scope in words: "at least 2 of 10 positions, fve_nrm >= 0.4"."""
    sha256: str | None = None
    """Digest of its definition."""
    validation: Validation | None = None
    falsepositives: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    results: tuple[Result, ...]
    """One per audited run, in the order of the report's runs."""

    @property
    def validated(self) -> bool:
        """Whether enough of its hits were reviewed."""
        return self.validation is not None and self.validation.tp + self.validation.fp >= VALIDATED


def by_level(detectors: tuple[Detector, ...]) -> tuple[Detector, ...]:
    """Detectors, the gravest first."""
    return tuple(sorted(detectors, key=lambda one: (GRAVEST_FIRST.index(one.level), one.tier, one.id)))


class Change(Config):
    """A detector's rate after minus before."""

    detector: str
    unit: Literal["document", "row"] = "document"
    k_before: Count
    n_before: Count
    k_after: Count
    n_after: Count
    change: Number | None
    low: Number | None
    high: Number | None
    p: Number | None
    p_adjusted: Number | None
    verdict: Literal["risen", "fallen", "no change shown", "insufficient evidence"]


class Drift(Config):
    """Fidelity after minus before, in one population."""

    population: str
    before: Number | None
    after: Number | None
    change: Number | None
    low: Number | None
    high: Number | None
    drifted: bool | None
    """Whether it moved by more than the gate allows; null: cannot be said."""


class Comparison(Config):
    """Two runs, or two sets of them, against each other."""

    before: str
    """Label of what came first."""
    after: str
    matched: Count
    """Documents that both have."""
    only_before: Count
    only_after: Count
    method: str
    """One sentence: paired by document, or two samples."""
    changes: tuple[Change, ...]
    """In the order of the report's detectors."""
    new: Count
    gone: Count
    """Findings that appeared and disappeared; they stand in the report's findings with their `state`."""
    fidelity: tuple[Drift, ...] = ()
