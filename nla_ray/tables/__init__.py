"""The tables that nla_ray writes: Arrow schemas with a comment per column, and how rows become a table."""

from nla_ray.tables.documents import ACTIVATIONS, DOCUMENTS
from nla_ray.tables.explanations import (
    CONTROLS,
    DECODED,
    EXPLANATIONS,
    GENERATED,
    IMPORTED,
    OUTCOMES,
    REAL,
    TEMPLATE,
)
from nla_ray.tables.findings import FINDINGS, HITS, RATES
from nla_ray.tables.reviews import REVIEWS
from nla_ray.tables.runs import COMMITTED_CELLS, COMMITTED_RUNS, FILES, INDEX, LABELS, QUARANTINE
from nla_ray.tables.schema import column, ddl, sql_type, table_of

SCHEMAS = {
    schema.metadata[b"table"].decode(): schema
    for schema in (ACTIVATIONS, DOCUMENTS, EXPLANATIONS, FINDINGS, HITS, QUARANTINE, RATES, REVIEWS)
}
"""Schemas that a table of this name must have exactly."""

__all__ = [
    "ACTIVATIONS",
    "COMMITTED_CELLS",
    "COMMITTED_RUNS",
    "CONTROLS",
    "DECODED",
    "DOCUMENTS",
    "EXPLANATIONS",
    "FILES",
    "FINDINGS",
    "GENERATED",
    "HITS",
    "IMPORTED",
    "INDEX",
    "LABELS",
    "OUTCOMES",
    "QUARANTINE",
    "RATES",
    "REAL",
    "REVIEWS",
    "SCHEMAS",
    "TEMPLATE",
    "column",
    "ddl",
    "sql_type",
    "table_of",
]
