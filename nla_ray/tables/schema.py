"""How a schema is written, shown as SQL and held against rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa


def column(name: str, kind: pa.DataType, comment: str, *, nullable: bool = False) -> pa.Field:
    """A column of a schema with its comment."""
    return pa.field(name, kind, nullable=nullable, metadata={"comment": comment})


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
        kind = sql_type(field.type) + ("" if field.nullable else " NOT NULL")
        comma = "" if field.name == last else ","
        lines.append(f"    {field.name} {kind}{comma}  -- {_texts(field.metadata)['comment']}")
    return "\n".join([*lines, ");", ""])


def _texts(metadata: Mapping[bytes, bytes]) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in metadata.items()}


def sql_type(kind: pa.DataType) -> str:
    """The type of a column in DuckDB's dialect."""
    if pa.types.is_list(kind):
        return sql_type(kind.value_type) + "[]"
    names = {"string": "VARCHAR", "int16": "SMALLINT", "int32": "INTEGER", "int64": "BIGINT",
             "float": "FLOAT", "double": "DOUBLE", "bool": "BOOLEAN",
             "fixed_size_binary[32]": "BLOB"}  # fmt: skip
    return names[str(kind)]
