"""What an audit knows before its report is built: each run, and what changed since the run before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb

from nla_ray.audit.findings import Row
from nla_ray.audit.report.model import Gate, Part, Population
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
