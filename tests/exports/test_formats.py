"""What each format holds, read by those readers that are at hand."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.files.sources import corpus_files
from nla_ray.exports.export import export_tables
from nla_ray.exports.record import Choice
from nla_ray.store import connect, open_run, open_store
from nla_ray.store.parts import groups, parts
from nla_ray.tables import EXPLANATIONS, SCHEMAS, table_of
from tests.exports.conftest import ROWS, SAID
from tests.store.rows import RECORD, plan_of, rows_of

Export = Callable[..., Path]
ALL = {"explanations": ROWS, "documents": 3, "activations": 12}


@pytest.fixture
def export(tables: Path, tmp_path: Path) -> Export:
    """`export("csv")`: the folder of an export."""

    def made(form: str, of: Path = tables, **options: Any) -> Path:
        export_tables(str(of), str(tmp_path / "to"), Choice(format=form, **options))
        return tmp_path / "to"

    return made


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_folder_of_parquet_is_what_readers_expect(export: Export) -> None:
    folder = export("parquet", activations=True, delta=True)
    assert {name: len(pandas.read_parquet(folder / name)) for name in ALL} == ALL
    for name in ALL:
        assert pq.read_schema(folder / name / "part-00000.parquet").equals(SCHEMAS[name])
    found = duckdb.sql(
        f"SELECT min(fve_nrm), max(fve_nrm), any_value(explanation) FROM '{folder}/explanations/*.parquet'"
    )
    assert found.fetchall() == [(0.5, 0.5, SAID)]


def test_row_groups_and_files_have_a_good_size() -> None:
    batches = [pa.record_batch({"x": pa.array(range(n * 10, n * 10 + 10))}) for n in range(25)]
    gathered = list(groups(iter(batches), rows=100))
    assert [table.num_rows for table in gathered] == [100, 100, 50]
    files = list(parts(iter(gathered), lambda sink: pq.ParquetWriter(sink, batches[0].schema), full=500))
    read = [pq.ParquetFile(pa.BufferReader(data)) for data, _ in files]
    assert [rows for _, rows in files] == [file.metadata.num_rows for file in read] and len(files) > 1
    assert [x for file in read for x in file.read()["x"].to_pylist()] == list(range(250))


def test_a_delta_log_names_every_file_and_column(export: Export) -> None:
    folder = export("parquet", delta=True)
    actions = lines(folder / "documents" / "_delta_log" / f"{0:020}.json")
    found = {name: action for line in actions for name, action in line.items()}
    fields = json.loads(found["metaData"]["schemaString"])["fields"]
    assert [field["name"] for field in fields] == SCHEMAS["documents"].names
    ends = next(field for field in fields if field["name"] == "token_ends")
    assert ends["type"] == {"type": "array", "elementType": "integer", "containsNull": True}
    file = folder / "documents" / found["add"]["path"]
    assert found["add"]["size"] == file.stat().st_size
    assert json.loads(found["add"]["stats"]) == {"numRecords": 3}


def test_csv_gives_back_what_was_said_behind_an_apostrophe(export: Export) -> None:
    data = (export("csv", runs=("second",)) / "explanations" / "part-00000.csv").read_bytes().decode()
    header, *rows = csv.reader(io.StringIO(data, newline=""), strict=True)
    assert header == EXPLANATIONS.names and data.endswith("\r\n")
    assert {row[header.index("explanation")] for row in rows} == {f"'{SAID}"}
    assert [row[header.index("position")] for row in rows] == ["0", "1", "2", "3"]


def test_a_saved_data_set_is_one_to_our_own_reader(export: Export) -> None:
    folder = export("datasets") / "documents"
    (source,) = corpus_files(Corpus(paths=[str(folder)], text="text"))
    assert source.format == "arrow"
    with pa.OSFile(source.path) as file:
        table = pa.ipc.open_stream(file).read_all()
    assert table.schema == SCHEMAS["documents"] and set(table["text"].to_pylist()) == {SAID}
    assert json.loads((folder / "state.json").read_bytes())["_fingerprint"]


def test_a_readout_has_every_answer_of_a_position(export: Export, tmp_path: Path) -> None:
    path = tmp_path / "tables"
    rows = rows_of("u0").to_pylist()[2:]
    rows += [rows[0] | {"sample": 1, "outcome": "empty", "explanation": None, "token": "tea"}]
    rows += [rows[0] | {"sample": 2, "outcome": "length", "explanation": "cut"}]
    rows += [rows[1] | {"row_id": "far", "position": None}]
    plan = plan_of(units=1).model_copy(update={"units": {"u0": len(rows)}})
    run = open_run(open_store(path), plan)
    run.write("u0", table_of(rows, EXPLANATIONS))
    run.commit(RECORD)
    folder = export("workspacebench", of=path)
    said = "it is about tests"
    assert lines(folder / "run1.jsonl") == [
        {"id": "doc-u0", "layer": 3, "pos": 2, "token": "tea", "samples": [said, "", "cut"]},
        {"id": "doc-u0", "layer": 3, "pos": 3, "samples": [said]},
    ]
    assert json.loads((folder / "export.json").read_bytes())["left_out"] == {"without a position or layer": 1}


def test_a_scan_has_a_row_per_answer_and_names_failures(export: Export) -> None:
    (folder,) = export("scout").glob("scan_id=*")
    rows = pq.read_table(folder / "nla_ray.parquet").to_pylist()
    spec = json.loads((folder / "_scan.json").read_bytes())
    summary = json.loads((folder / "_summary.json").read_bytes())
    assert len(rows) == len({row["uuid"] for row in rows}) == summary["scanners"]["nla_ray"]["results"] == 8
    assert {row["scan_id"] for row in rows} == {spec["scan_id"]} and spec["scanners"].keys() == {"nla_ray"}
    assert {(row["value"], row["value_type"], row["explanation"]) for row in rows} == {
        ("0.5", "number", SAID)
    }
    assert {row["transcript_id"] for row in rows} == {"doc-u0", "doc-u1"}
    errors = lines(folder / "_errors.jsonl")
    assert len(errors) == sum(row["scan_error"] is not None for row in rows) == 3


@pytest.mark.parametrize(
    ("meta", "transcript"),
    [
        ('{"transcript_id": "t", "uuid": "u"}', "t"),
        ('{"uuid": "u"}', "u"),
        ('{"uuid": null}', "doc-u0"),
        ('["uuid"]', "doc-u0"),
        (None, "doc-u0"),
        ("{", "doc-u0"),
    ],
)
def test_a_scan_finds_the_transcript(
    export: Export, tmp_path: Path, meta: str | None, transcript: str
) -> None:
    path = tmp_path / "tables"
    row = rows_of("u0").to_pylist()[2] | {"meta": meta, "mse_nrm": float("nan")}
    run = open_run(open_store(path), plan_of(units=1).model_copy(update={"units": {"u0": 1}}))
    run.write("u0", table_of([row], EXPLANATIONS))
    run.commit(RECORD)
    (file,) = export("scout", of=path).glob("*/nla_ray.parquet")
    (found,) = pq.read_table(file).to_pylist()
    assert (found["transcript_id"], found["value"], found["value_type"]) == (transcript, None, "null")
    assert json.loads(found["input_ids"]) == [transcript]


def test_what_is_exported_is_what_sql_sees(tables: Path, export: Export) -> None:
    columns = "run_id, row_id, sample, outcome, explanation, round(fve_nrm, 5)"
    mine = duckdb.sql(f"SELECT {columns} FROM '{export('parquet')}/explanations/*.parquet'").fetchall()
    theirs = connect(tables).sql(f"SELECT {columns} FROM all_explanations").fetchall()
    assert sorted(mine) == sorted(theirs)
