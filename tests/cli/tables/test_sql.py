"""`nla-ray sql`: answers as tables and files, and what cannot be asked."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
import termios
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nla_ray.errors import Exit
from nla_ray.store import open_run, open_store
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


VALUES = """SELECT explanation, flags, 'nan'::FLOAT AS nan, DATE '2026-01-02' AS day, {'a': [1]} AS nested,
    sum(n_tokens) AS tokens, 1.5::DECIMAL(4, 1) AS decimal, NULL AS nothing, '' AS empty, true AS yes
    FROM controls GROUP BY ALL"""


def test_json_gives_every_value_back(tables: Path, invoke: Invoke) -> None:
    found = json.loads(invoke("sql", tables, VALUES, "--format", "json").out)
    assert found == [
        {
            "explanation": HOSTILE, "flags": [], "nan": "NaN", "day": "2026-01-02", "nested": {"a": [1]},
            "tokens": 10, "decimal": 1.5, "nothing": None, "empty": "", "yes": True,
        }
    ]  # fmt: skip


TYPES = {
    "TIMESTAMPTZ '2026-01-02 03:04:05.5+02'": "2026-01-02 01:04:05.500000+00:00",
    "TIMESTAMP_NS '2026-01-02 03:04:05.123456789'": "2026-01-02 03:04:05.123456789",
    "TIMESTAMP_S '2026-01-02 03:04:05'": "2026-01-02 03:04:05",
    "TIME_NS '01:02:03.5'": "01:02:03.500000",
    "INTERVAL '1 day'": "P0M1DT0S",
    "'00000000-0000-0000-0000-00000000000a'::UUID": "00000000-0000-0000-0000-00000000000a",
    r"'a\xFF'::BLOB": "61ff",
    "170141183460469231731687303715884105727::HUGEINT": 2**127 - 1,
    "[{'at': DATE '2026-01-02', 'of': MAP {'k': 'inf'::FLOAT}}]": [
        {"at": "2026-01-02", "of": [["k", "inf"]]}
    ],
    "12345678901234567890.10::DECIMAL(38, 2)": Decimal("12345678901234567890.10"),
    "[1.25::DECIMAL(38, 2), NULL]": [Decimal("1.25"), None],
    "'-inf'::DOUBLE": "-inf",
}


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_every_type_is_told_by_the_console_script(tables: Path, form: str) -> None:
    code = "from nla_ray.cli import main; main()"
    sql = "SELECT " + ", ".join(f"{one} AS c{at}" for at, one in enumerate(TYPES))
    command = [sys.executable, "-c", code, "sql", str(tables), sql, "--format", form]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "TZ": "UTC", "COLUMNS": "120"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr
    if form == "json":
        (row,) = json.loads(ended.stdout, parse_float=Decimal)
        assert list(row.values()) == list(TYPES.values())
    else:
        told = ended.stdout.replace('""', '"')
        assert [one for one in map(str, leaves(list(TYPES.values()))) if one not in told] == []


def leaves(value: object) -> list[object]:
    """What is in lists and objects."""
    if isinstance(value, list | dict):
        inside = value.values() if isinstance(value, dict) else value
        return [leaf for one in inside for leaf in leaves(one)]
    return [] if value is None else [value]


def test_a_time_without_end_is_refused_in_a_line(tables: Path, invoke: Invoke) -> None:
    ended = invoke("sql", tables, "SELECT 'infinity'::DATE AS late FROM runs")
    assert "late has times outside the years 1 to 9999" in ended.refused()


def test_csv_gives_every_value_back(tables: Path, invoke: Invoke) -> None:
    out = invoke("sql", tables, VALUES, "--format", "csv").out
    header, *rows = csv.reader(io.StringIO(out))
    assert header[:3] == ["explanation", "flags", "nan"]
    assert rows == [[HOSTILE, "[]", "NaN", "2026-01-02", '{"a": [1]}', "10", "1.5", "", "", "true"]]
    assert out.endswith(',10,1.5,,"",true\n')


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", " =1", "＝1", "\u00a0=1"])
def test_no_cell_of_csv_is_a_formula(tables: Path, invoke: Invoke, text: str) -> None:
    sql = f"SELECT '{text}' AS \"=name\", -1 AS number"
    header, row = csv.reader(io.StringIO(invoke("sql", tables, sql, "--format", "csv").out, newline=""))
    assert header == ["'=name", "number"] and row == [f"'{text}", "-1"]


def test_parquet_keeps_types(tables: Path, tmp_path: Path, invoke: Invoke) -> None:
    path = tmp_path / "answer.parquet"
    sql = "SELECT explanation, fve_nrm, flags FROM explanations, range(100000)"
    assert invoke("sql", tables, sql, "-o", path).code == 0
    file = pq.ParquetFile(path)
    assert file.metadata.num_rows == 600_000 and file.metadata.num_row_groups < 12
    assert file.schema_arrow.field("fve_nrm").type == pa.float32()
    assert file.read_row_group(0)["explanation"][0].as_py() == HOSTILE


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_a_file_is_whole_and_is_not_overwritten(
    tables: Path, tmp_path: Path, invoke: Invoke, ending: str
) -> None:
    path = tmp_path / f"answer.{ending}"
    assert invoke("sql", tables, "SELECT error('late') FROM runs", "-o", path).refused()
    assert "--max-rows" in invoke("sql", tables, "FROM range(9)", "-o", path, "--max-rows", 8).refused()
    assert list(tmp_path.glob("*answer*")) == []
    assert invoke("sql", tables, "SELECT 1 AS one", "-o", path).code == 0
    before = path.read_bytes()
    assert "overwrite it with --force" in invoke("sql", tables, "SELECT 2 AS two", "-o", path).refused()
    assert path.read_bytes() == before
    assert invoke("sql", tables, "SELECT 2 AS two", "-o", path, "--force").code == 0
    assert path.read_bytes() != before


def test_no_rows_are_an_answer_too(tables: Path, invoke: Invoke) -> None:
    sql = "SELECT run_id FROM runs WHERE false"
    assert json.loads(invoke("sql", tables, sql, "--format", "json").out) == []
    assert invoke("sql", tables, sql, "--format", "csv").out == '"run_id"\n'
    assert "run_id" in invoke("sql", tables, sql).out
    assert invoke("sql", tables, "FROM explanations WHERE false").out == "no rows\n"


def test_many_columns_are_shown_below_each_other(tables: Path, invoke: Invoke) -> None:
    lines = invoke("sql", tables, "FROM explanations LIMIT 1").out.splitlines()
    assert max(map(len, lines)) <= 80 and any("fve_nrm" in line and "0.5" in line for line in lines)


@pytest.mark.parametrize(("rows", "paged"), [(3, False), (60, True)])
def test_a_table_longer_than_the_screen_is_paged(tables: Path, rows: int, paged: bool) -> None:
    sql = f"SELECT explanation AS said FROM explanations, range({rows}) LIMIT {rows}"
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 200))
    environment = {**os.environ, "PAGER": "sed s/^/paged:/", "TERM": "xterm-256color"}
    environment = {name: value for name, value in environment.items() if name not in ("LINES", "COLUMNS")}
    command = [sys.executable, "-c", "from nla_ray.cli import main; main()", "sql", str(tables), sql]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment) as process:
        os.close(slave)
        shown = b"".join(iter(lambda: _read(master), b"")).decode()
    os.close(master)
    assert process.returncode == 0 and shown.count("\\x1b[31mred\\u202e") == rows
    assert "\x1b[31m" not in shown and "\u202e" not in shown and ("paged:" in shown) is paged


def _read(terminal: int) -> bytes:
    """What a terminal shows next; nothing once no process holds it any more."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def test_a_long_table_ends_and_says_so(tables: Path, invoke: Invoke) -> None:
    ended = invoke("sql", tables, "SELECT i AS number FROM range(2000) AS r(i)")
    assert "999" in ended.out and "1000 " not in ended.out
    assert ended.err == "only the first 1000 rows are shown; --format csv has all\n"


@pytest.mark.parametrize("form", [(), ("-o", "answer.parquet")])
def test_neither_pandas_nor_duckdb_are_loaded_where_the_answer_is_shown(
    tables: Path, tmp_path: Path, form: tuple[str, ...]
) -> None:
    code = (
        "import atexit, sys; from nla_ray.cli import main\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "main()"
    )
    command = [sys.executable, "-c", code, "sql", str(tables), "SELECT * FROM explanations", *form]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    ended = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert ended.returncode == 0, ended.stderr
    loaded = set(ended.stderr.split())
    assert "pyarrow" in loaded and not {"pandas", "duckdb"} & loaded
    assert not form or pq.read_table(tmp_path / "answer.parquet").num_rows == 6


def test_sql_from_a_file(tables: Path, tmp_path: Path, invoke: Invoke) -> None:
    (tmp_path / "query.sql").write_text("-- how many\nSELECT count(*) AS n FROM explanations;\n")
    assert invoke("sql", tables, "-f", tmp_path / "query.sql", "--format", "csv").out == '"n"\n6\n'


def test_unusable_sql_and_places_are_one_line(tables: Path, tmp_path: Path, invoke: Invoke) -> None:
    assert "either as an argument or in a file" in invoke("sql", tables).refused()
    refused = invoke("sql", tables, "-f", tmp_path / "none.sql").refused(Exit.MISSING)
    assert "-f " in refused and "none.sql: no such file" in refused and "Errno" not in refused
    assert "exactly one SELECT" in invoke("sql", tables, "DROP VIEW runs").refused()
    assert "holds no tables" in invoke("sql", tmp_path / "none", "FROM runs").refused(Exit.MISSING)
    assert "holds no tables" in invoke("verify", tmp_path / "none").refused(Exit.MISSING)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "parquet"], "name a file with -o"),
        (["-o", "answer.xlsx"], "say with --format"),
        (["-o", "no/such/folder/answer.csv"], "cannot write it"),
        (["--memory", "much"], "write it as 2GB"),
        (["--memory", "1"], "needs more than 1B of memory; allow more with --memory"),
        (["--timeout", "0.1"], "no answer within 0.1 s; allow more with --timeout"),
    ],
)
def test_unusable_options_are_one_line(
    tables: Path, invoke: Invoke, arguments: list[str], message: str
) -> None:
    assert message in invoke("sql", tables, "FROM runs", *arguments).refused()


def test_columns_of_one_name_have_to_be_told_apart(tables: Path, tmp_path: Path, invoke: Invoke) -> None:
    sql = "SELECT 1 AS one, 2 AS one"
    assert "two columns are named one" in invoke("sql", tables, sql, "--format", "json").refused()
    assert "two columns are named one" in invoke("sql", tables, sql, "-o", tmp_path / "a.parquet").refused()
    assert invoke("sql", tables, "SELECT union_value(a := 1)", "-o", tmp_path / "b.parquet").refused()


@pytest.fixture
def weeks(tmp_path: Path) -> Path:
    """The same cell in two weeks."""
    for week in ("2026-W01", "2026-W02"):
        plan = plan_of(week, units=1).model_copy(update={"labels": {"week": week, "model": "m"}})
        run = open_run(open_store(tmp_path / "weeks"), plan, add=True)
        run.commit(RECORD, [run.write("u0", rows_of("u0", week))])
    return tmp_path / "weeks"


@pytest.mark.parametrize(
    "chosen", [("--label", "week=2026-W02", "--label", "model=m"), ("--runs", "2026-W02")]
)
def test_runs_are_chosen_by_label_and_by_id(weeks: Path, chosen: tuple[str, ...], invoke: Invoke) -> None:
    sql = "SELECT DISTINCT run_id, (SELECT count(*) FROM runs) AS runs FROM explanations"
    found = json.loads(invoke("sql", weeks, sql, "--format", "json", *chosen).out)
    assert found == [{"run_id": "2026-W02", "runs": 1}]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (("--label", "week=2026-W03"), "none of 2 runs has week 2026-W03; there are 2026-W01, 2026-W02"),
        (("--label", "sweep=s"), "none of 2 runs has sweep s; there are none with this label"),
        (("--runs", "w3"), "has no run w3; there are 2026-W01, 2026-W02"),
    ],
)
def test_runs_that_are_not_there_are_named(
    weeks: Path, chosen: tuple[str, ...], message: str, invoke: Invoke
) -> None:
    assert message in invoke("sql", weeks, "FROM runs", *chosen).refused(Exit.MISSING)


@pytest.mark.parametrize("label", ["owner=me", "week", "week="])
def test_what_is_no_label_is_one_line(weeks: Path, label: str, invoke: Invoke) -> None:
    ended = invoke("sql", weeks, "FROM runs", "--label", label)
    assert f"--label: {label} is none; write one of sweep, week" in ended.refused()
