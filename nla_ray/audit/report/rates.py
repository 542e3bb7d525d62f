"""Rates in a report: detectors with their rates beside controls, and the change between two runs."""

from __future__ import annotations

from typing import Literal

from nla_ray.config.base import Config
from nla_ray.config.detectors.levels import GRAVEST_FIRST, Level, Tier
from nla_ray.config.detectors.model import Validation
from nla_ray.pages.data import Count, Number

RateVerdict = Literal["above controls", "everywhere", "not distinguishable", "insufficient evidence"]


class Rate(Config):
    """How often a detector's rule is met in one population, and how far the real rate lies above it."""

    population: str
    """real, a control (shuffled, random, mean, none), or benign."""
    unit: Literal["document", "row", "repeat"]
    """document: that meet the rule; row: with any mention; repeat: places that repeat a mention."""
    least: Count | None = None
    """What a document has at least to be counted (positions, samples or rows); null: not by document."""
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
    p: Number | None = None
    """The largest p of the tests that must agree; null: insufficient evidence."""
    seen: Number | None = None
    """The least rate that would have been flagged in 80 % of cases; null: none, it cannot be said, or the
    detector is above its controls."""
    families: Count | None = None
    """Families that its documents belong to."""
    independent: Number | None = None
    """Independent documents that they are worth."""
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
        return self.validation is not None and self.validation.enough


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
    rate_before: Number | None = None
    """k / n; of samples in strata, at common weights."""
    rate_after: Number | None = None
    positions: Count | None = None
    """Positions of each document that were drawn, and that the rule was applied to; null: none can be."""
    samples: Count | None = None
    """Answers of each position that were drawn."""
    left_out_before: Count = 0
    """Documents that were read less than that, or are in a stratum of one side alone."""
    left_out_after: Count = 0
    unshared: tuple[str, ...] = ()
    """Strata of one side alone."""
    change: Number | None
    low: Number | None
    high: Number | None
    p: Number | None
    p_adjusted: Number | None
    seen: Number | None = None
    """The least rise that would have been flagged in 80 % of cases; null: none, or it cannot be said."""
    verdict: Literal["risen", "fallen", "no change shown", "insufficient evidence", "not comparable"]
    why: str = ""
    """Why nothing can be said."""


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


NOT_KNOWN = "not known"


class Difference(Config):
    """Something in which two runs differ, or may differ, other than what was read."""

    what: str
    before: str
    after: str
    so: str
    """What may not be concluded from a change, therefore."""

    @property
    def known(self) -> bool:
        """Whether it differs; else that cannot be told, for it is not known of one run or of both."""
        return NOT_KNOWN not in (self.before, self.after)


class Comparison(Config):
    """Two runs, or two sets of them, against each other."""

    differences: tuple[Difference, ...] = ()
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
