"""Intervals of SQL as text: neither JSON nor Parquet has a type for them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def interval_text(value: pa.MonthDayNano) -> str:
    """An interval by ISO 8601, such as P1M2DT3.5S."""
    return f"P{value.months}M{value.days}DT{Decimal(value.nanoseconds).scaleb(-9).normalize():f}S"


def schema_without_intervals(schema: pa.Schema) -> pa.Schema:
    """The schema of what `without_intervals` makes."""
    import pyarrow as pa

    for at, field in enumerate(schema):
        if pa.types.is_interval(field.type):
            schema = schema.set(at, pa.field(field.name, pa.string()))
    return schema


def without_intervals(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows with text in the place of intervals."""
    import pyarrow as pa

    for at, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
        if pa.types.is_interval(column.type):
            texts = [None if value is None else interval_text(value) for value in column.to_pylist()]
            batch = batch.set_column(at, name, pa.array(texts, pa.string()))
    return batch
