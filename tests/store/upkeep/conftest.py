"""Roots of tables with everything in them that upkeep has to tell apart."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from nla_ray.store import open_run, open_store
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.plan import Plan
from nla_ray.store.runs.run import Run
from nla_ray.store.runs.unit_file import QuarantinedRow
from tests.store.rows import RECORD, plan_of, rows_of, sides_of

POISON = QuarantinedRow("u1-3", 0, "doc-u1", None, "real", "poison")


def begun(place: str, run_id: str, labels: Mapping[str, str] = {}) -> Run:
    """A run with a table beside it."""
    values = plan_of(run_id).model_dump() | {"sides": ("documents",), "labels": labels}
    plan = Plan.model_validate(values)
    return open_run(open_store(place), plan, add=True)


def write(run: Run, *units: str) -> None:
    """Write some units; of u1 one row is in quarantine."""
    for unit in units:
        aside = [POISON] if unit == "u1" else []
        rows = rows_of(unit, run.plan.run_id, n=4 - len(aside))
        documents = sides_of(unit, run.plan.run_id)["documents"]
        run.write(unit, rows, aside, sides={"documents": documents})


def committed(place: str, run_id: str, labels: Mapping[str, str] = {}) -> Run:
    """A run that is committed."""
    run = begun(place, run_id, labels)
    write(run, *run.missing())
    run.commit(RECORD)
    return run


@pytest.fixture
def store(place: str) -> Store:
    """A committed run and one under way."""
    committed(place, "run1")
    write(begun(place, "run2"), "u0", "u1")
    return open_store(place)
