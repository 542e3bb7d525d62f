"""An analyst's SELECT is answered, and nothing else can be had from it."""

from __future__ import annotations

import hashlib
import os
import time
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nla_ray.errors import InputError
from nla_ray.store import connect, open_run, open_store
from nla_ray.store.sql.query import query
from nla_ray.store.sql.request import Limits
from tests.store.rows import RECORD, plan_of, rows_of

MB = 1_000_000
ENDLESS = "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r) SELECT max(i) FROM r"
HUGE = "SELECT count(*) FROM range(100000000) AS a(i), range(100000000) AS b(j) WHERE i + j = 3"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("some [odd] ta'bles")
    run = open_run(open_store(path), plan_of())
    for unit_id in run.missing():
        run.write(unit_id, rows_of(unit_id))
    run.commit(RECORD)
    return path


def ask(tables: Path, sql: str, **limits: Any) -> list[dict[str, Any]]:
    with query(tables, sql, Limits(**limits)) as answer:
        return [row for batch in answer.batches for row in batch.to_pylist()]


def digests(tables: Path) -> dict[str, str]:
    """Digest of every file under a folder."""
    files = [path for path in tables.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT run_id, rows FROM runs;",
        "FROM runs SELECT run_id, rows",
        "WITH one AS (FROM runs) SELECT run_id, rows FROM one -- with a remark",
    ],
)
def test_a_select_is_answered(tables: Path, sql: str) -> None:
    assert ask(tables, sql) == [{"run_id": "run1", "rows": 12}]


def test_an_answer_without_rows_has_columns(tables: Path) -> None:
    with query(tables, "SELECT run_id FROM runs WHERE false") as answer:
        assert answer.schema.names == ["run_id"] and list(answer.batches) == []


def test_tables_can_be_described(tables: Path) -> None:
    assert {"name": "explanations"} in ask(tables, "SHOW TABLES")
    assert "fve_nrm" in {row["column_name"] for row in ask(tables, "DESCRIBE explanations")}


def test_tables_on_s3_are_asked_without_credentials(s3: str) -> None:
    run = open_run(open_store(s3), plan_of(units=1))
    run.write("u0", rows_of("u0"))
    run.commit(RECORD)
    with query(s3, "SELECT count(*) AS n FROM explanations") as answer:
        assert [batch.to_pylist() for batch in answer.batches] == [[{"n": 3}]]


def test_macros_are_there(tables: Path) -> None:
    assert ask(tables, "SELECT wilson_high(0, 0) AS high") == [{"high": 1.0}]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("DROP VIEW runs", "found DROP where exactly one SELECT belongs"),
        ("INSTALL httpfs", "found LOAD or INSTALL where"),
        ("COPY runs TO 'runs.csv'", "found COPY where exactly one SELECT belongs; name a file with -o"),
        ("-- nothing", "is empty; write one SELECT"),
        ("FROM explanation", r"explanation does not exist! SHOW TABLES lists those that do\.$"),
        ("SELECT nothing FROM runs", 'Referenced column "nothing"'),
        ("FROM read_text('/etc/passwd')", "reads the tables and no other file"),
    ],
)
def test_a_refusal_is_one_line(tables: Path, sql: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^sql: [^\n]*{message}"):
        ask(tables, sql)


def test_evidence_cannot_be_overwritten(tables: Path) -> None:
    before = digests(tables)
    with pytest.raises(InputError, match=r"writes none|A CTE needs a SELECT"):
        ask(tables, "WITH x AS (COPY (SELECT 1) TO 'tables://explanations/0' (use_tmp_file false)) FROM x")
    assert digests(tables) == before


@pytest.mark.skipif(duckdb.__version__ < "2", reason="DuckDB 1 changes nothing in a WITH")
def test_a_change_is_gone_with_its_process(tables: Path) -> None:
    ask(tables, "WITH gone AS (DELETE FROM committed_runs RETURNING run_id) FROM gone")
    assert len(ask(tables, "FROM runs")) == 1


def test_the_environment_is_not_handed_on(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    before = set(Path("/proc").glob("[0-9]*/environ"))
    with query(tables, "SELECT i FROM range(5000000) AS r(i)") as answer:
        next(answer.batches)
        new = set(Path("/proc").glob("[0-9]*/environ")) - before
        seen = [
            path.read_bytes() for path in new if path.parent.joinpath("cmdline").read_bytes().count(b"fence")
        ]
    assert seen and not any(b"a-secret" in environment for environment in seen)


@pytest.mark.parametrize("sql", [ENDLESS, HUGE, "SELECT count(*) FROM range(1e12::BIGINT)"])
def test_no_answer_in_time(tables: Path, sql: str) -> None:
    with pytest.raises(InputError, match=r"^sql: no answer within 2 s; allow more with --timeout$"):
        ask(tables, sql, seconds=2)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT length(repeat('x', 2000000000))",
        "SELECT list(i) FROM range(100000000) AS r(i)",
        "SELECT string_agg(repeat('x', 1000), '') FROM range(10000000)",
    ],
)
def test_no_more_memory_than_allowed(tables: Path, sql: str) -> None:
    with pytest.raises(
        InputError, match=r"^sql: needs more than 256.0MB of memory; allow more with --memory$"
    ):
        ask(tables, sql, memory=256 * MB)


def test_an_answer_has_no_more_rows_and_bytes_than_allowed(tables: Path) -> None:
    assert len(ask(tables, "FROM range(3000)", max_rows=3000)) == 3000
    with pytest.raises(InputError, match="more than 2999 rows; allow more with --max-rows"):
        ask(tables, "FROM range(3000)", max_rows=2999)
    with pytest.raises(InputError, match=r"more than 1\.0MB; allow more with --max-bytes"):
        ask(tables, "SELECT repeat('x', 1000) FROM range(3000)", max_bytes=MB)


def test_rows_before_the_limit_are_there(tables: Path) -> None:
    with query(tables, "FROM range(3000)", Limits(max_rows=2500)) as answer:
        seen = [next(answer.batches).num_rows, next(answer.batches).num_rows]
        with pytest.raises(InputError, match="--max-rows"):
            next(answer.batches)
    assert sum(seen) == 2500


def test_an_answer_larger_than_the_memory_streams(tables: Path) -> None:
    sql = "SELECT repeat('x', 100) AS x FROM range(4000000)"
    with query(tables, sql, Limits(memory=128 * MB)) as answer:
        assert sum(batch.num_rows for batch in answer.batches) == 4_000_000


def test_who_reads_slowly_is_not_cut_off(tables: Path) -> None:
    with query(tables, "FROM range(2000000)", Limits(seconds=6)) as answer:
        next(answer.batches)
        time.sleep(6.5)
        assert sum(batch.num_rows for batch in answer.batches) > 1_900_000


def test_who_stops_reading_leaves_nothing_behind(tables: Path) -> None:
    with query(tables, "FROM range(5000000)") as answer:
        assert len(list(islice(answer.batches, 2))) == 2
    assert not [path for path in Path("/proc").glob("[0-9]*/stat") if _is_child(path)]


def _is_child(stat: Path) -> bool:
    """Whether a process is one of this one's fences."""
    try:
        parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        return parent == os.getpid() and b"fence" in stat.with_name("cmdline").read_bytes()
    except (OSError, IndexError):
        return False


def test_the_fenced_reading_is_the_ordinary_one(tables: Path) -> None:
    sql = "SELECT sum(hash(e)) AS h FROM all_explanations AS e"
    assert ask(tables, sql)[0]["h"] == connect(tables).sql(sql).fetchall()[0][0]
