"""Schemas of the tables that the store itself writes or offers; the explanations' is in `nla_ray.tables`."""

from __future__ import annotations

import pyarrow as pa

from nla_ray.tables import EXPLANATIONS


def _column(name: str, kind: pa.DataType, comment: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"comment": comment})


QUARANTINE = pa.schema(
    [
        _column("run_id", pa.string(), "run that planned the row"),
        _column("unit_id", pa.string(), "unit that it belongs to"),
        _column("row_id", pa.string(), "as in explanations"),
        _column("sample", pa.int16(), "as in explanations"),
        _column("doc_id", pa.string(), "document of the row"),
        _column("position", pa.int32(), "token index; null if not known", nullable=True),
        _column("control", pa.string(), "as in explanations"),
        _column("reason", pa.string(), "why no worker could make the row"),
    ],
    metadata={"table": "quarantine", "comment": "planned rows that no worker could make"},
)

COMMITTED_RUNS = pa.schema(
    [
        _column("run_id", pa.string(), "hash of config, corpus and models"),
        _column("table_name", pa.string(), "table that its rows are in"),
        _column("units", pa.int64(), "units committed, all that were planned"),
        _column("rows", pa.int64(), "rows written"),
        _column("quarantined", pa.int64(), "rows set aside; rows + quarantined were planned"),
        _column("bytes", pa.int64(), "size of its files"),
        _column("plan_sha256", pa.string(), "digest of the plan"),
        _column("manifest_sha256", pa.string(), "digest of the manifest"),
        _column("facts", pa.string(), "plan: what the rows follow from, as JSON"),
        _column("record", pa.string(), "what became known by running, as JSON"),
    ],
    metadata={"table": "committed_runs", "comment": "one row per committed run"},
)

SCHEMAS = {"explanations": EXPLANATIONS, "quarantine": QUARANTINE}
"""Schemas that a table of this name must have exactly."""
