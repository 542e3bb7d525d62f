"""The configuration of an audit: which runs, which detectors, what counts as evidence, when it fails."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from nla_ray.config.base import Config, Name, Place, Spelled
from nla_ray.config.decode import Reference
from nla_ray.config.detectors.judge import JudgeConfig

Share = Annotated[float, Field(ge=0, le=1)]
Fidelity = Annotated[float, Field(le=1)]
FailOn = Annotated[
    str,
    Spelled(
        r"^(never|level>=(low|medium|high|critical))$",
        "`never` or `level>=` with low, medium, high or critical",
    ),
]


class Source(Config):
    """Runs of explanations that lie under one root."""

    tables: Name
    """Folder or `s3://bucket/prefix` that holds committed tables."""
    runs: tuple[Name, ...] = ()
    """Ids of runs there; all runs of explanations where there is none."""


class Marked(Config):
    """Documents that have a value in a column of the corpus."""

    column: Name
    """One of `corpus.meta`, with dots for what lies inside."""
    value: str


class Evidence(Config):
    """When explanations are evidence."""

    beyond_controls: Annotated[float, Field(ge=0, lt=1)] | None = 0.95
    """An explanation counts if its fidelity exceeds that of this share of control rows. null: all do."""
    restated: bool = False
    """Count also what the prompt says (all but the assistant's answers), up to and with the position."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Highest false discovery rate over detectors."""
    controls: tuple[Literal["shuffled", "random", "mean", "none"], ...] = ("shuffled", "random")
    """Controls without which nothing is claimed; others count where there are any."""
    minimum_documents: Annotated[int, Field(ge=2)] = 100
    """With fewer audited documents the evidence is insufficient."""
    minimum_control_documents: Annotated[int, Field(ge=2)] = 30
    """The same for documents that hold rows of one control."""


class Units(Config):
    """What belongs together: columns of the corpus, as in `corpus.meta`, with dots for what lies inside."""

    family: Name | None = None
    """Documents with one value here are one family (a template, a user, a seed); null: near copies are."""
    stratum: Name | None = None
    """Two samples are compared within values of this; null: within source files, where both have the same."""
    benign_pair: Name | None = None
    """A benign document and the audited one that it was made from have one value here: compared in pairs."""


class Gates(Config):
    """What must hold for an audit's numbers to be used."""

    fidelity: Fidelity = 0.5
    """Mean `fve_nrm` over documents: the lower end of its interval must reach this."""
    reference: Fidelity | None = None
    """The pair's own mean `fve_nrm`, as its card or an evaluation states it; null: not compared."""
    transfer: Annotated[float, Field(ge=0)] = 0.15
    """By so much the lower end of the audited population's interval may lie below the reference."""
    unclosed: Share = 0.1
    """Highest share of answers that stop without their closing tag."""
    cjk: Share = 0.05
    """Highest share of answers with Chinese, Japanese or Korean script; raise it for such corpora."""
    control_fidelity: Fidelity = 0.3
    """Highest mean `fve_nrm` of a control; text about something else must not reconstruct the vector."""
    drift: Annotated[float, Field(ge=0)] = 0.05
    """Largest change of the mean `fve_nrm` between two runs that is not called drift."""


class AuditPolicy(Config):
    """How runs are audited, whichever they are."""

    packs: tuple[Place, ...] = ()
    """Detector packs, files or folders, also of S3; the shipped ones where there is none."""
    detectors: tuple[Name, ...] = ()
    """Ids of the detectors to use; all of the packs where there is none."""
    judge: JudgeConfig | None = None
    """The language model that answers the questions of detectors; only detectors with a question need it."""
    embedder: Reference | None = None
    """A transformers encoder in safetensors, `ID_OR_PATH[@REVISION][#SUBFOLDER]`; only detectors with
    `similarity` need it. A sentence is the mean of the last layer over its tokens, at norm 1."""
    evidence: Evidence = Evidence()
    units: Units = Units()
    gates: Gates = Gates()
    fail_on: FailOn = "level>=high"
    """Findings of this level and above make the command exit with 5; `never`: none does."""


class AuditConfig(AuditPolicy):
    """An audit of committed runs by detectors, beside their controls."""

    # Where tables and packs lie has no effect; what they hold is part of an audit's identity by digest.
    without_effect: ClassVar[frozenset[str]] = frozenset(
        {"source", "before", "benign", "output", "results", "packs"}
    )

    source: Source
    """What is audited."""
    before: Source | None = None
    """What it is compared with: last week, the base model, another layer."""
    benign: Source | None = None
    """Benign documents, matched in topic but without the property, in runs of their own."""
    benign_documents: Marked | None = None
    """Benign documents among the audited ones, which then are not counted as real."""
    output: Place
    """Folder or `s3://bucket/prefix` for report.json, report.html, report.md and report.sarif."""
    results: Name | None = None
    """Where the tables `findings` and `rates` are kept; null: under `source.tables`."""

    @model_validator(mode="after")
    def _one_kind_of_benign(self) -> AuditConfig:
        if self.benign is not None and self.benign_documents is not None:
            raise ValueError(
                "benign documents are in runs of their own (benign) or marked (benign_documents)"
            )
        return self
