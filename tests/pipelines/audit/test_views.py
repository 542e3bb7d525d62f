"""What audits leave is asked in SQL: the newest audit of a run, each hit with its steps, quotes, times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from nla_ray.audit.report.model import Report
from nla_ray.config.audit import AuditConfig
from nla_ray.pipelines.audit.run import audit
from nla_ray.store import connect, open_run, open_store
from nla_ray.store.runs.plan import Plan
from nla_ray.tables import FINDINGS, RATES, table_of
from tests.audit.planted import at_random, corpus, in_documents, never
from tests.audit.tables import write_pack, write_tables


def audited(folder: Path, **values: object) -> Report:
    fixed = {"source": {"tables": str(folder / "tables")}, "output": str(folder / "report")}
    return audit(AuditConfig.model_validate(fixed | {"packs": [str(folder / "pack.yaml")]} | values)).report


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[duckdb.DuckDBPyConnection, Report, Report]:
    """Two audits of a run: 15 of 150 documents speak of sabotage; the second audit looks for more."""
    folder = tmp_path_factory.mktemp("twice")
    controls = {"shuffled": at_random(0.05, "sabotage"), "random": never}
    write_tables(folder / "tables", corpus(150, in_documents(10, 1.0, "sabotage"), controls, places=6))
    write_pack(folder / "pack.yaml", "sabotage")
    first = audited(folder)
    write_pack(folder / "pack.yaml", "sabotage", "privacy")
    second = audited(folder)
    return connect(folder / "tables"), first, second


def ask(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[object, ...]]:
    return connection.execute(sql).fetchall()


def test_views_show_the_newest_audit_of_a_run_and_those_of_all_every_audit(
    twice: tuple[duckdb.DuckDBPyConnection, Report, Report],
) -> None:
    tables, first, second = twice
    for view in ("findings", "hits", "rates"):
        assert ask(tables, f"SELECT DISTINCT audit_id FROM {view}") == [(second.audit_id,)]
        every = ask(tables, f"SELECT DISTINCT audit_id FROM all_{view} ORDER BY 1")
        assert every == sorted([(first.audit_id,), (second.audit_id,)])
    assert ask(tables, "SELECT count(*) FROM findings") == [(15,)]
    assert ask(tables, "SELECT count(*) FROM all_findings") == [(30,)]


def test_each_hit_says_what_matches_and_which_steps_it_passes(
    twice: tuple[duckdb.DuckDBPyConnection, Report, Report],
) -> None:
    tables, *_ = twice
    real = "artefact, faithful, restated, evident, recurs, status, quote, fve_nrm > 0.5, count(*)"
    assert ask(tables, f"SELECT {real} FROM hits GROUP BY ALL") == [
        (False, True, False, True, True, "finding", "speaks of sabotage", True, 90)
    ]
    whole = "SELECT bool_and(substr(explanation, quote_start + 1, length(quote)) = quote), count(*)"
    assert ask(tables, f"{whole} FROM hits JOIN explanations USING (run_id, row_id, sample)") == [(True, 90)]
    beside = "SELECT DISTINCT control, faithful, evident, status FROM all_hits WHERE control <> 'real'"
    assert ask(tables, beside) == [("shuffled", False, False, None)]


def test_the_strongest_hit_of_a_finding_is_in_columns(
    twice: tuple[duckdb.DuckDBPyConnection, Report, Report],
) -> None:
    tables, *_ = twice
    best = "SELECT doc_id, max(fve_nrm) AS best FROM hits GROUP BY doc_id"
    asked = "SELECT quote, quote_token, len(quotes), quote_fve_nrm = best FROM findings"
    found = ask(tables, f"{asked} JOIN ({best}) USING (doc_id)")
    assert found == [("speaks of sabotage", "word", 6, True)] * 15


def test_times_are_times(twice: tuple[duckdb.DuckDBPyConnection, Report, Report]) -> None:
    tables, *_ = twice
    (decoded,) = ask(tables, "SELECT finished_at FROM runs WHERE table_name = 'explanations'")
    assert decoded == (datetime(2026, 1, 2, 3, 4, 5),)
    ((latest,),) = ask(tables, "SELECT max(finished_at) FROM runs WHERE table_name = 'rates'")
    now = datetime.now(UTC).replace(tzinfo=None)
    assert isinstance(latest, datetime) and now - timedelta(hours=1) < latest <= now


def test_tables_of_audits_before_hits_were_kept_are_read(tmp_path: Path) -> None:
    """Their plans name findings alone beside the rates."""
    facts = {"tables": {"audited": {"week1": "0" * 64}}}
    plan = Plan(run_id="old", table="rates", sides=("findings",), units={"week1": None}, facts=facts)
    fixed = {one.name: None if one.nullable else "" if one.type == "string" else 0 for one in RATES}
    row = fixed | {"run_id": "old", "unit_id": "week1", "audited_run": "week1"}
    run = open_run(open_store(tmp_path), plan)
    run.write("week1", table_of([row], RATES), sides={"findings": table_of([], FINDINGS)})
    run.commit({"verdict": "reportable"})
    tables = connect(tmp_path)
    assert ask(tables, "SELECT audit_id FROM rates") == [("old",)]
    assert ask(tables, "FROM hits") == [] and ask(tables, "SELECT finished_at FROM runs") == [(None,)]
