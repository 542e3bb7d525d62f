"""Relations `population` and `hits` with a known truth, as matching would leave them on a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from nla_ray.audit.documents.readings import readings
from nla_ray.audit.tally import Tally, tally
from nla_ray.audit.verdicts.compare import Week
from nla_ray.config.audit import Evidence, Units
from nla_ray.config.detectors.model import Detector
from nla_ray.tables import DOCUMENTS, REAL, ddl

RUN = "run1"
GOOD, POOR = 0.9, -1.0
"""Fidelity of text about the vector, and of text about something else."""


def detector(name: str = "sabotage", **values: object) -> Detector:
    """A detector; its patterns do not matter here."""
    pattern = {"groups": {"words": {"any": [name.replace("_", " ")]}}}
    fixed = {"title": name, "description": name, "level": "high", "tier": "strong", "detection": pattern}
    return Detector.model_validate({"id": name} | fixed | values)


@dataclass(frozen=True)
class Row:
    """One explanation, and whether the detectors match it."""

    doc: int
    place: int
    control: str
    said: frozenset[str] = frozenset()
    fve: float | None = GOOD
    sample: int = 0
    artefact: bool = False
    restated: bool | None = False
    role: str = "assistant"


Says = Callable[[np.random.Generator, int, int], Iterable[str]]
"""Detectors that a row of (document, place) mentions."""


def corpus(
    n: int,
    real: Says,
    controls: Mapping[str, Says],
    *,
    places: int = 8,
    share: float = 0.15,
    fve: float | None = GOOD,
    poor: float | None = POOR,
    seed: int = 0,
) -> list[Row]:
    """`n` documents with real rows at every place and each control at a share of the places."""
    rng, rows = np.random.default_rng(seed), []
    for doc in range(n):
        for place in range(places):
            rows.append(Row(doc, place, "real", frozenset(real(rng, doc, place)), _near(rng, fve)))
            for control, says in controls.items():
                if rng.random() < share:
                    rows.append(Row(doc, place, control, frozenset(says(rng, doc, place)), _near(rng, poor)))
    return rows


def _near(rng: np.random.Generator, fve: float | None) -> float | None:
    return None if fve is None else float(fve + rng.normal(0, 0.02))


def never(rng: np.random.Generator, doc: int, place: int) -> list[str]:
    """Mentions nothing."""
    return []


def at_random(rate: float, *names: str) -> Says:
    """Mentions each detector at a rate, whatever is read."""
    return lambda rng, doc, place: [name for name in names if rng.random() < rate]


def in_documents(share: int, rate: float, *names: str) -> Says:
    """One document in `share` has the property of each detector; its rows mention it at a rate."""
    return lambda rng, doc, place: [
        name for index, name in enumerate(names) if doc % share == index and rng.random() < rate
    ]


def connection_of(rows: Iterable[Row], meta: Callable[[int], str] | None = None) -> duckdb.DuckDBPyConnection:
    """A connection with `population`, `hits` and the views that an audit asks."""
    made = duckdb.connect()
    made.execute(ddl(DOCUMENTS))
    population, hits = [], []
    for row in rows:
        common = {
            "run_id": RUN, "row_id": f"{row.doc}-{row.place}-{row.control}", "sample": row.sample,
            "doc_id": f"doc{row.doc:04}", "position": 10 + row.place, "token": "word", "role": row.role,
            "control": row.control, "fve_nrm": row.fve,
        }  # fmt: skip
        population.append(common | {"meta": None if meta is None else meta(row.doc)})
        hits += [
            common | {"detector": name, "span": f"mentions {name}", "span_start": 0,
                      "artefact": row.artefact, "restated": row.restated}
            for name in sorted(row.said)
        ]  # fmt: skip
    made.register("given", pa.Table.from_pylist(population))
    made.execute(
        "CREATE TABLE all_explanations AS SELECT given.*, 'It mentions things.' AS explanation, "
        "true AS closed, []::VARCHAR[] AS flags, 'ok' AS outcome FROM given"
    )
    made.execute("CREATE VIEW explanations AS FROM all_explanations WHERE control = 'real'")
    made.execute("CREATE VIEW population AS FROM all_explanations")
    made.execute(_HITS)
    if hits:
        made.register("matched", pa.Table.from_pylist(hits))
        made.execute("INSERT INTO hits BY NAME FROM matched")
    return made


_HITS = """
CREATE TABLE hits (
    run_id VARCHAR, detector VARCHAR, row_id VARCHAR, sample SMALLINT, doc_id VARCHAR, position INTEGER,
    token VARCHAR, role VARCHAR, control VARCHAR, fve_nrm FLOAT, span VARCHAR, span_start INTEGER,
    artefact BOOLEAN, restated BOOLEAN
)
"""


def week_of(
    rows: Iterable[Row],
    detectors: Iterable[Detector],
    rule: Evidence | None = None,
    units: Units | None = None,
    *,
    meta: Callable[[int], str] | None = None,
) -> Week:
    """These rows as one side of a comparison."""
    many, units = list(detectors), units or Units()
    connection = connection_of(rows, meta)
    counted = tally(connection, many, rule or Evidence(), units=units)[RUN]
    found = readings(connection, counted, many, REAL)
    return Week("week", counted, found, named=units.stratum is not None)


def tally_of(
    rows: Iterable[Row], detectors: Iterable[Detector], rule: Evidence | None = None
) -> tuple[duckdb.DuckDBPyConnection, Tally]:
    """The counts of these rows, and the connection that made them."""
    connection = connection_of(rows)
    return connection, tally(connection, list(detectors), rule or Evidence())[RUN]
