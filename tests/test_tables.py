"""Rows become a table of exactly the declared schema, or nothing."""

from __future__ import annotations

import pyarrow as pa
import pytest

from nla_ray.tables import EXPLANATIONS, table_of

SCHEMA = pa.schema([pa.field("key", pa.string(), nullable=False), pa.field("value", pa.float32())])


def test_rows_become_a_table() -> None:
    table = table_of([{"key": "a", "value": 1.0}, {"value": None, "key": "b"}], SCHEMA)
    assert table.schema == SCHEMA
    assert table.to_pylist() == [{"key": "a", "value": 1.0}, {"key": "b", "value": None}]


def test_no_rows_are_a_table_too() -> None:
    assert table_of([], EXPLANATIONS).schema == EXPLANATIONS


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"key": "a"}, "value"),
        ({"key": "a", "value": 1.0, "more": 2}, "more"),
        ({"key": None, "value": 1.0}, "column key holds nulls"),
    ],
)
def test_rows_of_another_shape_are_refused(row: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        table_of([row], SCHEMA)


def test_every_column_has_a_comment() -> None:
    assert all(field.metadata and field.metadata[b"comment"] for field in EXPLANATIONS)
