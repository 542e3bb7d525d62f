"""The tables beside the explanations: what was read, and the vectors themselves."""

from __future__ import annotations

import pyarrow as pa

from nla_ray.tables.schema import column

DOCUMENTS = pa.schema(
    [
        column("run_id", pa.string(), "run that read the document"),
        column("unit_id", pa.string(), "piece of the corpus that was committed as a whole"),
        column("doc_id", pa.string(), "as in explanations"),
        column("source", pa.string(), "file and line or row"),
        column("text", pa.string(), "as the target saw it, with template; null: unreadable", nullable=True),
        column("token_ends", pa.list_(pa.int32()),
               "where each token ends in text, in characters; null if not known", nullable=True),
        column("roles", pa.list_(pa.string()), "each token's label, as role in explanations", nullable=True),
        column("response_start", pa.int32(), "first token of the target's own answer", nullable=True),
        column("n_tokens", pa.int32(), "tokens that were read"),
        column("truncated", pa.bool_(), "whether it was cut at corpus.max_tokens"),
        column("left_out_before", pa.int32(), "tokens of the document before those that were read"),
        column("left_out_after", pa.int32(), "tokens of the document after those that were read"),
        column("flags", pa.list_(pa.string()), "what is true of the whole document: windowed, dropped:WHAT"),
    ],
    metadata={"table": "documents", "comment": "one row per document, as the target read it"},
)  # fmt: skip

ACTIVATIONS = pa.schema(
    [
        column("run_id", pa.string(), "run that extracted the vector"),
        column("unit_id", pa.string(), "as in explanations"),
        column("row_id", pa.string(), "of the real rows of the position in explanations"),
        column("doc_id", pa.string(), "as in explanations"),
        column("n_raw_tokens", pa.int32(), "tokens read for it: its position plus one", nullable=True),
        column("activation_layer", pa.int16(), "K"),
        column("activation_vector", pa.list_(pa.float32()), "raw output of block K"),
    ],
    metadata={
        "table": "activations",
        "comment": "one row per position; readable again as a corpus of vectors",
    },
)
