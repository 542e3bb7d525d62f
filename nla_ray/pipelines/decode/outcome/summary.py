"""What a run amounts to: outcomes, fidelity beside its controls with intervals, planted truth where known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from nla_ray.evaluation.truth import Vocabulary, score_table
from nla_ray.intervals import LEVEL
from nla_ray.store.runs.manifest import Manifest
from nla_ray.store.sql.read import connect
from nla_ray.tables import CONTROLS, OUTCOMES, REAL

RESAMPLES = 1000
REASONS = 5


@dataclass(frozen=True)
class Fidelity:
    """Mean `fve_nrm` of a control's rows with a 95 % interval, bootstrapped over documents.

    `low` and `high` are None where fewer than two documents have a score.
    """

    rows: int
    documents: int
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Summary:
    """Counts and scores of one run; outcomes, flags and reasons are those of the real rows.

    `vectors` are those of the corpus, `controls` what was injected beside them.

    `record` is the manifest's, with times and the denominator of `fve_nrm`. `planted` are the scores of
    planted truth by control, None where it was not asked for.
    """

    documents: int
    vectors: int
    controls: int
    rows: int
    quarantined: int
    outcomes: Mapping[str, int]
    flags: Mapping[str, int]
    reasons: Mapping[str, int]
    fidelity: Mapping[str, Fidelity]
    planted: Mapping[str, list[dict[str, Any]]] | None
    record: Mapping[str, Any]


def summarize(tables: str, manifest: Manifest, *, vocabulary: Vocabulary | None = None) -> Summary:
    """Summary of a committed run, computed where its tables are read.

    `vocabulary` is that of a corpus in which something was planted.
    """
    with connect(tables, runs=[manifest.run_id], without=("activations", "documents")) as connection:
        documents, vectors, controls = _row(
            connection,
            """SELECT count(DISTINCT doc_id),
                      count(DISTINCT row_id) FILTER (
                          control = 'real' AND (position IS NOT NULL OR norm IS NOT NULL)),
                      count(DISTINCT row_id) FILTER (control <> 'real')
               FROM all_explanations""",
        )
        outcomes = _counts(connection, "SELECT outcome, count(*) FROM explanations GROUP BY outcome")
        flags = _counts(
            connection,
            "SELECT flag, count(*) FROM (SELECT unnest(flags) AS flag FROM explanations) "
            "GROUP BY flag ORDER BY flag",
        )
        reasons = _counts(
            connection,
            """SELECT coalesce(reason, 'unknown') AS why, count(*) AS n FROM failures WHERE control = 'real'
               GROUP BY why ORDER BY n DESC, why LIMIT """
            + str(REASONS),
        )
        fidelity = {control: fidelity_of(connection, control) for control in (REAL, *CONTROLS)}
        return Summary(
            documents=documents,
            vectors=vectors,
            controls=controls,
            rows=manifest.rows,
            quarantined=manifest.quarantined,
            outcomes={outcome: outcomes[outcome] for outcome in OUTCOMES if outcome in outcomes},
            flags=flags,
            reasons=reasons,
            fidelity={control: found for control, found in fidelity.items() if found is not None},
            planted=planted_scores(connection, vocabulary) if vocabulary else None,
            record=manifest.record,
        )


def fidelity_of(connection: duckdb.DuckDBPyConnection, control: str) -> Fidelity | None:
    """Fidelity of one control's scored rows; None where there are none."""
    by_document = connection.execute(
        """SELECT sum(fve_nrm::DOUBLE) AS total, count(*) AS n FROM all_explanations
           WHERE control = $control AND fve_nrm IS NOT NULL GROUP BY doc_id""",
        {"control": control},
    ).fetchnumpy()
    sums, counts = np.asarray(by_document["total"], np.float64), np.asarray(by_document["n"], np.float64)
    if not len(sums):
        return None
    low, high = document_interval(sums, counts) if len(sums) > 1 else (None, None)
    return Fidelity(int(counts.sum()), len(sums), float(sums.sum() / counts.sum()), low, high)


def document_interval(sums: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> tuple[float, float]:
    """95 % percentile interval of sum/count when whole documents are drawn with replacement.

    Rows of one document are alike, so an interval over rows would be too narrow. Seeded, and documents are
    sorted first: the same table has the same interval.
    """
    rng = np.random.default_rng(0)
    order = np.lexsort((counts, sums))
    sums, counts = sums[order], counts[order]
    means = np.empty(RESAMPLES)
    for index in range(RESAMPLES):
        drawn = rng.integers(0, len(sums), len(sums))
        means[index] = sums[drawn].sum() / counts[drawn].sum()
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def planted_scores(
    connection: duckdb.DuckDBPyConnection, vocabulary: Vocabulary
) -> dict[str, list[dict[str, Any]]]:
    """How often explanations name what was planted, by control."""
    columns = "SELECT control, position, explanation, meta FROM all_explanations"
    found = score_table(connection.sql(columns).to_arrow_table(), vocabulary)
    return {
        control: [asdict(score) for score in found[control]]
        for control in (REAL, *CONTROLS)
        if control in found
    }


def _counts(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, int]:
    return dict(connection.execute(sql).fetchall())


def _row(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    return connection.execute(sql).fetchall()[0]
