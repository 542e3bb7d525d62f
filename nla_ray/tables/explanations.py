"""The table of explanations: one row per position, control and sample."""

from __future__ import annotations

import pyarrow as pa

from nla_ray.tables.schema import column

REAL = "real"
"""The value of `control` in the rows of a position's own vector."""

CONTROLS = ("shuffled", "random", "mean", "none")
"""The other values of `control`, in the order in which they are reported."""

OUTCOMES = ("ok", "unclosed", "length", "empty", "loop", "failed")
"""What became of a row, best first."""

TEMPLATE = "template"
"""The value of `role` at tokens that the chat template adds."""

GENERATED = ("assistant", "thinking", "tool_call")
"""The values of `role` at what the target itself writes."""

DECODED, IMPORTED = "decoded", "imported"
"""The values of `provenance`."""

EXPLANATIONS = pa.schema(
    [
        column("run_id", pa.string(), "run that wrote the row: hash of config, corpus and models"),
        column("unit_id", pa.string(), "piece of the corpus that was committed as a whole"),
        column("row_id", pa.string(), "hash of document, position and control; with sample it is the key"),
        column("doc_id", pa.string(), "document: the corpus's own id, else a hash of its content"),
        column("position", pa.int32(), "token index; null if not known or nothing was read", nullable=True),
        column("token_id", pa.int32(), "token at the position", nullable=True),
        column("token", pa.string(), "text of that token alone", nullable=True),
        column("role", pa.string(),
               "label: the message's role, thinking, tool_call, tool_result or template; null in plain text",
               nullable=True),
        column("doc_tokens", pa.int32(), "tokens of the document that were read", nullable=True),
        column("layer", pa.int16(), "K: the vector is the output of block K of the target", nullable=True),
        column("control", pa.string(), "real, or what was injected instead: shuffled, random, mean, none"),
        column("control_source", pa.string(), "shuffled only: row_id of the vector's owner", nullable=True),
        column("sample", pa.int16(), "0, 1, ... of the answers to one vector"),
        column("seed", pa.int64(), "seed of positions, controls and sampling", nullable=True),
        column("outcome", pa.string(), "ok, unclosed, length, empty, loop, failed"),
        column("reason", pa.string(), "why, where the outcome is not ok", nullable=True),
        column("flags", pa.list_(pa.string()),
                "early_position, special_token, template_token, sink_norm, cjk, windowed, dropped:WHAT"),
        column("explanation", pa.string(), "the answer between its tags, if any", nullable=True),
        column("explanation_norm", pa.string(), "for matching: NFKC, casefolded", nullable=True),
        column("raw_text", pa.string(), "the whole answer as generated", nullable=True),
        column("finish_reason", pa.string(), "stop, length, failed", nullable=True),
        column("closed", pa.bool_(), "whether the closing tag was written", nullable=True),
        column("n_tokens", pa.int32(), "tokens generated", nullable=True),
        column("norm", pa.float32(), "L2 norm of the position's own raw vector", nullable=True),
        column("cos", pa.float32(), "cosine of own vector and reconstruction", nullable=True),
        column("mse_nrm", pa.float32(), "2 (1 - cos): both vectors at norm sqrt(d)", nullable=True),
        column("fve_nrm", pa.float32(), "1 - mse_nrm / Var(v_nrm) of the run's baseline", nullable=True),
        column("target", pa.string(), "target model: reference and weights digest", nullable=True),
        column("av", pa.string(), "verbalizer: reference and weights digest", nullable=True),
        column("ar", pa.string(), "reconstructor: reference and weights digest", nullable=True),
        column("provenance", pa.string(), "decoded, or imported; what the tool did not say is null"),
        column("meta", pa.string(), "corpus columns that were carried along, as JSON", nullable=True),
    ],
    metadata={"table": "explanations", "comment": "one row per position, control and sample"},
)  # fmt: skip
