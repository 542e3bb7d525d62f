"""Views and macros over Parquet files and rows that are known: SQL and nothing of where they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from nla_ray.contract import contract
from nla_ray.store.parquet import read_files
from nla_ray.tables import COMMITTED_CELLS, COMMITTED_RUNS, SCHEMAS, ddl, sql_type


def add_views(
    connection: duckdb.DuckDBPyConnection,
    names: Mapping[str, Sequence[str]],
    runs: Sequence[Mapping[str, Any]],
    cells: Sequence[Mapping[str, Any]],
) -> None:
    """Views and macros over each table's Parquet files, which DuckDB knows under these names.

    A table without an entry was left out: whoever reads it gets an error.
    """
    for name, schema in SCHEMAS.items():
        connection.execute(_empty(f"committed_{name}", schema))
    _table(connection, COMMITTED_RUNS, runs)
    _table(connection, COMMITTED_CELLS, cells)
    # Made over empty tables: each view would else look into every file.
    for name in ("views.sql", "macros.sql"):
        connection.execute(contract(name).read_text(encoding="utf-8"))
    for name, schema in SCHEMAS.items():
        if (files := names.get(name)) != []:
            found = _left_out(name, schema) if files is None else _rows(schema, files)
            connection.execute(f"DROP TABLE committed_{name}; CREATE VIEW committed_{name} AS {found}")


def _table(
    connection: duckdb.DuckDBPyConnection, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]
) -> None:
    """A table of these rows, by way of JSON: an Arrow array of Python values would import pandas."""
    name, shape = schema.metadata[b"table"].decode(), {field.name: sql_type(field.type) for field in schema}
    connection.execute(ddl(schema))
    connection.execute(
        f"INSERT INTO {name} SELECT unnest(one) FROM "
        f"(SELECT unnest(from_json_strict($rows, '{json.dumps([shape])}')) AS one)",
        {"rows": json.dumps(rows)},
    )


def _empty(name: str, schema: pa.Schema) -> str:
    """SQL of a table with these columns."""
    table = schema.metadata[b"table"].decode()
    return ddl(schema).replace(f"CREATE TABLE {table} (", f"CREATE TABLE {name} (")


def _rows(schema: pa.Schema, files: Sequence[str]) -> str:
    """SQL of the rows of exactly these files and the columns of the schema, null where a file has not one."""
    nulls = ", ".join(f"NULL::{sql_type(field.type)} AS {field.name}" for field in schema)
    columns = ", ".join(schema.names)
    return f"SELECT {columns} FROM (SELECT {nulls} WHERE false UNION ALL BY NAME FROM {read_files(files)})"


def _left_out(table: str, schema: pa.Schema) -> str:
    """SQL of columns each of which raises, for no join may take them for those of an empty table."""
    never = f"error('{table} were left out of this connection')"
    columns = ", ".join(f"{never}::{sql_type(field.type)} AS {field.name}" for field in schema)
    return f"SELECT {columns} WHERE {never}"
