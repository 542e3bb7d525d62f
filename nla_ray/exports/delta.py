"""A Delta log over the Parquet files of one table: one commit that creates the table with all of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from nla_ray.exports.place import Made
from nla_ray.exports.record import Request
from nla_ray.ids import digest
from nla_ray.tables import SCHEMAS

_TYPES = {
    "string": "string",
    "int16": "short",
    "int32": "integer",
    "int64": "long",
    "float": "float",
    "double": "double",
    "bool": "boolean",
}


def log(table: str, files: Sequence[tuple[str, int, int]], request: Request) -> Made:
    """The log of a table whose files have these names, bytes and rows."""
    at = int(request.at().timestamp() * 1000)
    actions = [
        {
            "commitInfo": {
                "timestamp": at,
                "operation": "CREATE TABLE",
                "engineInfo": f"nla_ray {request.nla_ray}",
            }
        },
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": _meta(table, at, request)},
        *({"add": _add(name, size, rows, at)} for name, size, rows in files),
    ]
    lines = "".join(json.dumps(action) + "\n" for action in actions)
    return Made(f"{table}/_delta_log/{0:020}.json", lines.encode())


def _meta(table: str, at: int, request: Request) -> dict[str, Any]:
    schema = SCHEMAS[table]
    fields = [
        {
            "name": field.name,
            "type": _type(field.type),
            "nullable": field.nullable,
            "metadata": {"comment": field.metadata[b"comment"].decode()},
        }
        for field in schema
    ]
    return {
        "id": str(uuid.UUID(digest(table, request.to_json())[:32])),
        "name": table,
        "description": schema.metadata[b"comment"].decode(),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
        "partitionColumns": [],
        "configuration": {},
        "createdTime": at,
    }


def _type(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return {"type": "array", "elementType": _type(kind.value_type), "containsNull": True}
    return _TYPES[str(kind)]


def _add(name: str, size: int, rows: int, at: int) -> dict[str, Any]:
    return {
        "path": name,
        "partitionValues": {},
        "size": size,
        "modificationTime": at,
        "dataChange": True,
        "stats": json.dumps({"numRecords": rows}),
    }
