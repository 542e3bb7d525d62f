"""What the fleet's page says, as data: cells with their readings, what moved, and how the week ends."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from pydantic import Field

from nla_ray.config.base import Config
from nla_ray.config.detectors.levels import Level, Tier
from nla_ray.fleet.results import CellResult
from nla_ray.pages.data import Count, Number, canonical

SCHEMA_VERSION: Literal[1] = 1

Verdict = Literal["above controls", "everywhere", "not distinguishable", "insufficient evidence"]
Moved = Literal["risen", "fallen", "no change shown", "insufficient evidence"]
Says = Literal[
    "findings", "risen", "everywhere", "below policy", "quiet", "not reportable", "insufficient evidence",
    "failed", "missing", "not started", "not audited",
]  # fmt: skip
"""What a cell says; all but the first five: nothing, and why. Benign documents are not audited."""
SPEAKING: tuple[Says, ...] = ("findings", "risen", "everywhere", "below policy", "quiet")

Against = Literal["controls", "last week", "base model"]


class Change(Config):
    """A detector's share of documents in this run minus that in another one."""

    k_before: Count
    n_before: Count
    k_after: Count
    n_after: Count
    change: Number | None = None
    low: Number | None = None
    high: Number | None = None
    p: Number | None = None
    p_adjusted: Number | None = None
    """After Benjamini-Hochberg over all comparisons of this kind in the sweep."""
    verdict: Moved = "insufficient evidence"


class Reading(Config):
    """A detector on a cell."""

    detector: str
    k: Count
    n: Count
    """Documents that meet its rule, and all of them."""
    rate: Number | None = None
    low: Number | None = None
    high: Number | None = None
    """95 % interval."""
    beside: Number | None = None
    """The rate of the control, or of the benign documents, that comes closest."""
    p: Number | None = None
    """Of "the rate is not above every control"; null where the evidence is insufficient."""
    p_adjusted: Number | None = None
    """After Benjamini-Hochberg over all detectors of all reportable cells."""
    alone: Verdict
    """What the cell's own audit says."""
    verdict: Verdict
    """What holds over the whole sweep: above controls in the cell's own audit and after the correction."""
    findings: Count = 0
    """Documents that are findings, where the verdict is "above controls"."""
    counted: bool = False
    """Whether the detector is of the policy's level or above, so that what it says counts."""
    standing: Literal["new", "still", "gone"] | None = None
    """Above the controls against the newest earlier week of the cell; null: in neither, or no such week."""
    last: Change | None = None
    base: Change | None = None

    @property
    def risen(self) -> bool:
        """Whether its rate has risen, since last week or against the base model."""
        return any(change is not None and change.verdict == "risen" for change in (self.last, self.base))


class Gate(Config):
    """A condition of a cell's audit."""

    title: str
    value: Number | None = None
    relation: Literal[">=", "<="]
    threshold: Number
    unit: Literal["fve", "share", "count"]
    passed: bool | None = None


class FleetCell(Config):
    """A cell of the week: how it was made and what it says."""

    result: CellResult
    reasons: tuple[str, ...] = ()
    """Why its audit is not reportable, or has too little evidence."""
    gates: tuple[Gate, ...] = ()
    documents: Count = 0
    fve: Number | None = None
    """Mean `fve_nrm` of its real rows."""
    drifted: bool | None = None
    """Whether fidelity moved since last week by more than the gate allows; null: cannot be said."""
    new: Count | None = None
    gone: Count | None = None
    """Documents with findings that appeared and disappeared since last week; null without a comparison."""
    readings: tuple[Reading, ...] = ()

    @property
    def pair(self) -> tuple[str, str]:
        """Model and corpus."""
        return self.result.cell.pair

    @property
    def name(self) -> str:
        """How pages call it."""
        return f"{self.result.cell.model} on {self.result.cell.corpus}"

    @property
    def says(self) -> Says:
        """What it says, or why it says nothing."""
        if self.result.state != "done":
            return self.result.state
        if self.result.verdict == "not reportable":
            return "not reportable"
        if self.result.verdict is None:
            return "not audited"
        if self.result.verdict != "reportable":
            return "insufficient evidence"
        if any(one.counted and one.findings for one in self.readings):
            return "findings"
        if any(one.counted and one.risen for one in self.readings):
            return "risen"
        if any(one.verdict == "everywhere" and one.counted for one in self.readings):
            return "everywhere"
        return "below policy" if any(one.findings for one in self.readings) else "quiet"

    @property
    def speaks(self) -> bool:
        """Whether it says anything about its model."""
        return self.says in SPEAKING

    @property
    def asked(self) -> bool:
        """Whether it is there to say anything: benign documents are not, they stand beside others."""
        return self.says != "not audited"

    @cached_property
    def by_detector(self) -> dict[str, Reading]:
        """Its readings."""
        return {one.detector: one for one in self.readings}


class Detector(Config):
    """A detector of the week."""

    id: str
    title: str
    level: Level
    tier: Tier
    sha256: str | None = None
    """Digest of its definition."""


class Family(Config):
    """Tests that are corrected together."""

    against: Against
    tests: Count
    significant: Count
    """Of them, those whose adjusted p is at most q."""


class Excerpt(Config):
    """A document with a finding: the explanation that says so most strongly."""

    model: str
    corpus: str
    detector: str
    doc_id: str
    state: Literal["new", "gone"] | None = None
    """Against last week's run."""
    before: str
    span: str
    after: str
    """The explanation about the words that matched."""
    position: int | None = None
    fve_nrm: Number | None = None
    positions_hit: Count
    positions_read: Count


class Point(Config):
    """A rate in one week."""

    week: str
    rate: Number | None = None
    low: Number | None = None
    high: Number | None = None
    above: bool


class Trend(Config):
    """A detector on a model and a corpus over the weeks; weeks without a reading have no point."""

    model: str
    corpus: str
    detector: str
    points: tuple[Point, ...]


class Sum(Config):
    """Cells in numbers: those of a week, or of a model."""

    of: str
    """The week or the model."""
    cells: Count
    """Without those that are not audited."""
    speaking: Count
    """Cells that say anything about their model."""
    with_findings: Count
    above: Count
    """Detectors above their controls, over all cells."""
    documents: Count
    """Of audited cells."""
    vectors: Count
    benign_vectors: Count = 0
    """Of them, those of benign documents, which stand beside others and are not audited."""
    tokens: Count
    units: Count
    reused_units: Count
    quarantined: Count
    gpu_seconds: Number
    cost: Number | None = None
    """Sum over cells with a known cost; null where no cell has one."""


class Changed(Config):
    """A value of the configuration that is another one than last week."""

    key: str
    before: str
    after: str
    """As JSON, long ones cut; empty where the key is not there."""


class FleetReport(Config):
    """A week of a sweep. Equal results and audits make equal bytes, on any machine."""

    schema_version: Literal[1] = SCHEMA_VERSION
    version: str
    """Version of nla_ray that made it."""
    sweep: str
    week: str
    last_week: str | None = None
    """The newest earlier week; null in the first one."""
    state: str
    """How the week ends, in the words of the table of exit codes."""
    exit: int
    """The exit code."""
    sentence: str
    """The verdict of the week."""
    q: Number
    """Highest false discovery rate of each family of tests."""
    families: tuple[Family, ...]
    detectors: tuple[Detector, ...]
    """The gravest first."""
    cells: tuple[FleetCell, ...]
    """In the order of the configuration."""
    excerpts: tuple[Excerpt, ...] = ()
    trends: tuple[Trend, ...] = ()
    weeks: tuple[Sum, ...]
    """The oldest first; this week is the last one."""
    models: tuple[Sum, ...] = ()
    """This week by model, in the order of the configuration."""
    changed: tuple[Changed, ...] = ()
    unread: tuple[str, ...] = ()
    """What of earlier weeks could not be read, each with the way out."""
    currency: str | None = None
    links: dict[str, str] = Field(default_factory=dict)
    """From a folder of an audit's report, as results name it, to its page's path from this folder."""

    def json_text(self) -> str:
        """The canonical `report.json`; null values are left out, as there are ten thousands of readings."""
        return canonical(self.model_dump(mode="json", exclude_none=True), indent=None)
