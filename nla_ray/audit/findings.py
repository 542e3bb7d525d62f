"""Findings: documents with hits, by which rules they are findings or none, with their evidence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from nla_ray.audit.inference.expected import Expected
from nla_ray.audit.inference.statistics import any_of_n
from nla_ray.audit.report.context import Read, contexts
from nla_ray.audit.report.evidence import Context, Evidence, Finding, Part, State
from nla_ray.audit.tally import Tally, needed
from nla_ray.audit.verdicts.measured import ABOVE, BENIGN, NOT, SHUFFLED
from nla_ray.audit.verdicts.rates import Rated
from nla_ray.config.detectors.model import Detector
from nla_ray.ids import digest
from nla_ray.pages.data import rounded
from nla_ray.tables import HITS, REAL

FINDING, INFORMATIONAL, EXPERIMENTAL = "finding", "informational", "experimental"
"""Detectors of the level informational describe; as in Sigma rules, nothing of theirs is a finding. Nor is
anything of an experimental detector: too few of its hits are known to be true."""
MOST_ROWS = 8
"""Rows of evidence that a finding keeps, the strongest."""

Row = dict[str, Any]


def finding_rows(
    connection: duckdb.DuckDBPyConnection,
    tally: Tally,
    detectors: Sequence[Detector],
    rated: Sequence[Rated],
    audit_id: str,
    *,
    reportable: bool,
) -> Iterator[Row]:
    """Rows of the table `findings` for one run, by detector and document."""
    by_id = {detector.id: detector for detector in detectors}
    judged = {one.detector: one for one in rated}
    chances = {detector.id: _Chance(tally, detector) for detector in detectors}
    found = connection.execute(_FOUND, {"run": tally.run_id, "most": MOST_ROWS})
    names = [column[0] for column in found.description]
    for values in found.fetchall():
        row = dict(zip(names, values, strict=True))
        detector = by_id[row["detector"]]
        status = _status(row, detector, judged[detector.id], reportable)
        parts = _parts(row, chances[detector.id])
        yield {
            "run_id": audit_id,
            "unit_id": tally.run_id,
            "audited_run": tally.run_id,
            "finding_id": digest("finding", tally.run_id, detector.id, row["doc_id"])[:32],
            "detector": detector.id,
            "level": detector.level,
            "tier": detector.tier,
            "status": status,
            **{name: row[name] for name in _KEPT},
            **parts,
        }


def hit_table(
    connection: duckdb.DuckDBPyConnection, run_id: str, audit_id: str, rows: Iterable[Row]
) -> pa.Table:
    """The table `hits` of one run: what matched in which explanation, and which steps it passes.

    `rows` are those of `finding_rows` of the same run.
    """
    told = [(row["detector"], row["doc_id"], row["status"]) for row in rows]
    columns = [pa.array(column, pa.string()) for column in zip(*told, strict=True)] or [[]] * 3
    connection.register("told", pa.table(columns, names=["detector", "doc_id", "document"]))
    found = connection.sql(_HITS, params={"run": run_id, "audit": audit_id}).to_arrow_table()
    connection.unregister("told")
    return found.cast(HITS)


_KEPT = ("doc_id", "restated", "rows_hit", "rows_read", "positions_hit", "positions_read", "samples_hit",
         "samples_read", "evidence")  # fmt: skip


def _status(row: Row, detector: Detector, rated: Rated, reportable: bool) -> str:
    """The first rule that a document fails, in the order of the rules; else what its rates allow."""
    if row["strength"] < needed(detector):
        steps = (
            ("any_reach", "below recurrence"),
            ("clean_reach", "artefact"),
            ("faithful_reach", "low fidelity"),
        )
        return next((name for reach, name in steps if row[reach] < row["k"]), "restated")
    if not reportable:
        return "not reportable"
    if rated.verdict != ABOVE:
        return rated.verdict
    if row["strength"] < rated.strength:
        return NOT
    if detector.status == EXPERIMENTAL:
        return EXPERIMENTAL
    return INFORMATIONAL if detector.level == INFORMATIONAL else FINDING


class _Chance:
    """How likely some control's text reaches a strength in a document of some size."""

    def __init__(self, tally: Tally, detector: Detector) -> None:
        self._draws = []
        self._cache: dict[tuple[int, int], float] = {}
        self.by_chance: float | None = None
        within = tally.within(detector.id)
        for name, population in within.items():
            if name in (REAL, BENIGN) or not len(population):
                continue
            hits = tally.hits_of(detector.id, name)
            expected = Expected(population, hits, detector, within[REAL])
            self._draws.append(expected.draw(expected.upper()))
            if name == SHUFFLED:
                self.by_chance = float(hits.places.sum() / population.places.sum())

    def __call__(self, places: int, strength: int) -> float | None:
        key = (places, strength)
        if key not in self._cache and self._draws:
            self._cache[key] = max(any_of_n(draw, places, strength) for draw in self._draws)
        return self._cache.get(key)


def _parts(row: Row, chance: _Chance) -> Row:
    recurrence = row["evident"] / row["positions_read"]
    unlikely = chance(row["positions_read"], row["strength"])
    faithful = 1.0 if row["fidelity"] is None else min(max(row["fidelity"], 0.0), 1.0)
    return {
        "recurrence": recurrence,
        "fidelity": row["fidelity"],
        "lift": None if chance.by_chance is None else recurrence - chance.by_chance,
        "chance": unlikely,
        "score": rounded(recurrence * faithful * (1 - (unlikely or 0.0))),
    }


MEANING = {
    "recurrence": "share of the read positions that count as evidence",
    "fidelity": "mean fve_nrm of the rows that are evidence",
    "lift": "recurrence less the share of shuffled positions that mention it",
    "chance": "chance that a control's text reaches this recurrence here, at the upper end of its rate",
}


def shown_findings(
    connection: duckdb.DuckDBPyConnection, rows: Sequence[Row], states: Mapping[tuple[str, str], State]
) -> Iterator[Finding]:
    """These rows as the report shows them: with whole explanations, and the document's text around hits."""
    kept = [json.loads(row["evidence"]) for row in rows]
    _choose(connection, rows, kept)
    said = {tuple(key): text for *key, text in connection.execute(_SAID).fetchall()}
    documents = {tuple(key): found for *key, found in connection.execute(_DOCUMENTS).fetchall()}
    read: dict[tuple[str, str, str], dict[int, Read]] = {}
    for run, doc, detector, position, fve, hit in connection.execute(_READ).fetchall():
        read.setdefault((run, doc, detector), {})[position] = Read(fve, hit)
    for row, evidence in zip(rows, kept, strict=True):
        run, doc = row["audited_run"], row["doc_id"]
        document = documents.get((run, doc), {})
        yield Finding(
            **{name: row[name] for name in _SHOWN},
            run_id=run,
            source=document.get("source"),
            state=states.get((row["detector"], doc)),
            parts=tuple(Part(name=name, value=row[name], meaning=text) for name, text in MEANING.items()),
            evidence=tuple(
                Evidence(**one, explanation=said.get((run, one["row_id"], one["sample"])) or "")
                for one in evidence
            ),
            contexts=_contexts(document, read.get((run, doc, row["detector"]), {})),
        )


def _choose(
    connection: duckdb.DuckDBPyConnection, rows: Sequence[Row], kept: Sequence[Sequence[Row]]
) -> None:
    """Tables of what is shown: documents with their detectors, and rows of evidence."""
    documents = {
        "run_id": [row["audited_run"] for row in rows],
        "doc_id": [row["doc_id"] for row in rows],
        "detector": [row["detector"] for row in rows],
    }
    evidence = [
        (row["audited_run"], one["row_id"], one["sample"])
        for row, some in zip(rows, kept, strict=True)
        for one in some
    ]
    runs, row_ids, samples = zip(*evidence, strict=True) if evidence else ((), (), ())
    texts = {name: pa.array(values, pa.string()) for name, values in documents.items()}
    connection.register("chosen_documents", pa.table(texts))
    connection.register(
        "chosen_rows",
        pa.table({"run_id": pa.array(runs, pa.string()), "row_id": pa.array(row_ids, pa.string()),
                  "sample": pa.array(samples, pa.int16())}),
    )  # fmt: skip


def _contexts(document: Mapping[str, Any], read: Mapping[int, Read]) -> tuple[Context, ...]:
    text, ends = document.get("text"), document.get("token_ends")
    return () if text is None or ends is None else contexts(text, ends, read)


_SHOWN = ("finding_id", "detector", "level", "tier", "doc_id", "status", "restated", "rows_hit", "rows_read",
          "positions_hit", "positions_read", "samples_hit", "samples_read", "score")  # fmt: skip


_FOUND = f"""
WITH marked AS (
    SELECT * FROM audit_marked WHERE run_id = $run AND control = '{REAL}'
), kept AS (
    SELECT
        detector, doc_id, row_id, sample, position, token, role, span, span_start, fve_nrm,
        row_number() OVER (
            PARTITION BY detector, doc_id
            ORDER BY evident DESC, fve_nrm DESC NULLS LAST, position, row_id, sample
        ) AS rank
    FROM marked
), quoted AS (
    SELECT detector, doc_id, to_json(list(
        {{row_id: row_id, sample: sample, position: position, token: token, role: role, span: span,
          span_start: span_start, fve_nrm: fve_nrm}} ORDER BY rank
    ))::VARCHAR AS evidence
    FROM kept WHERE rank <= $most GROUP BY ALL
), per_place AS (
    SELECT detector, doc_id, place, count(*) AS n FROM marked GROUP BY ALL
), places AS (
    SELECT detector, doc_id, count(*)::INTEGER AS positions_hit, max(n)::INTEGER AS samples_hit
    FROM per_place GROUP BY ALL
), summed AS (
    SELECT
        detector, doc_id, count(*)::INTEGER AS rows_hit, bool_or(restated) AS restated,
        avg(fve_nrm) FILTER (WHERE evident) AS fidelity
    FROM marked GROUP BY ALL
), read_places AS (
    SELECT scope, doc_id, place, count(*) AS n FROM audit_rows
    WHERE run_id = $run AND control = '{REAL}' GROUP BY ALL
), read AS (
    SELECT
        scope, doc_id, sum(n)::INTEGER AS rows_read, count(*)::INTEGER AS positions_read,
        max(n)::INTEGER AS samples_read
    FROM read_places GROUP BY ALL
)
SELECT
    reached.* EXCLUDE (rows_hit), summed.rows_hit, positions_hit, samples_hit, restated, fidelity,
    rows_read, positions_read, samples_read, evidence
FROM audit_documents AS reached
JOIN summed USING (detector, doc_id)
JOIN places USING (detector, doc_id)
JOIN quoted USING (detector, doc_id)
JOIN audit_detectors AS rules USING (detector)
JOIN read USING (scope, doc_id)
WHERE reached.run_id = $run AND reached.control = '{REAL}'
ORDER BY detector, doc_id
"""

_SAID = """
SELECT DISTINCT run_id, row_id, sample, explanation
FROM explanations SEMI JOIN chosen_rows USING (run_id, row_id, sample)
"""

_DOCUMENTS = """
SELECT run_id, doc_id, any_value({source: source, text: text, token_ends: token_ends})
FROM documents SEMI JOIN chosen_documents USING (run_id, doc_id)
GROUP BY ALL
"""

_READ = f"""
SELECT
    rows.run_id, rows.doc_id, chosen.detector, rows.position, avg(rows.fve_nrm),
    coalesce(bool_or(marked.evident), false)
FROM audit_rows AS rows
JOIN chosen_documents AS chosen USING (run_id, doc_id)
LEFT JOIN audit_marked AS marked
    ON marked.run_id = rows.run_id AND marked.row_id = rows.row_id AND marked.sample = rows.sample
    AND marked.detector = chosen.detector
WHERE rows.scope = 0 AND rows.control = '{REAL}' AND rows.position IS NOT NULL
GROUP BY ALL
ORDER BY ALL
"""

_HITS = f"""
SELECT
    $audit AS run_id, $run AS unit_id, $run AS audited_run, detector, doc_id, row_id, sample, position,
    token, role, control, fve_nrm, span AS quote, span_start AS quote_start, NOT clean AS artefact,
    faithful, restated, audit_marked.evident,
    strength >= if(reached.counted = 'samples', 1, reached.k) AS recurs,
    CASE
        WHEN control <> '{REAL}' THEN NULL
        WHEN NOT clean THEN 'artefact'
        WHEN NOT faithful THEN 'low fidelity'
        WHEN NOT own THEN 'restated'
        ELSE document
    END AS status
FROM audit_marked
JOIN audit_documents AS reached USING (run_id, detector, control, doc_id)
LEFT JOIN told USING (detector, doc_id)
WHERE run_id = $run
ORDER BY detector, doc_id, control, position, row_id, sample
"""
