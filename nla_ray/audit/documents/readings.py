"""What comparisons draw from: the rows of each document that can be evidence, from the audit's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
import numpy as np

from nla_ray.audit.inference.exposure import Readings, Reads
from nla_ray.audit.tally import Population, Tally
from nla_ray.config.detectors.model import Detector, Scope


def readings(
    connection: duckdb.DuckDBPyConnection, tally: Tally, detectors: Sequence[Detector], name: str
) -> Readings:
    """The population `name` of a run that was counted on this connection.

    Documents of special and template tokens alone are no part of it, also where a detector is about these.
    """
    population = tally.populations[name]
    about = {
        doc_id: known
        for doc_id, *known in connection.execute(
            "SELECT doc_id, stratum, pair FROM audit_about WHERE run_id = $run", {"run": tally.run_id}
        ).fetchall()
    }
    known = [about.get(doc_id, (None, None)) for doc_id in population.doc_ids.tolist()]
    sieves: dict[tuple[Scope, float | None], list[str]] = {}
    for one in detectors:
        sieves.setdefault((one.scope, one.minimum_fidelity), []).append(one.id)
    reads: dict[str, Reads] = {}
    hits: dict[str, np.ndarray] = {}
    for of_these in sieves.values():
        found, evident = _sieved(connection, tally.run_id, name, of_these, population)
        reads |= dict.fromkeys(of_these, found)
        hits |= evident
    return Readings(
        doc_ids=population.doc_ids, family=population.families, reads=reads, hits=hits,
        stratum=np.array([stratum or "" for stratum, _ in known], np.str_),
        pair=np.array([pair or "" for _, pair in known], np.str_),
    )  # fmt: skip


def _sieved(
    connection: duckdb.DuckDBPyConnection,
    run_id: str,
    name: str,
    detectors: Sequence[str],
    population: Population,
) -> tuple[Reads, Mapping[str, np.ndarray]]:
    """The rows that pass one scope and one least fidelity, and by detector which of them are evidence."""
    asked = {"run": run_id, "control": name, "detector": detectors[0]}
    connection.execute(_READS, asked)
    columns = connection.execute("SELECT doc_id, place FROM audit_reads ORDER BY number").fetchnumpy()
    document = population.index(columns["doc_id"].tolist())
    place = np.cumsum((np.diff(document, prepend=-1) != 0) | (np.diff(columns["place"], prepend=-1) != 0)) - 1
    found: dict[str, list[int]] = {}
    for detector, at in connection.execute(_HITS, {"run": run_id, "detectors": list(detectors)}).fetchall():
        found.setdefault(detector, []).append(at)
    return (
        Reads(document, np.asarray(place, np.int64), len(population)),
        {detector: np.asarray(rows, np.int64) for detector, rows in found.items()},
    )


# The order of places and samples is a hash of document and position, the same in every run that reads them.
_READS = """
CREATE OR REPLACE TEMP TABLE audit_reads AS
SELECT
    of.doc_id, of.place, of.row_id, of.sample,
    row_number() OVER (
        ORDER BY
            of.doc_id, md5(concat_ws('/', of.doc_id, coalesce(of.position::VARCHAR, of.row_id))), of.place,
            md5(concat_ws('/', of.doc_id, of.position, of.sample)), of.sample
    ) - 1 AS number
FROM audit_rows AS of
JOIN audit_detectors AS rules ON rules.detector = $detector AND rules.scope = of.scope
LEFT JOIN audit_floors AS floors ON floors.run_id = of.run_id
WHERE of.run_id = $run AND of.control = $control
    AND coalesce(of.fve_nrm > greatest(floors.floor, rules.minimum), floors.floor IS NULL)
    AND of.doc_id IN (SELECT doc_id FROM audit_rows WHERE scope = 0 AND run_id = $run AND control = $control)
"""

_HITS = """
SELECT detector, number
FROM audit_marked
JOIN audit_reads USING (doc_id, row_id, sample)
WHERE run_id = $run AND evident AND detector IN (SELECT unnest($detectors::VARCHAR[]))
ORDER BY detector, number
"""
