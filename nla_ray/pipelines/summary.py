"""What a run amounts to: outcomes, fidelity beside its controls with intervals, time per stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nla_ray.tables import CONTROLS, OUTCOMES, REAL

RESAMPLES = 1000
LEVEL = 0.95


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
    """Counts and scores of one table of explanations, and how long it took."""

    documents: int
    vectors: int
    rows: int
    outcomes: Mapping[str, int]
    flags: Mapping[str, int]
    fidelity: Mapping[str, Fidelity]
    seconds: Mapping[str, float]
    vectors_per_second: float

    def as_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields."""
        return asdict(self)


def summarize(table: pa.Table, seconds: Mapping[str, float]) -> Summary:
    """Summary of an explanations table; outcomes and flags are those of the real rows.

    `vectors_per_second` counts every vector, controls included, over the time of all stages but the loading.
    """
    real = table.filter(pc.equal(table["control"], REAL))
    read = pc.or_(pc.is_valid(table["position"]), pc.is_valid(table["norm"]))
    vectors = len(pc.unique(table.filter(read)["row_id"]))
    busy = sum(spent for stage, spent in seconds.items() if stage != "load")
    counts = Counter(real["outcome"].to_pylist())
    flags = Counter(flag for row in real["flags"].to_pylist() for flag in row)
    fidelity = {control: fidelity_of(table, control) for control in (REAL, *CONTROLS)}
    return Summary(
        documents=len(pc.unique(table["doc_id"])),
        vectors=vectors,
        rows=table.num_rows,
        outcomes={outcome: counts[outcome] for outcome in OUTCOMES if counts[outcome]},
        flags=dict(sorted(flags.items())),
        fidelity={control: found for control, found in fidelity.items() if found is not None},
        seconds=dict(seconds),
        vectors_per_second=vectors / busy if busy > 0 else 0.0,
    )


def fidelity_of(table: pa.Table, control: str) -> Fidelity | None:
    """Fidelity of one control's scored rows; None where there are none."""
    scored = table.filter(pc.and_(pc.equal(table["control"], control), pc.is_valid(table["fve_nrm"])))
    if not scored.num_rows:
        return None
    grouped = scored.group_by("doc_id").aggregate([("fve_nrm", "sum"), ("fve_nrm", "count")])
    sums = grouped["fve_nrm_sum"].to_numpy().astype(np.float64)
    counts = grouped["fve_nrm_count"].to_numpy().astype(np.float64)
    low, high = document_interval(sums, counts) if len(sums) > 1 else (None, None)
    return Fidelity(scored.num_rows, len(sums), float(sums.sum() / counts.sum()), low, high)


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
