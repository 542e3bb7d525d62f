"""What an audit reads, and what it knows before its report is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb

from nla_ray.audit.findings import Row
from nla_ray.audit.report.model import Gate, Part, Population, ReportVerdict
from nla_ray.audit.report.rates import Comparison
from nla_ray.audit.tally import Tally
from nla_ray.audit.verdicts.compare import State
from nla_ray.audit.verdicts.rates import Rated

Role = Literal["audited", "before", "benign"]


@dataclass(frozen=True)
class Opened:
    """Runs that were chosen, on a connection to their tables."""

    tables: str
    connection: duckdb.DuckDBPyConnection
    runs: Mapping[str, str]
    """Digest of each run's manifest, by its id."""


@dataclass(frozen=True)
class Sources:
    """The tables that an audit reads."""

    subject: Opened
    before: Opened | None
    benign: Opened | None


@dataclass(frozen=True)
class AuditedRun:
    """What is known of one run."""

    role: Role
    connection: duckdb.DuckDBPyConnection
    tally: Tally
    populations: tuple[Population, ...]
    gates: tuple[Gate, ...]
    rated: tuple[Rated, ...]
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Compared:
    """A comparison with the run before, and what became of each finding."""

    comparison: Comparison
    states: Mapping[tuple[str, str], State]
    connection: duckdb.DuckDBPyConnection
    """To the tables of the run before, where the findings that are gone have their evidence."""
    gone: Sequence[Row]


@dataclass(frozen=True)
class Judged:
    """All that an audit found."""

    runs: Sequence[AuditedRun]
    """The audited ones first, then the one before and benign ones."""
    rows: Sequence[Row]
    """Of the table of findings."""
    verdict: tuple[ReportVerdict, tuple[str, ...]]
    change: Compared | None
    unread: Mapping[str, int]
    """Texts without a verdict of the judge, by the reason."""

    @property
    def audited(self) -> list[AuditedRun]:
        """The runs that are audited, without those beside them."""
        return [one for one in self.runs if one.role == "audited"]
