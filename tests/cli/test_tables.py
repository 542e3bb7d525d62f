"""`nla-ray sql` and `nla-ray verify`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from nla_ray.store import open_run, open_store
from nla_ray.store.layout import unit_key
from tests.cli.conftest import Invoke
from tests.store.rows import RECORD, plan_of, rows_of

HOSTILE = '[bold]\x1b[31mred\u202e,\n"quoted"'


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    run = open_run(open_store(tmp_path / "tables"), plan_of(units=2))
    for unit_id in run.missing():
        run.write(unit_id, rows_of(unit_id, says=HOSTILE))
    run.commit(RECORD)
    return tmp_path / "tables"


def test_a_table_shows_hostile_text_as_text(tables: Path, invoke: Invoke) -> None:
    ended = invoke("sql", tables, "SELECT explanation, cos, n_tokens FROM explanations LIMIT 1")
    assert ended.code == 0 and "[bold]" in ended.out and "\\x1b[31mred\\u202e" in ended.out
    assert not {"\x1b", "\u202e"} & set(ended.out)


def test_csv_and_json_give_every_value_back(tables: Path, invoke: Invoke) -> None:
    sql = "SELECT explanation, flags, 'nan'::FLOAT AS nan, DATE '2026-01-02' AS day, "
    sql += "{'a': [1]} AS nested FROM controls"
    found = json.loads(invoke("sql", tables, sql, "--format", "json").out)
    assert (
        found
        == [{"explanation": HOSTILE, "flags": [], "nan": None, "day": "2026-01-02", "nested": {"a": [1]}}] * 2
    )
    header, *rows = csv.reader(io.StringIO(invoke("sql", tables, sql, "--format", "csv").out))
    assert header == ["explanation", "flags", "nan", "day", "nested"]
    assert rows == [[HOSTILE, "[]", "", "2026-01-02", '{"a": [1]}']] * 2


def test_no_rows_are_an_answer_too(tables: Path, invoke: Invoke) -> None:
    sql = "SELECT run_id FROM runs WHERE false"
    assert json.loads(invoke("sql", tables, sql, "--format", "json").out) == []
    assert invoke("sql", tables, sql, "--format", "csv").out == "run_id\n"
    assert "run_id" in invoke("sql", tables, sql).out


def test_sql_from_a_file(tables: Path, tmp_path: Path, invoke: Invoke) -> None:
    (tmp_path / "query.sql").write_text("-- how many\nSELECT count(*) AS n FROM explanations;\n")
    assert invoke("sql", tables, "-f", tmp_path / "query.sql", "--format", "csv").out == "n\n6\n"


def test_unusable_sql_and_places_are_one_line(tables: Path, tmp_path: Path, invoke: Invoke) -> None:
    assert "either as an argument or in a file" in invoke("sql", tables).refused()
    assert "cannot read SQL" in invoke("sql", tables, "-f", tmp_path / "none.sql").refused()
    assert "exactly one SELECT" in invoke("sql", tables, "DROP VIEW runs").refused()
    assert "holds no tables" in invoke("sql", tmp_path / "none", "FROM runs").refused()
    assert "holds no tables" in invoke("verify", tmp_path / "none").refused()


def test_verify_says_that_all_is_well_or_what_is_not(tables: Path, invoke: Invoke) -> None:
    ended = invoke("verify", tables)
    assert ended.code == 0 and "1 runs, 2 files, 8 rows: all as committed" in ended.out
    assert "head run1 sha256:" in ended.out
    key = unit_key("explanations", "run1", "u1")
    (tables / key).unlink()
    ended = invoke("verify", tables)
    assert ended.code == 1 and f"missing    {key}:" in ended.out and "1 problems" in ended.out
