"""`nla-ray verify`."""

from __future__ import annotations

from pathlib import Path

from nla_ray.store import open_run, open_store
from nla_ray.store.runs.layout import unit_key
from tests.cli.conftest import Invoke
from tests.store.rows import RECORD, plan_of, rows_of


def test_verify_says_that_all_is_well_or_what_is_not(tmp_path: Path, invoke: Invoke) -> None:
    tables = tmp_path / "tables"
    run = open_run(open_store(tables), plan_of(units=2))
    for unit_id in run.missing():
        run.write(unit_id, rows_of(unit_id))
    run.commit(RECORD)
    ended = invoke("verify", tables)
    assert ended.code == 0 and "1 runs, 2 files, 8 rows: all as committed" in ended.out
    assert "head run1 sha256:" in ended.out
    key = unit_key("explanations", "run1", "u1")
    (tables / key).unlink()
    ended = invoke("verify", tables)
    assert ended.code == 10 and f"missing    {key}:" in ended.out and "1 problems" in ended.out
    ended = invoke("sql", tables, "FROM explanations")
    assert ended.code == 10 and "is committed but missing" in ended.err
