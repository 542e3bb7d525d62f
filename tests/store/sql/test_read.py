"""Analysts see committed rows under stable names."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from nla_ray.store import connect, open_run, open_store
from nla_ray.store.runs.plan import Plan
from nla_ray.tables import RATES, table_of
from tests.store.rows import RECORD, plan_of, rows_of

VIEWS = {"explanations": 9, "controls": 3, "all_explanations": 12, "runs": 1, "all_runs": 1, "failures": 3}
EMPTY = dict.fromkeys(
    ["documents", "activations", "cells", "all_cells", "findings", "hits", "rates", "all_findings",
     "all_hits", "all_rates", "older_audits", "reviews"], 0
)  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables")
    run = open_run(open_store(path), plan_of(fingerprint="f"))
    for unit_id in run.missing():
        run.write(unit_id, rows_of(unit_id))
    run.commit(RECORD)
    return path


@pytest.mark.parametrize(("view", "rows"), (VIEWS | EMPTY).items())
def test_views_hold_what_they_are_named_for(tables: Path, view: str, rows: int) -> None:
    assert connect(tables).sql(f"SELECT count(*) FROM {view}").fetchall() == [(rows,)]


def test_the_runs_own_baseline_gives_fve(tables: Path) -> None:
    assert connect(tables).sql("SELECT DISTINCT fve_nrm FROM explanations").fetchall() == [(0.5,)]


def test_runs_show_what_was_planned_and_what_became_known(tables: Path) -> None:
    columns = (
        "run_id, table_name, units, rows, fingerprint, target, ar, layer, seed, fve_baseline, fve_reference"
    )
    (row,) = connect(tables).sql(f"SELECT {columns} FROM runs").fetchall()
    assert row == ("run1", "explanations", 3, 12, "f", "t", None, 3, 7, 0.5, "test vectors")
    assert connect(tables).sql("SELECT (facts->>'$.models.av') FROM runs").fetchall() == [("a",)]


def test_every_view_has_a_comment(tables: Path) -> None:
    found = connect(tables).sql(
        "SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment IS NOT NULL"
    )
    assert {name for (name,) in found.fetchall()} == VIEWS.keys() | EMPTY.keys()


def test_no_extension_is_ever_fetched(tables: Path) -> None:
    settings = (
        "SELECT count(*) FROM duckdb_settings() WHERE name LIKE 'auto%_known_extensions' AND value = 'false'"
    )
    assert connect(tables).sql(settings).fetchall() == [(2,)]


def test_runs_of_another_table_are_runs_only(tables: Path, tmp_path: Path) -> None:
    plan = plan_of().model_copy(update={"table": "notes"})
    run = open_run(open_store(tmp_path), plan)
    for unit_id in run.missing():
        run.write(unit_id, rows_of(unit_id).select(["run_id", "row_id"]))
    run.commit({})
    counts = [connect(tmp_path).sql(f"SELECT count(*) FROM {view}").fetchall()[0][0] for view in VIEWS]
    assert counts == [0, 0, 0, 1, 1, 0]


def test_the_connection_is_an_ordinary_one(tables: Path) -> None:
    connection = connect(tables)
    connection.execute("CREATE TABLE mine AS FROM explanations")
    with pytest.raises(duckdb.CatalogException):
        connection.sql("FROM nothing_like_it")


def committed_run(place: Path, plan: Plan) -> None:
    run = open_run(open_store(place), plan, add=True)
    for unit_id in run.missing():
        run.write(unit_id, rows_of(unit_id, plan.run_id))
    run.commit(RECORD)


def test_labels_are_columns_and_null_where_there_are_none(tmp_path: Path) -> None:
    labels = {"sweep": "s", "week": "2026-W01", "model": "m", "base": "b", "corpus": "c", "layer": "9"}
    committed_run(tmp_path, plan_of("run1").model_copy(update={"labels": labels}))
    committed_run(tmp_path, plan_of("run2"))
    found = connect(tmp_path).sql("SELECT sweep, week, model, base, corpus, layer FROM runs ORDER BY run_id")
    assert found.fetchall() == [(["s"], ["2026-W01"], ["m"], ["b"], ["c"], 3), (None,) * 5 + (3,)]


def test_rates_have_the_labels_of_the_audit(tmp_path: Path) -> None:
    committed_run(tmp_path, plan_of("run1").model_copy(update={"labels": {"week": "2026-W01"}}))
    labels = {"week": "2026-W09", "model": "m"}
    plan = Plan(run_id="audit", table="rates", units={"u0": 2}, facts={}, labels=labels)
    run = open_run(open_store(tmp_path), plan)
    empty = {one.name: None if one.nullable else "" if one.type == "string" else 0 for one in RATES}
    fixed = empty | {"run_id": "audit", "unit_id": "u0"}
    made = [fixed | {"audited_run": audited} for audited in ("run1", "elsewhere")]
    run.commit({}, [run.write("u0", table_of(made, RATES))])
    found = connect(tmp_path).sql("SELECT run_id, week, model FROM rates ORDER BY run_id")
    assert found.fetchall() == [("elsewhere", "2026-W09", "m"), ("run1", "2026-W09", "m")]
