"""Results of one finished scan, as Inspect Scout keeps them: a row per answer, found by its transcript."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow.parquet as pq

from nla_ray.exports.place import Made
from nla_ray.exports.record import Request
from nla_ray.exports.selection import Selection
from nla_ray.ids import digest
from nla_ray.store.parts import groups, parts

SCANNER = "nla_ray"
LEFT_OUT = {"controls": "control <> 'real'"}
_ONE_FILE = 1 << 40

_ANSWERS = """
SELECT coalesce(
        CASE WHEN json_valid(meta) THEN coalesce(meta->>'$.transcript_id', meta->>'$.uuid') END, doc_id
    ) AS transcript_id, *
FROM picked
WHERE control = 'real'
"""
"""Scout's id of a sample of an Inspect log is its uuid; a document of another kind is its own transcript."""

_ROWS = f"""
SELECT transcript_id, $scan AS scan_id, '{SCANNER}' AS scanner_key, '{SCANNER}' AS scanner_name,
    0 AS scanner_version, '{{}}' AS scanner_params, $at AS timestamp,
    'transcript' AS input_type, to_json([transcript_id])::VARCHAR AS input_ids,
    json_object('transcript_id', transcript_id, 'messages', [], 'events', [])::VARCHAR AS input,
    NULL::VARCHAR AS input_data,
    concat_ws('.', row_id, sample, left(run_id, 16)) AS uuid, outcome AS label,
    CASE WHEN isfinite(fve_nrm) THEN fve_nrm::VARCHAR END AS value,
    CASE WHEN isfinite(fve_nrm) THEN 'number' ELSE 'null' END AS value_type,
    NULL::VARCHAR AS answer, explanation,
    json_object('run_id', run_id, 'row_id', row_id, 'sample', sample, 'doc_id', doc_id, 'layer', layer,
        'position', position, 'token', token, 'role', role, 'flags', flags, 'cos', cos,
        'target', target, 'av', av, 'ar', ar)::VARCHAR AS metadata,
    '[]' AS message_references, '[]' AS event_references,
    CASE WHEN outcome = 'failed' THEN coalesce(reason, 'failed') END AS scan_error,
    NULL::VARCHAR AS scan_error_traceback, NULL::VARCHAR AS scan_error_type,
    0 AS scan_total_tokens, '{{}}' AS scan_model_usage, '[]' AS scan_events
FROM ({_ANSWERS}) ORDER BY transcript_id, run_id, position NULLS FIRST, row_id, sample
"""

_COUNTS = f"""
SELECT count(DISTINCT transcript_id) AS scans,
    count(*) FILTER (isfinite(fve_nrm) AND fve_nrm <> 0) AS results,
    count(*) FILTER (outcome = 'failed') AS errors
FROM ({_ANSWERS})
"""

_ERRORS = f"""
SELECT transcript_id, '{SCANNER}' AS scanner, coalesce(reason, 'failed') AS error, '' AS traceback,
    false AS refusal
FROM ({_ANSWERS}) WHERE outcome = 'failed' ORDER BY transcript_id, run_id, row_id, sample
"""


def scan_files(selection: Selection) -> Iterator[Made]:
    """The folder of a scan below a folder of scans; `_scan.json`, which makes it one, comes last."""
    scan = digest("scan", selection.request.to_json())[:22]
    folder = f"scan_id={scan}"
    at = selection.request.at().isoformat()
    rows = selection.read(_ROWS, scan=scan, at=at)
    begin = partial(pq.ParquetWriter, schema=rows.schema, compression="zstd")
    for data, number in parts(groups(rows), begin, _ONE_FILE):
        yield Made(f"{folder}/{SCANNER}.parquet", data, "results", number)
    (counts,) = _values(selection, _COUNTS)
    summary = {"complete": True, "scanners": {SCANNER: counts}}
    yield Made(f"{folder}/_summary.json", json.dumps(summary, indent=2).encode())
    errors = "".join(json.dumps(error) + "\n" for error in _values(selection, _ERRORS))
    yield Made(f"{folder}/_errors.jsonl", errors.encode())
    yield Made(f"{folder}/_scan.json", json.dumps(_spec(scan, at, selection.request), indent=2).encode())


def _values(selection: Selection, sql: str) -> list[dict[str, Any]]:
    return list(selection.read(sql).read_all().to_pylist())


def _spec(scan: str, at: str, request: Request) -> dict[str, Any]:
    return {
        "scan_id": scan,
        "scan_name": SCANNER,
        "timestamp": at,
        "metadata": {"runs": [run.run_id for run in request.runs], "where": request.where},
        "packages": {"nla_ray": request.nla_ray},
        "scanners": {SCANNER: {"name": SCANNER}},
    }
