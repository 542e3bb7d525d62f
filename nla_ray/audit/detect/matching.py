"""Which rows satisfy which detections: one scan over all text, then single patterns on what it lets pass."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping

import duckdb

from nla_ray.audit.detect.anchors import END, Vocabulary
from nla_ray.audit.detect.patterns import MACROS, Filter, literal, marked, may_hold, satisfies, visible
from nla_ray.config.detectors.model import Detection

SAMPLED_ROWS = 2048
"""Rows whose words decide which anchors are rare."""
_WORD = re.compile("[a-z0-9_]+")


def match(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    detections: Mapping[str, Detection],
    vocabulary: Vocabulary | None = None,
) -> None:
    """Find the rows of `source` that satisfy detections.

    `source` is a relation with the columns `said` (as written) and `norm` (normalised), and any others. Makes
    the tables `audit_passed` (rows that had to be looked at) and `audit_matches`: `row` (its rowid), the
    `detector`, and the first match: its text `quote` and how many characters stand `before` it, in `norm`
    where `folded`, else in `said`. Without a vocabulary it is taken from the first rows.
    """
    connection.execute(MACROS)
    name_numbers(connection, detections)
    filtered = Filter.of(detections, vocabulary or vocabulary_of(connection, source))
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE audit_passed AS
        SELECT *, {filtered.found("norm")} AS words, {filtered.other("norm")} AS other
        FROM {source}
        WHERE {filtered.passes("norm")}
    """)
    _nominate(connection, filtered, list(detections))
    candidates = """
        SELECT row, number, said, norm
        FROM audit_nominated JOIN (SELECT rowid AS row, said, norm FROM audit_passed) USING (row)
    """
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE audit_matches AS {located(candidates, detections, 'row')}"
    )


def located(candidates: str, detections: Mapping[str, Detection], key: str) -> str:
    """A SELECT of first matches among rows of `key`, `number`, `said` and `norm` that satisfy a detection."""
    numbered = dict(enumerate(detections.values()))
    texts, seen_of = by_number(numbered, text_of), by_number(numbered, lambda one: visible(one, "affirmed"))
    possible = by_number(numbered, lambda one: may_hold(one, text_of(one)))
    satisfied = by_number(numbered, lambda one: satisfies(one, "seen", "contains(marked, chr(4))"))
    # MATERIALIZED: else DuckDB computes each step anew wherever it is named. What is materialised is also
    # dealt to all threads, where few rows of a table would be one thread's work.
    return f"""
        WITH possible AS MATERIALIZED (
            SELECT {key}, number, {texts}::VARCHAR AS said FROM ({candidates}) WHERE {possible}
        ), unquoted AS MATERIALIZED (
            SELECT *, CASE reads WHEN 'all' THEN said WHEN 'quotations' THEN quotations(said)
            ELSE unquoted(said) END AS part
            FROM possible JOIN audit_names USING (number)
        ), claimed AS MATERIALIZED (
            SELECT * REPLACE (if(reads = 'claims', claims(part), part) AS part) FROM unquoted
        ), affirmed AS MATERIALIZED (
            SELECT *, if(denied, part, affirmed(part)) AS affirmed FROM claimed
        ), looked_at AS MATERIALIZED (
            SELECT {key}, number, detector, said, {seen_of}::VARCHAR AS seen FROM affirmed
        ), marked AS MATERIALIZED (
            SELECT *, {by_number(numbered, lambda one: marked(one, "seen"))}::VARCHAR AS marked FROM looked_at
        )
        SELECT
            {key}, detector, strpos(marked, chr(4)) - 1 AS before,
            substr(said, before + 1, strpos(marked, chr(5)) - before - 2) AS quote,
            {by_number(numbered, lambda one: str(one.case == "fold"))}::BOOLEAN AS folded
        FROM marked
        WHERE {satisfied}
    """


def seen(detection: Detection) -> str:
    """SQL of what a detection looks at in any other text, of `said` and `norm`."""
    return visible(detection, text_of(detection))


def text_of(detection: Detection) -> str:
    """SQL of the text that a detection is written for."""
    return "norm" if detection.case == "fold" else _AS_WRITTEN


# Normalised text has no control characters, which mark places in it; text as it was written may have some.
_AS_WRITTEN = "translate(said, chr(1) || chr(2) || chr(3) || chr(4) || chr(5), '     ')"


def by_number(numbered: Mapping[int, Detection], write: Callable[[Detection], str]) -> str:
    """SQL that is each detection's own, by the column `number`."""
    cases = [f"WHEN {number} THEN {write(one)}" for number, one in numbered.items()]
    return f"CASE number {' '.join(cases) or 'WHEN -1 THEN NULL'} END"


def name_numbers(connection: duckdb.DuckDBPyConnection, detections: Mapping[str, Detection]) -> None:
    """Make `audit_names`: the number, the id (`detector`) of each detection, and what it reads."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE audit_names "
        "(number INTEGER, detector VARCHAR, reads VARCHAR, denied BOOLEAN)"
    )
    rows = [(at, name, one.reads, one.denied) for at, (name, one) in enumerate(detections.items())]
    if rows:
        values = ", ".join(
            f"({at}, {literal(name)}, {literal(reads)}, {denied})" for at, name, reads, denied in rows
        )
        connection.execute(f"INSERT INTO audit_names VALUES {values}")


def _nominate(connection: duckdb.DuckDBPyConnection, filtered: Filter, names: list[str]) -> None:
    """Make `audit_nominated`: rows with the numbers of the detections that they may satisfy."""
    anchors = [filtered.anchors[name] for name in names]
    pairs = [(anchor, number) for number, some in enumerate(anchors) for anchor in sorted(some or ())]
    anywhere = [str(number) for number, some in enumerate(anchors) if some is None]
    longest = max((len(anchor) for anchor, _ in pairs), default=0)
    values = ", ".join(f"({literal(anchor)}, {number})" for anchor, number in pairs) or "('', -1)"
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE audit_nominated AS
        WITH occurring AS MATERIALIZED (
            SELECT rowid AS row, unnest(words) AS word FROM audit_passed
        ), standing_for AS MATERIALIZED (
            SELECT DISTINCT word, number
            FROM (
                SELECT word, unnest(list_transform(
                    range(1, least(length(word), {longest}) + 1), lambda size: left(word, size)
                ) || [word || {literal(END)}]) AS anchor
                FROM (SELECT DISTINCT word FROM occurring)
            )
            JOIN (VALUES {values}) anchors (anchor, number) USING (anchor)
        )
        SELECT DISTINCT row, number FROM occurring JOIN standing_for USING (word)
        UNION ALL
        SELECT rowid AS row, unnest([{", ".join(anywhere)}]::INTEGER[])
        FROM audit_passed
        WHERE other
    """)


def vocabulary_of(connection: duckdb.DuckDBPyConnection, source: str) -> Vocabulary:
    """In how many of the first rows each word is."""
    texts = connection.execute(f"SELECT norm FROM {source} LIMIT {SAMPLED_ROWS}").fetchall()
    return Vocabulary(Counter(word for (text,) in texts for word in set(_WORD.findall(text))))
