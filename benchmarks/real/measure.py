"""What a decode of the held-out documents names, by control and field, with intervals and chance."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.real.documents import FIELDS, labels
from nla_ray.evaluation.intervals import Documents
from nla_ray.evaluation.planted import planted
from nla_ray.evaluation.rows import read_rows
from nla_ray.evaluation.truth import Property, Vocabulary
from nla_ray.store import connect


def vocabulary() -> Vocabulary:
    """A label counts where the explanation names its field with it, in any paragraph."""
    return Vocabulary(
        tuple(
            Property(field, {one: (f"{field} {one}",) for one in labels(field)}, anywhere=True)
            for field in FIELDS
        )
    )


def named(tables: str, run: str) -> dict[str, dict[str, Any]]:
    """By control ("real" first) and field: `recall` with its 95 % interval over documents, `chance`, "
    "and `n`."""
    with connect(tables, runs=[run]) as connection:
        rows, ids = read_rows(connection, run)
    rows = rows.take(np.isfinite(rows.norm))
    found: dict[str, dict[str, Any]] = {}
    for one in planted(rows, Documents(len(ids), seed=0), vocabulary()):
        found.setdefault(one.control, {})[one.prop] = {
            **one.recall.model_dump(), "chance": round(one.chance, 3),
        }  # fmt: skip
    return found
