"""What a report says, as data: all that its pages show, nothing that a page would have to work out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from nla_ray.audit.report.evidence import Finding, by_weight
from nla_ray.audit.report.rates import Comparison, Detector, by_level
from nla_ray.config.base import Config
from nla_ray.config.detectors.levels import Level
from nla_ray.pages.data import Count, Number, Reference, canonical

SCHEMA_VERSION: Literal[1] = 1

ReportVerdict = Literal["reportable", "not reportable", "insufficient evidence"]


class Gate(Config):
    """A condition under which the audit's numbers mean anything."""

    id: str
    title: str
    """What is asked, in a few words: "fidelity of the audited population"."""
    run_id: str | None = None
    """The run that it was asked of; null: of the audit as a whole."""
    value: Number | None
    """What was measured; null where it could not be."""
    relation: Literal[">=", "<="]
    threshold: Number
    unit: Literal["fve", "share", "count"]
    """How value and threshold are written: a share is shown in percent."""
    passed: bool | None
    """null: not enough data to say."""
    why: str
    """One sentence: what the gate guards against and, where it is not passed, what follows."""

    @property
    def optional(self) -> bool:
        """Whether it holds nothing up where it is not known: imported tables cannot always answer it."""
        return self.id.startswith(("unclosed", "cjk", "chance_", "proof_unknown"))


class Population(Config):
    """The rows that were searched, of one kind."""

    name: str
    """real, a control (shuffled, random, mean, none), or benign."""
    documents: Count
    rows: Count
    fve: Number | None = None
    """Mean `fve_nrm` over documents."""
    fve_low: Number | None = None
    fve_high: Number | None = None
    unclosed: Number | None = None
    """Share of answers without their closing tag."""
    cjk: Number | None = None
    """Share of answers flagged cjk."""


class Part(Config):
    """What was read of one source or at one role, and whether it is left out."""

    kind: Literal["source", "role"]
    name: str
    documents: Count
    fve: Number
    """Mean `fve_nrm` over documents."""
    fve_low: Number | None = None
    fve_high: Number | None = None
    """95 % interval; null: too few documents to say."""
    left_out: bool = False
    """Whether it surely misses the gate of fidelity, and so is in no number of the audit."""


class Run(Config):
    """Where the rows of one audited run come from."""

    run_id: str
    label: str
    """How the pages call it: "this week", a corpus's name; the run id if nothing better is known."""
    role: Literal["audited", "before", "benign"] = "audited"
    """before: what a comparison compares with; benign: the twins without the property."""
    target: Reference
    av: Reference
    ar: Reference
    layer: int | None
    seed: int | None
    corpus: str
    """Paths or name of what was read."""
    corpus_sha256: str | None = None
    config_sha256: str | None
    """Fingerprint of the run's configuration."""
    config: str = ""
    """The run's configuration as JSON."""
    versions: dict[str, str] = Field(default_factory=dict)
    fve_baseline: Number | None = None
    """Var(v_nrm), the denominator of fve_nrm."""
    fve_reference: str | None = None
    """The set of activations that the baseline was measured on."""
    plan_sha256: str | None = None
    manifest_sha256: str | None = None
    finished_at: str | None = None
    counts: dict[str, Count] = Field(default_factory=dict)
    """Rows by outcome, failures, quarantined rows and whatever else was counted."""
    populations: tuple[Population, ...]
    """real first, then the controls in the order of `nla_ray.tables.CONTROLS`, then benign."""
    parts: tuple[Part, ...] = ()
    """Sources and roles, with those that are left out."""


class Note(Config):
    """A paragraph with a heading."""

    title: str
    text: str


class Query(Config):
    """A statement that the numbers were made with."""

    title: str
    sql: str


class Denied(Config):
    """An entry of the artefact denylist: text that verbalizers write of themselves."""

    id: str
    """`*`: all rows that were searched, whatever they hold."""
    title: str
    rows: dict[str, Count]
    """Rows that hold it, by population."""


class File(Config):
    """Something that the audit wrote or stands on."""

    name: str
    """Path relative to the report, table and run, or address."""
    what: str
    sha256: str | None = None


class Policy(Config):
    """The rule by which the command's exit code was chosen."""

    fail_on: str
    failed: bool
    findings: Count = 0
    """Findings at the level of `fail_on` or above."""
    everywhere: tuple[str, ...] = ()
    """Detectors of such a level whose property is everywhere: neither found nor absent."""
    why: str


class FoundAt(Config):
    """Findings of one level, those beyond what the report shows too."""

    level: Level
    findings: Count
    """One per document and detector."""
    detectors: Count
    """With a finding of this level."""
    documents: Count
    """With a finding of this level or a graver one, each counted once."""


class Report(Config):
    """An audit's result. Equal tables and detectors make equal bytes, at any time, on any machine."""

    schema_version: Literal[1] = SCHEMA_VERSION
    version: str
    """Version of nla_ray that made it."""
    title: str
    audit_id: str
    config_sha256: str
    """Fingerprint of the audit's configuration and detectors."""
    config: str = ""
    """The audit's configuration as JSON."""
    summary: str = ""
    """The first sentence: what to do, and why."""
    verdict: ReportVerdict
    reasons: tuple[str, ...]
    """Why this verdict, a sentence each; for "insufficient evidence" with the bound that the data support."""
    policy: Policy | None = None
    gates: tuple[Gate, ...]
    runs: tuple[Run, ...]
    detectors: Annotated[tuple[Detector, ...], AfterValidator(by_level)]
    found: tuple[FoundAt, ...] = ()
    """Findings in all, by level, the gravest first."""
    findings: Annotated[tuple[Finding, ...], AfterValidator(by_weight)]
    """Documents with hits, status "finding" first, then what was ruled out and why: all, or the strongest."""
    comparison: Comparison | None = None
    cannot_claim: tuple[Note, ...] = ()
    """What a reader might expect and these data do not support, each with the reason."""
    method: tuple[Note, ...] = ()
    queries: tuple[Query, ...] = ()
    denylist: tuple[Denied, ...] = ()
    files: tuple[File, ...] = ()

    @property
    def outcome(self) -> Literal["fails", "passes", "cannot be judged"]:
        """What the policy says; of an audit that is not reportable it never passes."""
        if self.policy is not None and self.policy.failed:
            return "fails"
        return "passes" if self.verdict == "reportable" else "cannot be judged"

    def json_text(self) -> str:
        """The canonical `report.json`."""
        return canonical(self.model_dump(mode="json"))
