"""The columns of training sets: vectors with their texts on the way there, and the published tables."""

from __future__ import annotations

import pyarrow as pa

from nla_ray.tables.schema import column


def vector_type(d_model: int) -> pa.DataType:
    """Vectors of one width: `take` on lists of any length wraps past 4 GiB of values."""
    return pa.list_(pa.field("element", pa.float32(), nullable=False), d_model)


def base(d_model: int) -> pa.Schema:
    """One row per activation: the published columns of stage `base`, and what the later steps need."""
    return pa.schema([*_provenance(), _vector(d_model), *_OURS])


def _provenance() -> list[pa.Field]:
    return [
        column("doc_id", pa.string(), "id of the document"),
        column("n_raw_tokens", pa.int64(), "tokens up to and with the one that was read", nullable=True),
        column("detokenized_text_truncated", pa.string(), "the text up to that token", nullable=True),
        column("activation_layer", pa.int64(), "K; the vector is the output of this block"),
    ]


def _vector(d_model: int) -> pa.Field:
    return column("activation_vector", vector_type(d_model), "raw activation")


_OURS = [
    column("token", pa.string(), "the token that was read", nullable=True),
    column("tail", pa.list_(pa.string()), "the last tokens of the same message, it included", nullable=True),
    column("meta", pa.string(), "columns of the corpus, as JSON", nullable=True),
    column("content", pa.string(), "hash of the document's text", nullable=True),
    column("likeness", pa.binary(), "MinHash of the document's text", nullable=True),
]

EXPLAINED = pa.schema(
    [
        column("row", pa.int32(), "index of the row in the unit's base table"),
        column("api_explanation", pa.string(), "paragraphs between blank lines", nullable=True),
        column("reason", pa.string(), "why there is none", nullable=True),
    ]
)
"""What a provider said of the rows of one unit that are to be explained."""

PROMPT = pa.list_(pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())]))


def published(split: str, d_model: int) -> pa.Schema:
    """The columns of a split, as they are published: `prompt`, `response` (av_sft), vector, provenance."""
    text, chat = pa.string(), PROMPT
    head = {
        "av_sft": [column("prompt", chat, "with <INJECT>"), column("response", text, "with its tags")],
        "ar_sft": [column("prompt", text, "the explanation in the reconstructor's template")],
        "rl": [column("prompt", chat, "with <INJECT>")],
        "held_out": [
            column("prompt", chat, "with <INJECT>"),
            column("response", text, "with its tags", nullable=True),
        ],
    }[split]
    said = column("api_explanation", text, "paragraphs between blank lines", nullable=split == "held_out")
    kept = [said] if split != "rl" else []
    meta = column("meta", text, "columns of the corpus, as JSON", nullable=True)
    return pa.schema([*head, _vector(d_model), *_provenance(), *kept, meta])
