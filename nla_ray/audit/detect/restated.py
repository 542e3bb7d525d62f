"""Restatement: whether the prompt itself already says what a detector finds in its explanations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import duckdb
import numpy as np
import pyarrow as pa

from nla_ray.audit.detect.matching import by_number, name_numbers, seen
from nla_ray.audit.detect.patterns import may_hold, satisfies
from nla_ray.config.detectors.model import Detection
from nla_ray.tables import GENERATED
from nla_ray.text import normalise

DOCUMENTS_AT_ONCE = 10_000
_TEXTS = pa.schema([("number_of", pa.int64()), ("said", pa.string()), ("norm", pa.string())])
_ENDS = pa.schema(
    [("number_of", pa.int64()), ("position", pa.int32()), ("said_end", pa.int64()), ("norm_end", pa.int64())]
)


def mark_restated(connection: duckdb.DuckDBPyConnection, detections: Mapping[str, Detection]) -> None:
    """Make `audit_restated`: run_id, unit_id, doc_id, position, detector, restated.

    Reads `audit_found` and the views `documents` and `runs`; where there is no text of the document there is
    no row. A detector is held against the prompt's part (see `prompt`) of the text up to and with the token
    at the position, normalised. Where windows of the text were stored, null stands for a detector that
    matches none of them: the rest of the prompt is not known.
    """
    name_numbers(connection, detections)
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE audit_read AS
        SELECT run_id, unit_id, doc_id, row_number() OVER () AS number_of
        FROM (SELECT DISTINCT run_id, unit_id, doc_id FROM audit_found WHERE position IS NOT NULL)
        SEMI JOIN documents USING (run_id, unit_id, doc_id);
        CREATE OR REPLACE TEMP TABLE audit_asked AS
        SELECT DISTINCT number_of, position, number
        FROM audit_found JOIN audit_names USING (detector) JOIN audit_read USING (run_id, unit_id, doc_id)
        WHERE position IS NOT NULL;
        CREATE OR REPLACE TEMP TABLE audit_answers
        (number_of BIGINT, position INTEGER, number INTEGER, restated BOOLEAN)
    """)
    (last,) = connection.execute("SELECT count(*) FROM audit_read").fetchall()[0]
    for first in range(1, last + 1, DOCUMENTS_AT_ONCE):
        _answer(connection, detections, first, first + DOCUMENTS_AT_ONCE - 1)
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE audit_restated AS
        SELECT
            run_id, unit_id, doc_id, position, detector,
            CASE WHEN restated OR run_id NOT IN (
                SELECT run_id FROM runs WHERE json_extract_string(facts, '$.config.store_text') = 'window'
            ) THEN restated END AS restated
        FROM audit_answers JOIN audit_read USING (number_of) JOIN audit_names USING (number)
    """)


def _answer(
    connection: duckdb.DuckDBPyConnection, detections: Mapping[str, Detection], first: int, last: int
) -> None:
    found = connection.execute(
        """
        SELECT
            number_of, any_value(text), any_value(token_ends), any_value(roles), any_value(response_start),
            list_sort(list_distinct(list(position)))
        FROM documents
        JOIN audit_read USING (run_id, unit_id, doc_id)
        JOIN audit_asked USING (number_of)
        WHERE number_of BETWEEN $first AND $last AND text IS NOT NULL AND token_ends IS NOT NULL
        GROUP BY number_of
        """,
        {"first": first, "last": last},
    ).fetchall()
    texts, ends = [], []
    for number_of, text, token_ends, roles, start, positions in found:
        known = [position for position in positions if 0 <= position < len(token_ends)]
        said, every_end = prompt(text, token_ends, roles, start)
        said_ends = [every_end[position] for position in known]
        norm, norm_ends = normalised(said, said_ends)
        texts.append((number_of, said, norm))
        ends += [(number_of, *one) for one in zip(known, said_ends, norm_ends, strict=True)]
    numbered = dict(enumerate(detections.values()))
    connection.register("audit_texts", _table(texts, _TEXTS))
    connection.register("audit_ends", _table(ends, _ENDS))
    satisfied = by_number(numbered, lambda one: satisfies(one, "seen", may_hold(one, "seen")))
    connection.execute(f"""
        INSERT INTO audit_answers
        WITH somewhere AS MATERIALIZED (
            SELECT number_of, number, {by_number(numbered, lambda one: may_hold(one, "seen"))} AS anywhere
            FROM (
                SELECT number_of, number, {by_number(numbered, seen)} AS seen
                FROM (SELECT DISTINCT number_of, number FROM audit_asked)
                JOIN audit_texts USING (number_of)
            )
        ), prefixes AS MATERIALIZED (
            SELECT number_of, position, number, {by_number(numbered, seen)} AS seen
            FROM (
                SELECT number_of, position, number, left(said, said_end) AS said, left(norm, norm_end) AS norm
                FROM audit_asked
                JOIN audit_ends USING (number_of, position)
                JOIN audit_texts USING (number_of)
                JOIN somewhere USING (number_of, number)
                WHERE anywhere
            )
        )
        SELECT number_of, position, number, {satisfied} AS restated
        FROM prefixes
        UNION ALL
        SELECT number_of, position, number, false
        FROM audit_asked
        JOIN audit_ends USING (number_of, position)
        JOIN somewhere USING (number_of, number)
        WHERE NOT anywhere
    """)
    connection.unregister("audit_texts")
    connection.unregister("audit_ends")


def prompt(
    text: str, ends: Sequence[int], roles: Sequence[str | None] | None, start: int | None
) -> tuple[str, list[int]]:
    """A document without the model's own answers, and where in it the text up to each token ends.

    An answer is what has a label of the target's own writing, where labels are known; of plain text, what
    begins at token `start`.
    """
    if roles is not None and any(roles):
        answers = np.array([role in GENERATED for role in roles], bool)
    else:
        answers = np.arange(len(ends)) >= (len(ends) if start is None else start)
    if not answers.any():
        return text, list(ends)
    starts = [0, *ends[:-1]]
    cuts = [0, *(np.flatnonzero(np.diff(answers)) + 1).tolist(), len(ends)]
    pieces = [text[starts[at] : ends[end - 1]] for at, end in pairwise(cuts) if not answers[at]]
    return "".join(pieces), np.cumsum(np.where(answers, 0, np.subtract(ends, starts))).tolist()


def normalised(text: str, ends: Sequence[int]) -> tuple[str, list[int]]:
    """A text normalised, and where its parts that end at `ends` (ascending) end in it."""
    starts = [0, *ends]
    parts = [normalise(text[start:end]) for start, end in zip(starts, [*ends, len(text)], strict=True)]
    return "".join(parts), list(accumulate(map(len, parts[:-1])))


def _table(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
