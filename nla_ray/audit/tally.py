"""Counts of an audit: what DuckDB sums up over `population` and `hits`, as arrays over documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb
import numpy as np
import numpy.typing as npt

from nla_ray.audit.detect.scope import scope_sql
from nla_ray.audit.documents.families import describe, pointer
from nla_ray.audit.inference.clusters import Ints, numbered
from nla_ray.config.audit import Evidence, Marked, Units
from nla_ray.config.detectors.model import Detector, Scope
from nla_ray.intervals import Floats


@dataclass(frozen=True)
class Population:
    """Documents of one run under one control, in the order of their ids; arrays are [documents]."""

    doc_ids: npt.NDArray[np.str_]
    places: Ints
    """Vectors that were read."""
    rows: Ints
    fve: Floats
    """Mean `fve_nrm` of each; NaN where there is none."""
    family: Ints | None = None
    """Which family each belongs to; null: each is its own."""

    @property
    def families(self) -> Ints:
        """Families of the documents, numbered from 0."""
        return np.arange(len(self)) if self.family is None else numbered(self.family)

    def __len__(self) -> int:
        return len(self.doc_ids)

    def index(self, doc_ids: Sequence[str]) -> Ints:
        """Where these documents stand."""
        return np.asarray(np.searchsorted(self.doc_ids, np.asarray(doc_ids, dtype=str)), np.int64)


NOBODY = Population(np.empty(0, np.str_), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
"""A population without documents."""


@dataclass(frozen=True)
class Hits:
    """What a detector finds in a population; arrays are [documents]. A mention counts at any fidelity."""

    rows: Ints
    """Rows with a mention, restated ones too."""
    places: Ints
    """Places with a mention that the prompt does not make itself."""
    evident: Ints
    """Places that carry weight as evidence."""
    strength: Ints
    """What the recurrence rule counts, of evidence."""
    weights: Mapping[int, int]
    """How many places have which weight above 0."""


@dataclass(frozen=True)
class Tally:
    """All counts of one run: populations by name (real, controls), hits by detector and population."""

    run_id: str
    populations: Mapping[str, Population]
    hits: Mapping[tuple[str, str], Hits]
    floor: float | None
    """Fidelity above which an explanation counts; None where none is measured or asked for."""
    scoped: Mapping[str, Mapping[str, Population]] = field(default_factory=dict)
    """Populations of the rows in scope, of each detector that is not about all rows."""

    def within(self, detector: str) -> Mapping[str, Population]:
        """The populations that a detector is about, of the same names as all; some may be empty."""
        return self.scoped.get(detector, self.populations)

    def hits_of(self, detector: str, population: str) -> Hits:
        """The hits, zeros where there are none."""
        found = self.hits.get((detector, population))
        if found is not None:
            return found
        zeros = np.zeros(len(self.within(detector)[population]), np.int64)
        return Hits(zeros, zeros, zeros, zeros, {})


def needed(detector: Detector) -> int:
    """The strength from which a document meets the detector's recurrence rule."""
    return 1 if detector.recurrence.over == "samples" else detector.recurrence.k


def tally(
    connection: duckdb.DuckDBPyConnection,
    detectors: Sequence[Detector],
    rule: Evidence,
    benign: Marked | None = None,
    units: Units | None = None,
) -> dict[str, Tally]:
    """Counts by run of the relations `population` and `hits`; makes tables `audit_...` on the connection.

    Documents that are marked `benign` make the population `benign` and are no part of `real`. Rows outside a
    detector's scope are no part of its populations. Raises InputError for `units` that documents do not have.
    """
    scopes = list(dict.fromkeys([Scope(), *(one.scope for one in detectors)]))
    _register(connection, detectors, scopes)
    connection.execute(_TWINS)
    if benign is not None:
        connection.execute(_MARK_TWINS, {"path": pointer(benign.column), "value": benign.value})
    connection.execute(_rows(scopes))
    describe(connection, units or Units())
    asked = rule.beyond_controls is not None
    connection.execute(_FLOORS, {"asked": asked, "quantile": rule.beyond_controls or 0.0})
    connection.execute(_MARKED, {"restated": rule.restated})
    connection.execute(_WINDOWS)
    by_scope = _populations(connection)
    every = {(run, control): found for (scope, run, control), found in by_scope.items() if scope == 0}
    numbers = {one.id: scopes.index(one.scope) for one in detectors}
    floors = dict(connection.execute("SELECT run_id, floor FROM audit_floors").fetchall())
    hits = _hits(connection, by_scope, numbers)
    return {
        run: Tally(
            run,
            {control: found for (of, control), found in every.items() if of == run},
            {(name, control): found for (of, name, control), found in hits.items() if of == run},
            floors.get(run),
            {
                name: {
                    control: by_scope.get((scope, run, control), NOBODY) for of, control in every if of == run
                }
                for name, scope in numbers.items()
                if scope
            },
        )
        for run in sorted({run for run, _ in every})
    }


def _register(
    connection: duckdb.DuckDBPyConnection, detectors: Sequence[Detector], scopes: Sequence[Scope]
) -> None:
    connection.execute(
        "CREATE OR REPLACE TABLE audit_detectors "
        "(detector VARCHAR, k INTEGER, before INTEGER, counted VARCHAR, minimum FLOAT, scope INTEGER)"
    )
    rows = [
        (
            one.id,
            one.recurrence.k,
            (one.recurrence.n or 1 << 30) - 1,
            one.recurrence.over,
            one.minimum_fidelity,
            scopes.index(one.scope),
        )
        for one in detectors
    ]
    if rows:
        connection.executemany("INSERT INTO audit_detectors VALUES (?, ?, ?, ?, ?, ?)", rows)


def _populations(connection: duckdb.DuckDBPyConnection) -> dict[tuple[int, str, str], Population]:
    """Populations by number of the scope, run and control."""
    found = connection.execute(
        "SELECT scope, run_id, control, doc_id, max(place) AS places, count(*) AS n, avg(fve_nrm) AS fve, "
        "coalesce(any_value(family), -1) AS family "
        "FROM audit_rows LEFT JOIN audit_about USING (run_id, doc_id) GROUP BY ALL"
    ).fetchnumpy()
    columns = {name: np.ma.filled(values, np.nan) if name == "fve" else np.asarray(values)
               for name, values in found.items()}  # fmt: skip
    keys = list(zip(*(columns[name].tolist() for name in ("scope", "run_id", "control")), strict=True))
    groups: dict[tuple[int, str, str], list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    made = {}
    for key, members in sorted(groups.items()):
        ids = np.asarray(columns["doc_id"][members], dtype=str)
        order = np.argsort(ids)
        at = np.asarray(members)[order]
        made[key] = Population(
            ids[order], columns["places"][at].astype(np.int64), columns["n"][at].astype(np.int64),
            columns["fve"][at].astype(np.float64), _alone(columns["family"][at].astype(np.int64)),
        )  # fmt: skip
    return made


def _alone(family: Ints) -> Ints:
    """Families, a document of which none is known as one of its own."""
    return np.where(family < 0, int(family.max(initial=0)) + 1 + np.arange(len(family)), family)


def _hits(
    connection: duckdb.DuckDBPyConnection,
    populations: Mapping[tuple[int, str, str], Population],
    scopes: Mapping[str, int],
) -> dict[tuple[str, str, str], Hits]:
    documents = connection.execute(
        "SELECT run_id, detector, control, doc_id, rows_hit, places_hit, evident, strength "
        "FROM audit_documents ORDER BY ALL"
    ).fetchall()
    weights: dict[tuple[str, str, str], dict[int, int]] = {}
    for run, detector, control, weight, places in connection.execute(
        "SELECT run_id, detector, control, weight, count(*) FROM audit_places WHERE weight > 0 "
        "GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        weights.setdefault((run, detector, control), {})[weight] = places
    grouped: dict[tuple[str, str, str], list[tuple[str, int, int, int, int]]] = {}
    for run, detector, control, *counts in documents:
        grouped.setdefault((run, detector, control), []).append(tuple(counts))
    made = {}
    for key, members in grouped.items():
        run, detector, control = key
        population = populations[scopes[detector], run, control]
        dense = np.zeros((4, len(population)), np.int64)
        dense[:, population.index([member[0] for member in members])] = np.asarray(
            [member[1:] for member in members], np.int64
        ).T
        rows, places, evident, strength = dense
        made[key] = Hits(rows, places, evident, strength, weights.get(key, {}))
    return made


_TWINS = "CREATE OR REPLACE TABLE audit_benign (run_id VARCHAR, doc_id VARCHAR)"

_MARK_TWINS = """
INSERT INTO audit_benign
SELECT DISTINCT run_id, doc_id FROM explanations WHERE json_extract_string(meta, $path) = $value
"""


def _rows(scopes: Sequence[Scope]) -> str:
    """SQL that makes `audit_rows`: for each scope the rows in it, numbered within their documents."""
    within = " UNION ALL ".join(
        f"SELECT {number} AS scope, * FROM population WHERE {scope_sql(scope)}"
        for number, scope in enumerate(scopes)
    )
    return f"""
        CREATE OR REPLACE TABLE audit_rows AS
        SELECT
            scope, run_id, if(control = 'real' AND twin.doc_id IS NOT NULL, 'benign', control) AS control,
            of.doc_id, row_id, sample, position, fve_nrm,
            dense_rank() OVER (document ORDER BY position, row_id) AS place,
            row_number() OVER (document ORDER BY position, row_id, sample) AS ordinal
        FROM ({within}) AS of
        LEFT JOIN audit_benign AS twin USING (run_id, doc_id)
        WINDOW document AS (PARTITION BY scope, run_id, control, of.doc_id)
    """


_FLOORS = """
CREATE OR REPLACE TABLE audit_floors AS
SELECT run_id, quantile_cont(fve_nrm, $quantile) AS floor
FROM audit_rows
WHERE $asked AND scope = 0 AND control NOT IN ('real', 'benign')
GROUP BY run_id
"""

# counts, clean, faithful, evident: each one of the rules more.
_MARKED = """
CREATE OR REPLACE TABLE audit_marked AS
SELECT
    found.run_id, found.detector, of.control, found.doc_id, found.row_id, found.sample,
    of.place, of.ordinal, of.position, of.fve_nrm, found.token, found.role, found.span, found.span_start,
    found.restated, rules.k, rules.before, rules.counted,
    NOT found.artefact AS clean,
    clean AND coalesce(of.fve_nrm > greatest(floors.floor, rules.minimum), floors.floor IS NULL) AS faithful,
    $restated OR NOT coalesce(found.restated, false) AS own,
    faithful AND own AS evident
FROM hits AS found
JOIN audit_detectors AS rules USING (detector)
JOIN audit_rows AS of USING (scope, run_id, row_id, sample)
LEFT JOIN audit_floors AS floors ON floors.run_id = found.run_id
"""

# What is counted has a number within its part of the document; rules look at windows of these numbers.
_WINDOWS = """
CREATE OR REPLACE TABLE audit_windows AS
WITH counted AS (
    SELECT
        run_id, detector, control, doc_id, place, k, before, counted,
        if(counted = 'samples', place, 0) AS part,
        CASE counted WHEN 'positions' THEN place WHEN 'samples' THEN sample ELSE ordinal END AS number,
        bool_or(clean) AS clean, bool_or(faithful) AS faithful, bool_or(evident) AS evident
    FROM audit_marked
    GROUP BY ALL
)
SELECT
    *,
    count(*) OVER near AS any_reach,
    count(*) FILTER (WHERE clean) OVER near AS clean_reach,
    count(*) FILTER (WHERE faithful) OVER near AS faithful_reach,
    count(*) FILTER (WHERE evident) OVER near AS evident_reach
FROM counted
WINDOW near AS (
    PARTITION BY run_id, detector, control, doc_id, part
    ORDER BY number RANGE BETWEEN before PRECEDING AND CURRENT ROW
);

CREATE OR REPLACE TABLE audit_places AS
SELECT
    run_id, detector, control, doc_id, place,
    CASE any_value(counted)
        WHEN 'samples' THEN bool_or(evident_reach >= k)::INTEGER
        WHEN 'positions' THEN bool_or(evident)::INTEGER
        ELSE count(*) FILTER (WHERE evident)
    END AS weight
FROM audit_windows
GROUP BY ALL;

CREATE OR REPLACE TABLE audit_documents AS
WITH mentions AS (
    SELECT
        run_id, detector, control, doc_id,
        count(*) AS rows_hit, count(DISTINCT place) FILTER (own) AS places_hit
    FROM audit_marked
    WHERE clean
    GROUP BY ALL
), reached AS (
    SELECT
        run_id, detector, control, doc_id,
        any_value(counted) AS counted, any_value(k) AS k, max(any_reach) AS any_reach,
        max(clean_reach) AS clean_reach, max(faithful_reach) AS faithful_reach,
        max(evident_reach) AS evident_reach
    FROM audit_windows
    GROUP BY ALL
), weighed AS (
    SELECT run_id, detector, control, doc_id, count(*) FILTER (WHERE weight > 0) AS evident
    FROM audit_places
    GROUP BY ALL
)
SELECT
    reached.*, coalesce(rows_hit, 0) AS rows_hit, coalesce(places_hit, 0) AS places_hit, evident,
    if(counted = 'samples', evident, evident_reach) AS strength
FROM reached
JOIN weighed USING (run_id, detector, control, doc_id)
LEFT JOIN mentions USING (run_id, detector, control, doc_id)
"""
