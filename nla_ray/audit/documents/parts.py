"""Fidelity by source and by role: a part of the corpus that the pair cannot read is left out, by name."""

from __future__ import annotations

import duckdb
import numpy as np

from nla_ray.audit.detect.scope import scope_sql
from nla_ray.audit.report.model import Part
from nla_ray.config.audit import Gates
from nla_ray.config.detectors.model import Scope
from nla_ray.intervals import mean_interval
from nla_ray.tables import REAL

ENOUGH = 10
"""Documents without which nothing is said of a part."""
PLACE = "[:#][^:#/]*$"
"""What follows the file in `documents.source`."""


def leave_out(connection: duckdb.DuckDBPyConnection, gates: Gates) -> dict[str, tuple[Part, ...]]:
    """Parts by run; `population` loses the rows of those whose fidelity surely misses the gate.

    As elsewhere, special and template tokens are no part of a fidelity. A part is surely below where the
    upper end of the interval of its mean over documents is. Where that holds of every part of a kind nothing
    is left out: the gate of the whole fails then.
    """
    found: dict[tuple[str, str, str], list[float]] = {}
    for run, kind, name, fve in connection.execute(_FIDELITY).fetchall():
        found.setdefault((run, kind, name), []).append(fve)
    parts: dict[str, list[Part]] = {}
    for (run, kind, name), values in found.items():
        parts.setdefault(run, []).append(_part(kind, name, np.asarray(values), gates.fidelity))
    made = {run: _unless_all(some) for run, some in parts.items()}
    left = [(run, one.kind, one.name) for run, some in made.items() for one in some if one.left_out]
    if left:
        connection.execute(
            "CREATE OR REPLACE TABLE audit_left_out (run_id VARCHAR, kind VARCHAR, name VARCHAR)"
        )
        connection.executemany("INSERT INTO audit_left_out VALUES (?, ?, ?)", left)
        connection.execute(_NARROWED)
    return made


def _part(kind: str, name: str, values: np.ndarray, least: float) -> Part:
    low, high = mean_interval(values)
    known = len(values) >= ENOUGH
    return Part(
        kind="role" if kind == "role" else "source", name=name, documents=len(values),
        fve=float(values.mean()), fve_low=low if known else None, fve_high=high if known else None,
        left_out=known and high < least,
    )  # fmt: skip


def _unless_all(parts: list[Part]) -> tuple[Part, ...]:
    kinds = {kind for kind in ("source", "role") if all(one.left_out for one in parts if one.kind == kind)}
    kept = (one.model_copy(update={"left_out": False}) if one.kind in kinds else one for one in parts)
    return tuple(sorted(kept, key=lambda one: (one.kind, one.name)))


_PARTS = f"""
SELECT
    of.run_id, of.row_id, of.control, of.doc_id, of.fve_nrm, of.role, {scope_sql(Scope())} AS audited,
    regexp_replace(text.source, '{PLACE}', '') AS source
FROM population AS of
LEFT JOIN (SELECT run_id, doc_id, min(source) AS source FROM documents GROUP BY ALL) AS text
    USING (run_id, doc_id)
"""

_FIDELITY = f"""
SELECT run_id, kind, name, avg(fve_nrm)
FROM (
    SELECT *, unnest([{{kind: 'source', name: source}}, {{kind: 'role', name: role}}], recursive := true)
    FROM ({_PARTS})
    WHERE control = '{REAL}' AND fve_nrm IS NOT NULL AND audited
)
WHERE name IS NOT NULL
GROUP BY run_id, kind, name, doc_id
ORDER BY ALL
"""

_NARROWED = f"""
CREATE OR REPLACE TABLE audit_unread AS
SELECT DISTINCT of.run_id, of.row_id
FROM ({_PARTS}) AS of
JOIN audit_left_out AS part
    ON part.run_id = of.run_id AND part.name = if(part.kind = 'role', of.role, of.source);
CREATE OR REPLACE TABLE audit_kept AS
SELECT * FROM population ANTI JOIN audit_unread USING (run_id, row_id);
DROP VIEW population;
CREATE VIEW population AS FROM audit_kept
"""
