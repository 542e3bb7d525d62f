"""What an evaluation says, as data: all that its page shows. Equal inputs give the same, `times` apart."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nla_ray.config.base import Config
from nla_ray.pages.data import Count, Number, Reference, canonical

SCHEMA_VERSION: Literal[1] = 1

Verdict = Literal["above controls", "broken", "insufficient evidence"]
Judgement = Literal["beaten", "not beaten", "too few documents", "no text"]
Found = Literal["samples", "neighbours"]


class Mean(Config):
    """A mean over rows, with a 95 % interval for which whole documents are drawn (percentile bootstrap)."""

    rows: Count
    documents: Count
    mean: Number | None
    """null: there are no rows."""
    low: Number | None = None
    """null: fewer than two documents."""
    high: Number | None = None


class Share(Config):
    """k of n, with Wilson's 95 % interval on the effective sample of rows that cluster in documents."""

    k: Count
    n: Count
    share: Number | None
    """null where n is 0."""
    low: Number
    high: Number


class Denominator(Config):
    """What an error is divided by in an FVE."""

    value: Number
    reference: str
    """The set of vectors that it was measured over."""
    n: Count | None
    """How many vectors that set has."""


class Distribution(Config):
    """How `fve_nrm` is distributed over rows."""

    quantiles: dict[str, Number]
    """By probability, "0.01" to "0.99"."""
    histogram: tuple[Count, ...]
    """Rows between neighbouring `histogram_edges`; the first and the last also hold what lies beyond."""


class Measured(Config):
    """The rows of one control, or the real ones: fidelity to the own vectors, and parse quality."""

    control: str
    """real, shuffled, random, mean or none."""
    rows: Count
    documents: Count
    outcomes: dict[str, Share]
    """Shares of all rows: ok, unclosed, length, empty, loop, failed."""
    flags: dict[str, Count]
    fve_nrm: Mean
    """Over rows that have a text; the others have no reconstruction."""
    fve_nrm_of_documents: Number | None
    """Mean over documents of their means: every document counts once."""
    fve_nrm_own: Number | None
    """With the variance of the evaluated vectors themselves as denominator."""
    fve_nrm_meannorm: Number | None
    """With the mean at norm sqrt(d) in place of the mean, over the evaluated vectors; not comparable."""
    cos: Number | None
    mse_nrm: Number | None
    distribution: Distribution | None
    real_minus_this: Mean | None = None
    """Difference of the means of `fve_nrm`, from the same drawn documents; null for real."""
    judgement: Judgement | None = None
    """Whether real lies above this beyond the interval of the difference; null for real."""
    tokens: dict[str, Number]
    """Tokens generated an answer: mean and quantiles."""
    words: Number | None
    """Mean words of a text."""


class Bucket(Config):
    """Real rows of one kind."""

    name: str
    fve_nrm: Mean


class Buckets(Config):
    """`fve_nrm` of real rows by a property of their position; the denominator is that of all."""

    by: Literal["position", "norm", "token class"]
    about: str
    buckets: tuple[Bucket, ...]


class Edit(Config):
    """Texts after an edit, read again by the reconstructor; of those alone that the edit changed."""

    name: str
    about: str
    texts: Count
    """How many texts were edited or looked at."""
    changed: Count
    intact: Mean
    """`fve_nrm` of the changed texts before the edit."""
    edited: Mean
    """The same after it."""
    change: Mean
    """Edited minus intact, pair by pair."""


class Length(Config):
    """Texts cut after a share of their words."""

    share: Number
    """Of the words of each text that are left, from the first; 0 is the empty text."""
    words: Number
    """Mean number of words left."""
    fve_nrm: Mean


class Robustness(Config):
    """What the text channel carries: the reconstructor on edited texts."""

    texts: Count
    """Explanations that were edited, one answer a vector."""
    intact: Mean
    largest_difference: Number | None
    """Of `cos` as stored and as computed again from the unedited texts; 0 up to rounding."""
    edits: tuple[Edit, ...]
    lengths: tuple[Length, ...]


class Recurrence(Config):
    """How often what one text says is said again in another, beside texts of other documents."""

    feature: Literal["word", "section"]
    over: Found
    features: Count
    """Features that were looked for, repeated ones of several texts counted each time."""
    rate: Mean
    """Mean over texts of the share of their features that the other texts hold."""
    chance: Mean
    """The same in as many texts of other documents."""
    lift: Mean
    """Rate minus chance."""
    times: dict[str, Count] = Field(default_factory=dict)
    """Samples only: distinct features of a vector by the number of its samples that hold them."""


class Choice(Config):
    """How often a text reconstructs its own vector rather than a distractor's; one in two is chance."""

    distractors: Literal["same document", "other documents"]
    share: Mean


class Planted(Config):
    """How explanations under one control name one planted property."""

    control: str
    prop: str
    recall: Share
    """Of explanations whose document has shown the property, those that name its value."""
    precision: Share
    """Of explanations that name a value, those whose document has it."""
    chance: Number
    """The recall of the same explanations dealt out to documents at random."""


class Agreement(Config):
    """Planted claims that so many of a vector's samples agree on."""

    samples: Count
    """How many of the samples make the claim."""
    true: Share
    """Of such claims, those that hold for the document."""


class Provenance(Config):
    """What was evaluated."""

    run_id: str
    target: Reference
    av: Reference
    ar: Reference
    layer: int
    corpus: str
    corpus_sha256: str
    documents: Count
    unusable: Count
    """Documents that could not be read."""
    vectors: Count
    quarantined: Count
    """Rows that no worker could make."""
    samples: Count
    seed: int
    config_sha256: str
    config: str
    versions: dict[str, str]


class Times(Config):
    """How long it took; the only part that differs between two evaluations of the same."""

    decoded_at: str
    seconds_per_vector: Number | None
    """Of all decode stages together: busy seconds by vectors, controls counted (not answers)."""
    vectors_per_second: Number | None
    """Of the last attempt to decode, all workers together."""
    busy_seconds: dict[str, Number]
    """By decode stage, summed over workers."""
    evaluation_seconds: Number
    """After decoding: reading tables, reconstructing edited texts, counting."""


class Evaluation(Config):
    """An evaluation's result."""

    schema_version: Literal[1] = SCHEMA_VERSION
    version: str
    """Version of nla_ray that made it."""
    verdict: Verdict
    """broken: the real rows do not lie above some control beyond the interval of the difference."""
    reasons: tuple[str, ...]
    provenance: Provenance
    baseline: Denominator
    """Of every `fve_nrm` here."""
    own_variance: Denominator | None
    """Var(v_nrm) of the evaluated vectors."""
    histogram_edges: tuple[Number, ...]
    measured: tuple[Measured, ...]
    """real first, then the controls."""
    buckets: tuple[Buckets, ...]
    robustness: Robustness
    recurrence: tuple[Recurrence, ...]
    neighbour_distance: Number | None
    """Median distance in tokens of the neighbours."""
    distractors: tuple[Choice, ...]
    planted: tuple[Planted, ...] = ()
    """Where the corpus says what is in its documents."""
    agreement: tuple[Agreement, ...] = ()
    generated_tokens: Count
    read_tokens: Count
    times: Times

    def json_text(self) -> str:
        """The canonical `evaluation.json`."""
        return canonical(self.model_dump(mode="json"))
