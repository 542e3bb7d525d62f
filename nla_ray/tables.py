"""The tables that nla_ray writes: Arrow schemas with a comment per column, and how rows become a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

REAL = "real"
"""The value of `control` in the rows of a position's own vector."""

CONTROLS = ("shuffled", "random", "mean", "none")
"""The other values of `control`, in the order in which they are reported."""

OUTCOMES = ("ok", "unclosed", "length", "empty", "loop", "failed")
"""What became of a row, best first."""


def _column(name: str, kind: pa.DataType, comment: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"comment": comment})


EXPLANATIONS = pa.schema(
    [
        _column("run_id", pa.string(), "run that wrote the row: hash of config, corpus and models"),
        _column("unit_id", pa.string(), "piece of the corpus that was committed as a whole"),
        _column("row_id", pa.string(), "hash of document, position and control; with sample it is the key"),
        _column("doc_id", pa.string(), "document: the corpus's own id, else a hash of its content"),
        _column("position", pa.int32(), "token index; null if not known or nothing was read", nullable=True),
        _column("token_id", pa.int32(), "token at the position", nullable=True),
        _column("token", pa.string(), "text of that token alone", nullable=True),
        _column("role", pa.string(), "role of the chat message that the token is in", nullable=True),
        _column("doc_tokens", pa.int32(), "tokens of the document after truncation", nullable=True),
        _column("layer", pa.int16(), "K: the vector is the output of block K of the target"),
        _column("control", pa.string(), "real, or what was injected instead: shuffled, random, mean, none"),
        _column("control_source", pa.string(), "shuffled only: row_id of the vector's owner", nullable=True),
        _column("sample", pa.int16(), "0, 1, ... of the answers to one vector"),
        _column("seed", pa.int64(), "seed of positions, controls and sampling"),
        _column("outcome", pa.string(), "ok, unclosed, length, empty, loop, failed"),
        _column("reason", pa.string(), "why, where the outcome is not ok", nullable=True),
        _column("flags", pa.list_(pa.string()),
                "early_position, special_token, template_token, sink_norm, cjk"),
        _column("explanation", pa.string(), "the answer between its tags, if any", nullable=True),
        _column("explanation_norm", pa.string(), "for matching: NFKC, casefolded", nullable=True),
        _column("raw_text", pa.string(), "the whole answer as generated", nullable=True),
        _column("finish_reason", pa.string(), "stop, length, failed"),
        _column("closed", pa.bool_(), "whether the closing tag was written"),
        _column("n_tokens", pa.int32(), "tokens generated"),
        _column("norm", pa.float32(), "L2 norm of the position's own raw vector", nullable=True),
        _column("cos", pa.float32(), "cosine of own vector and reconstruction", nullable=True),
        _column("mse_nrm", pa.float32(), "2 (1 - cos): both vectors at norm sqrt(d)", nullable=True),
        _column("fve_nrm", pa.float32(), "1 - mse_nrm / Var(v_nrm) of the run's baseline", nullable=True),
        _column("target", pa.string(), "target model: reference and weights digest", nullable=True),
        _column("av", pa.string(), "verbalizer: reference and weights digest"),
        _column("ar", pa.string(), "reconstructor: reference and weights digest", nullable=True),
        _column("meta", pa.string(), "corpus columns that were carried along, as JSON", nullable=True),
    ],
    metadata={"table": "explanations", "comment": "one row per position, control and sample"},
)  # fmt: skip


def table_of(rows: Iterable[Mapping[str, object]], schema: pa.Schema) -> pa.Table:
    """Rows as a table of exactly this schema.

    Raises ValueError on a missing or unknown column or a forbidden null: schemas are never widened.
    """
    rows = list(rows)
    names = set(schema.names)
    for row in rows:
        if row.keys() != names:
            raise ValueError(f"columns differ from the schema by {sorted(names.symmetric_difference(row))}")
    table = pa.Table.from_pylist(rows, schema=schema)
    for field in schema:
        if not field.nullable and table[field.name].null_count:
            raise ValueError(f"column {field.name} holds nulls, which its schema does not allow")
    return table


def ddl(schema: pa.Schema) -> str:
    """The schema as a commented `CREATE TABLE` in DuckDB's dialect."""
    meta = _texts(schema.metadata)
    last = schema.names[-1]
    lines = [f"-- {meta['comment']}", f"CREATE TABLE {meta['table']} ("]
    for field in schema:
        kind = _sql_type(field.type) + ("" if field.nullable else " NOT NULL")
        comma = "" if field.name == last else ","
        lines.append(f"    {field.name} {kind}{comma}  -- {_texts(field.metadata)['comment']}")
    return "\n".join([*lines, ");", ""])


def _texts(metadata: Mapping[bytes, bytes]) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in metadata.items()}


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return _sql_type(kind.value_type) + "[]"
    names = {"string": "VARCHAR", "int16": "SMALLINT", "int32": "INTEGER", "int64": "BIGINT",
             "float": "FLOAT", "bool": "BOOLEAN"}  # fmt: skip
    return names[str(kind)]
