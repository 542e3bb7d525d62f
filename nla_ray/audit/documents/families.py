"""What is known of documents: their family, the part of the corpus they are in, what they pair with."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa

from nla_ray.audit.documents.parts import PLACE
from nla_ray.config.audit import Units
from nla_ray.errors import InputError
from nla_ray.ids import digest
from nla_ray.likeness import HASHES, Groups, near_pairs, signature
from nla_ray.tables import TEMPLATE

NEAR = 0.8
"""Share of equal MinHash values from which two texts are near copies."""
LONGEST = 20_000
"""Characters of a text that are compared."""
TEXTS_AT_ONCE = 1_000
UNSAID = ("system", TEMPLATE)
"""Labels of what many documents share without being copies."""


def describe(connection: duckdb.DuckDBPyConnection, units: Units) -> None:
    """Make `audit_about` of the documents in `audit_rows`: run_id, doc_id, family, stratum, pair.

    A family is a number, or null: not known. Raises InputError where a document has nothing in a configured
    column.
    """
    columns = {name: column for name, column in units if column is not None}
    said = "".join(f", min(json_extract_string(meta, ${name})) AS {name}_said" for name in columns)
    family = "dense_rank() OVER (ORDER BY family_said)" if "family" in columns else "NULL::BIGINT"
    stratum = "stratum_said" if "stratum" in columns else f"regexp_replace(source, '{PLACE}', '')"
    pair = "benign_pair_said" if "benign_pair" in columns else "NULL::VARCHAR"
    connection.execute(
        _ABOUT.format(
            said=said,
            family=family,
            stratum=stratum,
            pair=pair,
            joined="JOIN explanations USING (run_id, doc_id)" if said else "",
        ),
        {name: pointer(column) for name, column in columns.items()},
    )
    for name, column in columns.items():
        _require(connection, name, column)
    if "family" not in columns:
        _find_near_copies(connection)


def pointer(column: str) -> str:
    """The JSON pointer (RFC 6901) of a column with dots, whatever characters its names have."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in column.split("."))


def _require(connection: duckdb.DuckDBPyConnection, option: str, column: str) -> None:
    without, n, example = connection.execute(
        f"SELECT count(*) FILTER (coalesce(trim({option}_said), '') = ''), count(*), "
        f"min(doc_id) FILTER (coalesce(trim({option}_said), '') = '') FROM audit_about"
    ).fetchall()[0]
    if without:
        raise InputError(
            f"units.{option}: {without} of {n} documents have no {column!r}, the first is {example!r}; name "
            "a column of corpus.meta that all of them have, or fill it"
        )


_ABOUT = """
CREATE OR REPLACE TABLE audit_about AS
SELECT *, {family} AS family, {stratum} AS stratum, {pair} AS pair
FROM (
    SELECT run_id, doc_id{said}
    FROM (SELECT DISTINCT run_id, doc_id FROM audit_rows) {joined}
    GROUP BY run_id, doc_id
)
LEFT JOIN (SELECT run_id, doc_id, min(source) AS source FROM documents GROUP BY ALL) USING (run_id, doc_id)
"""


def _find_near_copies(connection: duckdb.DuckDBPyConnection) -> None:
    """Fill in families by likeness; equal ids and texts are one in all runs."""
    known: dict[str, bytes] = {}
    signed = []
    texts = connection.execute(_TEXTS)
    while some := texts.fetchmany(TEXTS_AT_ONCE):
        for run, doc, *found in some:
            text = _own(*found)
            if text:
                key = digest(text)
                if key not in known:
                    known[key] = signature(text)
                signed.append((run, doc, known[key]))
    groups = Groups(len(signed))
    if signed:
        signatures = np.frombuffer(b"".join(found for *_, found in signed), "<u4").reshape(-1, HASHES)
        for one, other in near_pairs(signatures, NEAR):
            groups.join(one, other)
    connection.register(
        "audit_alike",
        pa.table({"run_id": pa.array([run for run, *_ in signed], pa.string()),
                  "doc_id": pa.array([doc for _, doc, _ in signed], pa.string()),
                  "family": pa.array(groups.roots(), pa.int64())}),
    )  # fmt: skip
    connection.execute(
        "UPDATE audit_about SET family = alike.family FROM audit_alike AS alike "
        "WHERE audit_about.run_id = alike.run_id AND audit_about.doc_id = alike.doc_id"
    )
    connection.unregister("audit_alike")


_TEXTS = """
SELECT run_id, doc_id, any_value(text), any_value(token_ends), any_value(roles)
FROM documents
SEMI JOIN audit_about USING (run_id, doc_id)
WHERE text IS NOT NULL
GROUP BY ALL
ORDER BY ALL
"""


def _own(text: str, ends: Sequence[int] | None, roles: Sequence[str | None] | None) -> str:
    """A document's text without its system prompt and template, at most `LONGEST` characters."""
    if not roles or not ends or not any(roles):
        return text[:LONGEST]
    starts = [0, *ends[:-1]]
    kept = (
        text[start:end] for start, end, role in zip(starts, ends, roles, strict=False) if role not in UNSAID
    )
    return "".join(kept)[:LONGEST]
