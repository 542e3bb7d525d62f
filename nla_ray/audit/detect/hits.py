"""Hits: explanations that a detector matches, with what they say, beside the rows that were searched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import duckdb
import pyarrow as pa

from nla_ray.audit.detect.matching import located, match, name_numbers
from nla_ray.audit.detect.others import NO_HELPERS, Helpers, find_others
from nla_ray.audit.detect.patterns import chunks, literal
from nla_ray.audit.detect.restated import mark_restated
from nla_ray.audit.detect.scope import scope_sql
from nla_ray.audit.detect.spans import original_span
from nla_ray.config.detectors.model import Detection, Detector, Scope
from nla_ray.config.detectors.packs import Packs

LONGEST_SPAN = 200

_POPULATION = """
CREATE OR REPLACE VIEW population AS
SELECT
    run_id, unit_id, row_id, sample, doc_id, position, token, role, flags, control, fve_nrm,
    explanation, explanation_norm
FROM all_explanations
WHERE outcome <> 'failed' AND explanation_norm IS NOT NULL
"""

_FOUND = """
CREATE OR REPLACE TEMP TABLE audit_found AS
SELECT
    run_id, unit_id, row_id, sample, doc_id, position, token, role, flags, control, fve_nrm, said, norm,
    detector, quote, before, folded, false AS artefact
FROM audit_matches
JOIN (SELECT *, rowid AS row FROM audit_passed) USING (row)
WHERE detector IN (SELECT unnest($ids::VARCHAR[]))
"""

_ARTEFACTS = """
CREATE OR REPLACE TABLE artefacts AS
SELECT run_id, detector AS artefact, row_id, sample, doc_id, position, control, quote AS span
FROM audit_matches
JOIN (SELECT *, rowid AS row FROM audit_passed) USING (row)
WHERE detector IN (SELECT unnest($ids::VARCHAR[]))
"""

# `lower` changes no length. Up to a place where it is all that normalisation did, places are the same in both
# texts; and what stands in both equally often, first at the match, stands first at the match in both.
_SPANS = """
CREATE OR REPLACE TEMP TABLE audit_spans AS
SELECT
    rowid AS found,
    CASE
        WHEN NOT folded THEN before
        WHEN lower(left(said, before + length(quote))) = left(norm, before + length(quote)) THEN before
        WHEN strpos(norm, quote) = before + 1
            AND len(string_split(norm, quote)) = len(string_split(lower(said), quote))
            THEN strpos(lower(said), quote) - 1
    END AS span_start,
    if(span_start IS NULL, quote, substr(said, span_start + 1, length(quote))) AS span
FROM audit_found
"""

_ELSEWHERE = """
SELECT found, said, before, length(quote)
FROM audit_spans
JOIN (SELECT rowid AS found, * FROM audit_found) USING (found)
WHERE span_start IS NULL
"""

_MOVED = pa.schema([("found", pa.int64()), ("span", pa.string()), ("span_start", pa.int64())])

_HITS = f"""
CREATE OR REPLACE TEMP TABLE hits AS
SELECT
    run_id, detector, row_id, sample, doc_id, position, token, role, control, fve_nrm,
    left(span, {LONGEST_SPAN}) AS span, span_start::INTEGER AS span_start, artefact, restated
FROM (SELECT rowid AS found, * FROM audit_found)
JOIN audit_spans USING (found)
LEFT JOIN audit_restated USING (run_id, unit_id, doc_id, position, detector)
"""

_COMMENTS = {
    "span": "what matches, as written in explanation, at most 200 characters; where span_start is null as "
            "in explanation_norm, for its place in explanation is not certain",
    "span_start": "characters of explanation before it",
    "artefact": "the detector matches only inside of known artefacts",
    "restated": "the detector matches the prompt up to and with the position; null: not known",
}  # fmt: skip


def find_hits(
    connection: duckdb.DuckDBPyConnection,
    packs: Packs,
    run_ids: Sequence[str] | None = None,
    helpers: Helpers = NO_HELPERS,
) -> None:
    """Make the view `population`, the table `hits` and the table `artefacts` on a connection of `connect`.

    population: the rows that were searched, all controls: answers that are not failed and have text. hits:
    one row per detector and explanation that it matches within its scope, whatever the fidelity.
    artefacts: one row per known artefact and explanation. `run_ids`: runs to search, None for all. `helpers`:
    what detectors of other kinds than patterns need. Raises ConfigError for a detector whose helper is
    missing, InputError for SQL that cannot be answered.
    """
    _make_population(connection, run_ids)
    detectors = {one.id: one for one in packs.detectors}
    ours = {name: one.detection for name, one in detectors.items() if one.detection is not None}
    artefacts = {one.id: one.detection for one in packs.artefacts}
    match(connection, "audit_source", ours | artefacts)
    connection.execute(_FOUND, {"ids": list(ours)})
    connection.execute(_ARTEFACTS, {"ids": list(artefacts)})
    connection.execute("DROP TABLE audit_passed")
    find_others(connection, packs.detectors, helpers)
    connection.execute(f"DELETE FROM audit_found WHERE NOT ({_in_scope(packs.detectors)})")
    _mark_artefacts(connection, ours, artefacts)
    _find_spans(connection)
    mark_restated(connection, ours)
    connection.execute(_HITS)
    for column, comment in _COMMENTS.items():
        connection.execute(f"COMMENT ON COLUMN hits.{column} IS {literal(comment)}")


def _make_population(connection: duckdb.DuckDBPyConnection, run_ids: Sequence[str] | None) -> None:
    chosen = "" if run_ids is None else f" AND run_id IN ({', '.join(map(literal, run_ids)) or 'NULL'})"
    connection.execute(_POPULATION + chosen)
    connection.execute("""
        CREATE OR REPLACE TEMP VIEW audit_source AS
        SELECT * EXCLUDE (explanation, explanation_norm), explanation AS said, explanation_norm AS norm
        FROM population
    """)


def _in_scope(detectors: Iterable[Detector]) -> str:
    """SQL that says whether a row is in the scope of its `detector`."""
    cases = [
        f"WHEN {literal(one.id)} THEN {scope_sql(one.scope)}" for one in detectors if one.scope != Scope()
    ]
    others = scope_sql(Scope())
    return f"CASE detector {' '.join(cases)} ELSE {others} END" if cases else others


def _find_spans(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `audit_spans`: where in the explanation, as it was written, each match is."""
    connection.execute(_SPANS)
    moved = []
    for found, said, start, length in connection.execute(_ELSEWHERE).fetchall():
        place = original_span(said, start, length)
        if place is not None:
            moved.append((found, said[place[0] : place[1]], place[0]))
    columns = [list(column) for column in zip(*moved, strict=True)] or [[]] * len(_MOVED)
    connection.register("audit_moved", pa.table(columns, schema=_MOVED))
    connection.execute("""
        UPDATE audit_spans SET span = moved.span, span_start = moved.span_start
        FROM audit_moved AS moved
        WHERE audit_spans.found = moved.found
    """)
    connection.unregister("audit_moved")


def _mark_artefacts(
    connection: duckdb.DuckDBPyConnection,
    detections: Mapping[str, Detection],
    artefacts: Mapping[str, Detection],
) -> None:
    """Mark what is found only inside of artefacts; of the others, the first match outside of them is kept."""
    if connection.execute("SELECT count(*) FROM artefacts").fetchall() == [(0,)]:
        return
    said, norm = "said", "norm"
    for chunk in chunks([one for detection in artefacts.values() for one in detection.quotable()]):
        said, norm = f"blank({said}, {literal(f'(?i:{chunk})')})", f"blank({norm}, {literal(chunk)})"
    name_numbers(connection, detections)
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE audit_doubtful AS
        SELECT found.rowid AS found, number
        FROM audit_found AS found
        SEMI JOIN artefacts USING (run_id, row_id, sample)
        JOIN audit_names USING (detector)
    """)
    candidates = f"""
        SELECT found, number, {said} AS said, {norm} AS norm
        FROM (SELECT rowid AS found, said, norm FROM audit_found) JOIN audit_doubtful USING (found)
    """
    connection.execute(f"""
        UPDATE audit_found SET artefact = true WHERE rowid IN (SELECT found FROM audit_doubtful);
        UPDATE audit_found SET artefact = false, quote = clean.quote, before = clean.before
        FROM ({located(candidates, detections, "found")}) AS clean
        WHERE audit_found.rowid = clean.found
    """)
