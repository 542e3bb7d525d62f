"""What is known of runs: rows that were set aside, and the runs themselves."""

from __future__ import annotations

import pyarrow as pa

from nla_ray.tables.schema import column

LABELS = ("sweep", "week", "model", "base", "corpus", "layer")
"""What a run may be called by, beside its id; none of them is part of what it is."""

QUARANTINE = pa.schema(
    [
        column("run_id", pa.string(), "run that planned the row"),
        column("unit_id", pa.string(), "unit that it belongs to"),
        column("row_id", pa.string(), "as in explanations"),
        column("sample", pa.int16(), "as in explanations"),
        column("doc_id", pa.string(), "document of the row"),
        column("position", pa.int32(), "token index; null if not known", nullable=True),
        column("control", pa.string(), "as in explanations"),
        column("reason", pa.string(), "why no worker could make the row"),
    ],
    metadata={"table": "quarantine", "comment": "planned rows that no worker could make"},
)

COMMITTED_RUNS = pa.schema(
    [
        column("run_id", pa.string(), "hash of config, corpus and models"),
        column("table_name", pa.string(), "table that its rows are in"),
        column("units", pa.int64(), "units committed, all that were planned"),
        column("rows", pa.int64(), "rows written"),
        column("quarantined", pa.int64(), "rows set aside; rows + quarantined were planned"),
        column("bytes", pa.int64(), "size of its files"),
        column("commit_order", pa.int64(), "a later commit has a greater one"),
        column("plan_sha256", pa.string(), "digest of the plan"),
        column("manifest_sha256", pa.string(), "digest of the manifest"),
        column("facts", pa.string(), "plan: what the rows follow from, as JSON"),
        column("record", pa.string(), "what became known by running, as JSON"),
        column("read", pa.bool_(), "whether its rows are read here"),
    ],
    metadata={"table": "committed_runs", "comment": "one row per committed run"},
)

COMMITTED_CELLS = pa.schema(
    [
        column("run_id", pa.string(), "run that is or was that of the cell"),
        column("table_name", pa.string(), "table that its rows are in"),
        *(column(label, pa.string(), "what the run is called by there", nullable=True) for label in LABELS),
        column("superseded_by", pa.string(), "later run, which is that of the cell now", nullable=True),
        column("shown", pa.bool_(), "whether the run is known by it: by past cells where it has no other"),
    ],
    metadata={"table": "committed_cells", "comment": "one row per run and what it is called by"},
)

FILES = pa.schema(
    [
        column("table_name", pa.string(), "table that the rows are in"),
        column("unit_id", pa.string(), "unit that they belong to"),
        column("key", pa.string(), "file, where it is not the unit's own in that table", nullable=True),
        column("sha256", pa.binary(32), "digest of the file"),
        column("bytes", pa.int64(), "size of the file"),
        column("rows", pa.int64(), "rows of the unit in it"),
        column("quarantined", pa.int64(), "rows of the unit that are in the quarantine instead"),
    ],
    metadata={"table": "files", "comment": "what a manifest commits: one row per table and unit"},
)

INDEX = pa.schema(
    [
        column("run_id", pa.string(), "committed run"),
        column("manifest_sha256", pa.string(), "digest of its manifest"),
        column("table_name", pa.string(), "table that its rows are in"),
        column("labels", pa.string(), "what the run is called by, as JSON"),
        column("recipe", pa.string(), "digest of what its units' rows follow from", nullable=True),
        column("commit_order", pa.int64(), "a later commit has a greater one"),
        column("plan_sha256", pa.string(), "digest of the plan"),
        column("units", pa.int64(), "units committed"),
        column("rows", pa.int64(), "rows written"),
        column("quarantined", pa.int64(), "rows set aside"),
        column("previous", pa.list_(pa.string()), "runs whose manifests it names"),
    ],
    metadata={"table": "index", "comment": "a cache of manifests: one row per committed run"},
)
