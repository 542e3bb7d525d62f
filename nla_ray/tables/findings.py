"""What audits find: one row per detector and document with hits, one per hit, one per rate."""

from __future__ import annotations

import pyarrow as pa

from nla_ray.tables.schema import column

FINDINGS = pa.schema(
    [
        column("run_id", pa.string(), "audit that wrote the row"),
        column("unit_id", pa.string(), "audited run, as a unit of the audit"),
        column("audited_run", pa.string(), "run_id of the explanations"),
        column("finding_id", pa.string(), "hash of audited run, detector and document"),
        column("detector", pa.string(), "id of the detector"),
        column("level", pa.string(), "informational, low, medium, high, critical"),
        column("tier", pa.string(), "strong, weak"),
        column("doc_id", pa.string(), "document"),
        column("status", pa.string(), "finding, or why it is none: not distinguishable, restated, ..."),
        column("restated", pa.bool_(), "the prompt matches too; null: text not kept", nullable=True),
        column("rows_hit", pa.int32(), "real rows that match"),
        column("rows_read", pa.int32(), "real rows that were searched"),
        column("positions_hit", pa.int32(), "positions with a matching row"),
        column("positions_read", pa.int32(), "positions that were searched"),
        column("samples_hit", pa.int32(), "most samples of one position that match"),
        column("samples_read", pa.int32(), "most samples of one position"),
        column("recurrence", pa.float32(), "part of the score: positions_hit / positions_read"),
        column("fidelity", pa.float32(), "part: mean fve_nrm of the matching rows", nullable=True),
        column("lift", pa.float32(), "part: recurrence less the shuffled rows' rate", nullable=True),
        column("chance", pa.float32(), "part: of so many positions, by any control's rate", nullable=True),
        column("score", pa.float32(), "product of recurrence, fidelity and 1 - chance, for sorting only"),
        column("evidence", pa.string(), "matching rows as JSON: row_id, sample, position, token, role, ..."),
    ],
    metadata={"table": "findings", "comment": "one row per audit, run, detector and document with hits"},
)  # fmt: skip

HITS = pa.schema(
    [
        column("run_id", pa.string(), "audit that wrote the row"),
        column("unit_id", pa.string(), "audited run, as a unit of the audit"),
        column("audited_run", pa.string(), "run_id of the explanations"),
        column("detector", pa.string(), "id of the detector"),
        column("doc_id", pa.string(), "document"),
        column("row_id", pa.string(), "as in explanations"),
        column("sample", pa.int16(), "as in explanations"),
        column("position", pa.int32(), "token index; null if not known", nullable=True),
        column("token", pa.string(), "text of that token alone", nullable=True),
        column("role", pa.string(), "label of the token", nullable=True),
        column("control", pa.string(), "real, shuffled, random, mean, none, benign"),
        column("fve_nrm", pa.float32(), "fidelity of the explanation", nullable=True),
        column("quote", pa.string(), "what matches, as written, at most 200 characters"),
        column("quote_start", pa.int32(), "characters of explanation before it; null: not certain",
               nullable=True),
        column("artefact", pa.bool_(), "whether all that matches is inside known artefacts"),
        column("faithful", pa.bool_(), "whether its fidelity is above the floor, and it is no artefact"),
        column("restated", pa.bool_(), "whether the prompt matches too; null: text not kept", nullable=True),
        column("evident", pa.bool_(), "whether it counts as evidence"),
        column("recurs", pa.bool_(), "whether evidence meets the detector's rule in this document"),
        column("status", pa.string(), "real rows: its own first step that fails, else that of its document",
               nullable=True),
    ],
    metadata={"table": "hits", "comment": "one row per audit, detector and explanation that matches"},
)  # fmt: skip

RATES = pa.schema(
    [
        column("run_id", pa.string(), "audit that wrote the row"),
        column("unit_id", pa.string(), "audited run, as a unit of the audit"),
        column("audited_run", pa.string(), "run_id of the explanations"),
        column("detector", pa.string(), "id of the detector"),
        column("population", pa.string(), "real, shuffled, random, mean, none, benign"),
        column("unit", pa.string(), "document: all rules; row: any mention; repeat: repeated ones"),
        column("least", pa.int64(), "what a document has at least to be counted", nullable=True),
        column("k", pa.int64(), "documents or rows that meet it"),
        column("n", pa.int64(), "documents or rows that were searched"),
        column("rate", pa.float64(), "share; a control by document: corrected for any of n", nullable=True),
        column("low", pa.float64(), "lower end of the 95 % interval", nullable=True),
        column("high", pa.float64(), "upper end", nullable=True),
        column("method", pa.string(), "how rate and interval were made"),
        column("lift", pa.float64(), "what real has more than this population", nullable=True),
        column("lift_low", pa.float64(), "lower end of its 95 % interval", nullable=True),
        column("lift_high", pa.float64(), "upper end", nullable=True),
        column("p", pa.float64(), "of: real is not above this population", nullable=True),
        column("p_adjusted", pa.float64(), "after Benjamini-Hochberg over detectors", nullable=True),
        column("verdict", pa.string(), "of real against this population", nullable=True),
        column("detector_verdict", pa.string(), "above controls, everywhere, not distinguishable, ..."),
    ],
    metadata={"table": "rates", "comment": "one row per audit, run, detector, population and unit"},
)  # fmt: skip
