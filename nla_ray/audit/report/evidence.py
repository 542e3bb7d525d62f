"""Findings in a report: a document, a detector, the explanations that say so, the tokens read."""

from __future__ import annotations

from typing import Literal

from nla_ray.config.base import Config
from nla_ray.config.detectors.levels import GRAVEST_FIRST, Level, Tier
from nla_ray.pages.data import Count, Number

State = Literal["new", "unchanged", "updated", "absent"]
"""A finding against the same one before; absent: it was there and is gone."""


class Evidence(Config):
    """One explanation that a detector matched."""

    row_id: str
    sample: int
    position: int | None
    token: str | None
    role: str | None = None
    """The token's label: the role of its message, `thinking` and so on; null in plain text."""
    span: str
    """The matching words, as they stand in the explanation."""
    span_start: Count | None = None
    """Where they start in it, in characters; null: the first place where they occur."""
    explanation: str
    fve_nrm: Number | None


class Segment(Config):
    """A piece of a document: one token that was explained, or the text between such tokens."""

    text: str
    position: int | None = None
    """null: nothing was read here."""
    fve_nrm: Number | None = None
    """Mean over the position's samples."""
    hit: bool = False
    """Whether an explanation read here is evidence."""


class Context(Config):
    """A window of the document's text, as the target saw it."""

    segments: tuple[Segment, ...]
    cut_before: bool = False
    cut_after: bool = False


class Part(Config):
    """One component of the evidence score."""

    name: str
    value: Number | None
    meaning: str
    """A few words: "share of the read positions that mention it"."""


class Suppression(Config):
    """A finding that somebody has answered for; it is shown, and does not count against the policy."""

    owner: str
    reason: str
    expires: str
    """Date, YYYY-MM-DD."""


class Finding(Config):
    """A document in which a detector's rule was met."""

    finding_id: str
    """The same for the same detector, document and run."""
    run_id: str
    detector: str
    level: Level
    tier: Tier
    doc_id: str
    source: str | None = None
    """File and line, where the documents table has it."""
    status: str
    """"finding", or why it is none: not distinguishable, restated, artefact, below recurrence, ..."""
    state: State | None = None
    """Against the run before, where there is a comparison."""
    restated: bool | None
    """Whether the prompt, the text without the model's answers, matches too; null: the text was not kept."""
    rows_hit: Count
    rows_read: Count
    positions_hit: Count
    positions_read: Count
    samples_hit: Count
    samples_read: Count
    score: Number | None = None
    parts: tuple[Part, ...] = ()
    """What the score is made of."""
    evidence: tuple[Evidence, ...]
    """The strongest rows first; `rows_hit` says how many there are in all."""
    contexts: tuple[Context, ...] = ()
    suppression: Suppression | None = None


def by_weight(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Findings, those that count first, then the gravest, then those with the highest score."""
    return tuple(sorted(findings, key=_weight))


def _weight(one: Finding) -> tuple[object, ...]:
    aside = one.status != "finding" or one.state == "absent"
    score = 0.0 if one.score is None else one.score
    return (
        aside,
        GRAVEST_FIRST.index(one.level),
        one.tier,
        one.detector,
        -score,
        one.doc_id,
        one.finding_id,
    )
