"""Imports into real stores: all formats, taken up again, beside other runs."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import s3fs

from nla_ray.config.reading.importing import ImportOptions
from nla_ray.errors import ConfigError, InputError
from nla_ray.pipelines.importing import Progress, import_files
from nla_ray.store import connect, open_run, open_store, verify
from tests.imports.files import (
    json_file,
    jsonl_file,
    line,
    parquet_file,
    vectors,
)
from tests.pipelines.importing.imported import imported, rows
from tests.store.rows import RECORD, plan_of, rows_of

OPTIONS = ImportOptions()


def test_all_formats_into_one_run(files: list[str], place: str) -> None:
    done = imported(files, place, run_name=None, layer=20)
    assert not done.before and done.summary["rows"] == 12
    assert done.summary["outcomes"] == {"empty": 1, "failed": 2, "ok": 8, "unclosed": 1}
    assert done.summary["controls"] == {"real": 11, "shuffled": 1}
    assert done.summary["kept"] == {"documents": 1}
    found = rows(place)
    assert len(found) == 12 and {row["provenance"] for row in found} == {"imported"}
    assert [row["doc_id"] for row in found] == [
        "example", "example", "lines", "lines", "lines:3", "sweep-a/3", "sweep-a/3", "sweep-a/3",
        "sweep/0", "sweep/1", "sweep/2", "sweep/3",
    ]  # fmt: skip
    assert rows(place, "SELECT layer, fve_baseline, rows FROM runs") == [
        {"layer": 20, "fve_baseline": None, "rows": 12}
    ]
    assert verify(place) == []


def test_the_same_files_again_change_nothing(files: list[str], place: str) -> None:
    first = imported(files, place)
    before = rows(place)
    again = imported(reversed_copy := list(reversed(files)), place)
    assert again.before and (again.run_id, again.summary) == (first.run_id, first.summary)
    assert rows(place) == before and reversed_copy != files


def test_a_file_is_imported_once(files: list[str], tables: str) -> None:
    done = imported(files[:1], tables)
    for options in ({}, {"layer": 3}):
        with pytest.raises(ConfigError, match=rf"sweep\.json: its results are in .* as run {done.run_id}"):
            imported(files if not options else files[:1], tables, **options)
    assert imported(files[1:], tables).summary["rows"] == 9
    assert len(rows(tables)) == 12


def test_folder_and_s3_hold_the_same_rows(files: list[str], tables: str, s3: str) -> None:
    assert imported(files, tables).run_id == imported(files, s3).run_id
    assert rows(tables) == rows(s3)


def test_files_are_read_from_s3_too(files: list[str], tables: str, s3: str) -> None:
    there = s3fs.S3FileSystem()
    urls = [f"{s3}/in/{Path(file).name}" for file in files]
    for file, url in zip(files, urls, strict=True):
        name, _, key = url.removeprefix("s3://").partition("/")
        there.call_s3("put_object", Bucket=name, Key=key, Body=Path(file).read_bytes())
    assert imported(urls, f"{s3}/out").run_id == imported(files, tables).run_id
    assert rows(f"{s3}/out") == rows(tables)
    with pytest.raises(InputError, match="none: no such file, folder or bucket"):
        imported([f"{s3}/in/none"], f"{s3}/out")


def test_an_interrupted_import_is_taken_up(files: list[str], place: str, tmp_path: Path) -> None:
    imported(files, str(tmp_path / "whole"))

    def report(now: Progress) -> None:
        if now.doing == "importing" and now.done >= 5:
            raise KeyboardInterrupt

    for written in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            import_files(files, place, OPTIONS, report=report)
        assert len(open_store(place).entries("explanations/")) == written
    with pytest.raises(InputError, match="no run is committed yet"):
        connect(place)
    done = imported(files, place)
    assert not done.before and rows(place) == rows(str(tmp_path / "whole"))


def test_beside_other_runs(files: list[str], place: str) -> None:
    run = open_run(open_store(place), plan_of(units=2))
    for unit_id in run.missing():
        run.write(unit_id, rows_of(unit_id))
    run.commit(RECORD)
    imported(files, place)
    found = rows(place, "SELECT provenance, count(*) AS n FROM all_explanations GROUP BY ALL ORDER BY ALL")
    assert found == [{"provenance": "decoded", "n": 8}, {"provenance": "imported", "n": 12}]
    assert verify(place) == []


def test_rows_of_a_transcript_have_its_document_and_baseline(files: list[str], tables: str) -> None:
    imported(files[3:], tables, ar="not/this", run_name="told")
    first, second = rows(tables)
    assert (first["token"], first["role"], second["role"]) == ("<s>", None, "assistant")
    assert second["explanation"] == "A cat.\n\nIt sits." and second["meta"] == '{"section": "REPLY"}'
    assert (second["layer"], second["av"], second["ar"]) == (20, "someone/pair-L20-av", "someone/pair-L20-ar")
    assert [round(second[name], 3) for name in ("norm", "cos", "mse_nrm", "fve_nrm")] == [
        115.8,
        0.906,
        0.188,
        0.744,
    ]
    (document,) = rows(tables, "FROM documents")
    assert (document["doc_id"], document["text"], document["token_ends"]) == ("told", "<s> cat", [3, 7])
    assert (document["roles"], document["response_start"]) == ([None, "assistant"], 1)
    (run,) = rows(tables, "FROM runs")
    assert (run["fve_baseline"], run["fve_reference"]) == (0.7335, "stated in example.txt")
    assert (run["target"], run["layer"]) == ("someone/model-7b", 20)


def test_positions_are_numbered_as_they_come(tmp_path: Path, tables: str) -> None:
    imported(
        [jsonl_file(tmp_path / "x.jsonl", [line(0, "One."), line(1, "Two."), line(0, "Three.")])], tables
    )
    found = [(row["position"], row["sample"], row["explanation"]) for row in rows(tables)]
    assert found == [(0, 0, "One."), (0, 1, "Three."), (1, 0, "Two.")]


def test_one_position_in_several_layers_is_several_vectors(tmp_path: Path, tables: str) -> None:
    readouts = [{"id": "x", "layer": layer, "pos": 16, "samples": ["One.", "Two."]} for layer in (20, 42)]
    imported([jsonl_file(tmp_path / "x.jsonl", readouts)], tables)
    found = rows(tables, "SELECT layer, sample, row_id FROM explanations ORDER BY ALL")
    assert [(row["layer"], row["sample"]) for row in found] == [(20, 0), (20, 1), (42, 0), (42, 1)]
    assert len({row["row_id"] for row in found}) == 2 and verify(tables) == []


def test_a_described_list_and_a_mapped_control(tmp_path: Path, tables: str) -> None:
    described = [
        {
            "position": 40 + n,
            "description": f"Number {n}.",
            "l2_norm": 9.0,
            "cosine_similarity": 0.5,
            "mse": 1.0,
        }
        for n in range(3)
    ]
    described[2]["control"] = "zero"
    (tmp_path / "list.json").write_text(json.dumps(described, indent=1))
    (tmp_path / "page.json").write_text(json.dumps({"layer_index": 20, "results": described[:1]}))
    imported([tmp_path / "list.json", tmp_path / "page.json"], tables, layer=20, control={"zero": "none"})
    found = rows(
        tables, "SELECT doc_id, control, layer, norm, cos, mse_nrm FROM all_explanations ORDER BY ALL"
    )
    numbers = {"layer": 20, "norm": 9.0, "cos": 0.5, "mse_nrm": 1.0}
    assert found == [
        {"doc_id": doc_id, "control": control} | numbers
        for doc_id, control in (("list", "none"), ("list", "real"), ("list", "real"), ("page", "real"))
    ]


def test_vectors_give_fidelity_and_are_kept_if_asked_for(files: list[str], tables: str) -> None:
    done = imported(files[2:3], tables, layer=20, activations=True)
    found = rows(tables)
    own, rebuilt = vectors(4).astype(float), vectors(4, seed=1).astype(float)
    expected = (own * rebuilt).sum(1) / np.linalg.norm(own, axis=1) / np.linalg.norm(rebuilt, axis=1)
    assert np.allclose(
        [row["cos"] or np.nan for row in found], [*expected[:2], np.nan, expected[3]], equal_nan=True
    )
    assert np.allclose([row["norm"] for row in found[:2]], [1.5, np.linalg.norm(own[1])])
    kept = rows(tables, "FROM activations ORDER BY n_raw_tokens")
    assert done.summary["kept"] == {"activations": 3}
    assert [(row["doc_id"], row["n_raw_tokens"], row["activation_layer"]) for row in kept] == [
        ("sweep/0", 51, 20), ("sweep/1", 61, 20), ("sweep/3", 81, 20),
    ]  # fmt: skip
    assert np.array_equal(np.array(kept[1]["activation_vector"], dtype=np.float32), vectors(4)[1])
    assert verify(tables) == []


def test_vectors_are_not_kept_unasked_or_without_a_layer(
    files: list[str], tables: str, tmp_path: Path
) -> None:
    assert imported(files[2:3], tables, layer=20).summary["kept"] == {}
    other = imported(files[2:3], str(tmp_path / "other"), activations=True)
    assert other.summary["kept"] == {"activations": 0}


def test_every_value_comes_back(tmp_path: Path, tables: str) -> None:
    """Random results in three formats: what went in under a known name is in its column, the rest in meta."""
    draw = random.Random(7)
    texts = [
        "A cat.",
        "",
        "<explanation>Half",
        "猫の話です",
        "a\u202eb\x00c",
        "🙂",
        "x" * 3000,
        "{}",
        "'\"\\\n\t",
    ]
    extras = [1, "x", [1, {"a": None}], None, True]
    results = [
        {
            "explanation": draw.choice(texts),
            "pos": n // 3,
            "prompt_idx": draw.randrange(3),
            "token": draw.choice(texts),
            "cos": draw.choice([0.5, -1.0, 1e-9, None]),
            "extra": draw.choice(extras),
        }
        for n in range(300)
    ]
    made = [
        json_file(tmp_path / "a.json", results, run_name="json"),
        jsonl_file(tmp_path / "jsonl.jsonl", results),
        parquet_file(tmp_path / "parquet.parquet", pa.Table.from_pylist(
            [{**result, "extra": json.dumps(result["extra"])} for result in results]).to_pydict()),
    ]  # fmt: skip
    imported(made, tables)
    found = rows(tables)
    for form in ("json", "jsonl", "parquet"):
        ours = [row for row in found if row["doc_id"].startswith(f"{form}/")]
        assert sorted(shown(row) for row in ours) == sorted(given(result, form) for result in results)
    assert verify(tables) == []


def shown(row: dict[str, Any]) -> str:
    whole = row["raw_text"] if row["raw_text"] is not None else row["explanation"] or ""
    cos = row["cos"] and round(row["cos"], 12)
    return json.dumps([row["doc_id"], row["position"], row["token"], cos, whole, row["meta"]])


def given(result: dict[str, Any], form: str) -> str:
    extra = json.dumps(result["extra"]) if form == "parquet" else result["extra"]
    meta = None if extra is None else json.dumps({"extra": extra})
    cos = result["cos"] and round(float(np.float32(result["cos"])), 12)
    doc_id, whole = f"{form}/{result['prompt_idx']}", result["explanation"].strip()
    return json.dumps([doc_id, result["pos"], result["token"], cos, whole, meta])
