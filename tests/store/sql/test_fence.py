"""What an analyst's SELECT cannot do, whatever DuckDB takes for one; its bounds are in test_query."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import duckdb
import pytest

from nla_ray.errors import InputError
from nla_ray.store import open_run, open_store
from nla_ray.store.sql.fence import closed, explained, send
from nla_ray.store.sql.query import request_of
from nla_ray.store.sql.request import Limits, Request
from tests.store.rows import RECORD, plan_of, rows_of

NO_COPY = "A CTE needs a SELECT"
"""What DuckDB 1 says of a COPY in a WITH."""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("some [odd] ta'bles")
    run = open_run(open_store(path), plan_of())
    for unit_id in run.missing():
        run.write(unit_id, rows_of(unit_id))
    run.commit(RECORD)
    return path


@pytest.fixture(scope="module")
def connection(tables: Path) -> duckdb.DuckDBPyConnection:
    return closed(request_of(tables, "", Limits()))


def ask(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    with explained(Limits()):
        send(connection, Request(sql, {}, [], [], Limits()), io.BytesIO())


def digests(tables: Path) -> dict[Path, str]:
    """Digest of every file under a folder."""
    files = [path for path in tables.rglob("*") if path.is_file()]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "is empty; write one SELECT"),
        ("SELECT 1; SELECT 2", "found SELECT, SELECT"),
        ("DROP VIEW runs", "found DROP"),
        ("CREATE OR REPLACE VIEW explanations AS SELECT 1", "found CREATE"),
        ("COPY runs TO 'stolen.csv'", "found COPY"),
        ("EXPORT DATABASE 'stolen'", "found EXPORT"),
        ("SET threads = 1", "found SET"),
        ("RESET lock_configuration", "found SET"),
        ("PRAGMA enable_profiling", "found PRAGMA"),
        ("ATTACH 'other.db'", "found ATTACH"),
        ("INSTALL httpfs", "found LOAD"),
        ("LOAD httpfs", "found LOAD"),
        ("CALL enable_logging()", "found CALL"),
        ("EXPLAIN ANALYZE SELECT 1", "found EXPLAIN"),
        ("PIVOT explanations ON outcome USING count(*)", "has to name its values"),
        ("SELEC", "syntax error"),
    ],
)
def test_anything_but_one_select_is_refused(
    connection: duckdb.DuckDBPyConnection, sql: str, message: str
) -> None:
    with pytest.raises(InputError, match=f"^sql: .*{message}"):
        ask(connection, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_text('/etc/passwd')",
        "FROM read_blob('/etc/passwd')",
        "FROM read_csv('/etc/passwd')",
        "FROM read_json('/etc/passwd')",
        "FROM sniff_csv('/etc/passwd')",
        "FROM parquet_metadata('/etc/passwd')",
        "FROM glob('/etc/*')",
        "FROM read_parquet('http://127.0.0.1:1/x.parquet')",
        "FROM read_text('tables://explanations/9')",
        "WITH x AS (COPY (SELECT 1) TO 'stolen.csv') FROM x",
    ],
)
def test_no_other_file_and_no_network_is_reached(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(InputError, match=f"reads the tables and no other file|{NO_COPY}"):
        ask(connection, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "FROM '/etc/passwd'",
        "FROM files",
        "SELECT getenv('HOME')",
        "FROM query('COPY runs TO ''stolen.csv''')",
        "FROM enable_logging(storage = 'file', storage_path = 'stolen')",
        "SELECT $1",
        "SELECT nothing FROM runs",
        "SELECT error('late') FROM runs",
    ],
)
def test_what_duckdb_refuses_is_one_line(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(InputError, match=r"^sql: [^\n]+$"):
        ask(connection, sql)


@pytest.mark.parametrize("options", ["", "(use_tmp_file false)", "(use_tmp_file false, return_files)"])
@pytest.mark.parametrize("place", ["tables://explanations/0", "{file}"])
def test_evidence_cannot_be_overwritten(
    tables: Path, connection: duckdb.DuckDBPyConnection, options: str, place: str
) -> None:
    """A COPY in a WITH passes for a SELECT, and DuckDB's allowed paths would let it through."""
    before = digests(tables)
    file = next(tables.rglob("unit=u0.parquet"))
    target = place.format(file=str(file).replace("'", "''"))
    with pytest.raises(InputError, match=f"writes none|{NO_COPY}"):
        ask(connection, f"WITH x AS (COPY (SELECT 1) TO '{target}' {options}) FROM x")
    assert digests(tables) == before
