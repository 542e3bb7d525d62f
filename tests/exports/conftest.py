"""Tables to export: two runs, a third that is not finished, a row in quarantine, hostile text."""

from __future__ import annotations

from pathlib import Path

import pytest

from nla_ray.store import open_run, open_store
from nla_ray.store.runs.unit_file import QuarantinedRow
from tests.store.rows import RECORD, plan_of, rows_of, sides_of

SAID = '=HYPERLINK("x"),\r\n\u202e\u2028\x00 "quoted"'
ROWS = 11
FINISHED = {"first": "2026-03-02T10:00:00+02:00", "second": "2026-03-09T00:00:00"}


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven rows of the run `first` and one in quarantine, four of `second`, none of `third` that count."""
    path = tmp_path_factory.mktemp("exported") / "tables"
    for run_id, units in (("first", 2), ("second", 1), ("third", 2)):
        plan = plan_of(run_id, units=units).model_copy(update={"sides": ("documents", "activations")})
        run = open_run(open_store(path), plan, add=True)
        aside = [QuarantinedRow("u1-3", 0, "doc-u1", 3, "real", "poison")] if run_id == "first" else []
        for unit_id in ["u0"] if run_id == "third" else run.missing():
            lost = aside if unit_id == "u1" else []
            rows = rows_of(unit_id, run_id, n=4 - len(lost), says=SAID)
            sides = sides_of(unit_id, run_id, text=SAID)
            run.write(unit_id, rows, lost, sides=sides)
        if run_id in FINISHED:
            run.commit(RECORD | {"finished_at": FINISHED[run_id]})
    return path
