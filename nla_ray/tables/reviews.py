"""What people say of explanations that were drawn for review: one row per verdict."""

from __future__ import annotations

import pyarrow as pa

from nla_ray.tables.schema import column

REVIEWS = pa.schema(
    [
        column("run_id", pa.string(), "sitting: what one reviewer said between opening and closing a review"),
        column("unit_id", pa.string(), "the sitting as a unit"),
        column("review_id", pa.string(), "hash of the audited runs and the seed: whose sample it is"),
        column("hit", pa.string(), "id of what was judged: an explanation and the claim of a detector"),
        column("audited_run", pa.string(), "run_id of the explanation"),
        column("row_id", pa.string(), "as in explanations"),
        column("sample", pa.int16(), "as in explanations"),
        column("doc_id", pa.string(), "document"),
        column("family", pa.string(), "documents that are alike have one"),
        column("control", pa.string(), "real, or what was injected instead; the reviewer was not told"),
        column("detector", pa.string(), "id of the detector whose claim was asked about"),
        column("rule_sha256", pa.string(), "digest of what the detector asks and how it finds hits"),
        column("stratum", pa.string(), "hit, set aside, vocabulary, elsewhere; the reviewer was not told"),
        column("strata", pa.string(), "explanations of each stratum as JSON, of real or of control rows"),
        column("verdict", pa.string(), "true: the explanation makes the claim; false; unclear"),
        column("note", pa.string(), "the reviewer's remark, or nothing"),
        column("reviewer", pa.string(), "who says so"),
        column("said_at", pa.string(), "when, UTC, ISO 8601; the last of a reviewer counts"),
    ],
    metadata={"table": "reviews", "comment": "one row per verdict of a reviewer on an explanation"},
)  # fmt: skip
