"""Which format a file has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nla_ray.errors import InputError
from nla_ray.imports.formats.sources import find_sources, format_of
from tests.imports.files import answer, json_file, jsonl_file, line, parquet_file, transcript


def test_formats_are_told_from_content(tmp_path: Path) -> None:
    files = [
        json_file(tmp_path / "a.txt", [answer()]),
        jsonl_file(tmp_path / "b.json", ["{corrupt", line(0)]),
        parquet_file(tmp_path / "c", {"explanation": ["One."]}),
        tmp_path / "d.jsonl",
    ]
    files[3].write_text(transcript([("PROMPT", "a", "One.")]))
    found = find_sources([str(file) for file in reversed(files)])
    assert [(source.name, source.format) for source in found] == [
        ("a.txt", "json"),
        ("b.json", "jsonl"),
        ("c", "parquet"),
        ("d.jsonl", "transcript"),
    ]
    assert [source.stem for source in found] == ["a", "b", "c", "d"]
    assert all(source.bytes == Path(source.path).stat().st_size for source in found)


@pytest.mark.parametrize(
    ("head", "form"),
    [
        (json.dumps({"run_name": "x", "explanations": []}, indent=1), "json"),
        ('{"a": 1, "explanations" : [' + "x" * 10, "json"),
        ('[\n{"explanation": "a"},\n{"explanation": "b"}\n]', "json"),
        ('[{"description": "a", "l2_norm": 1.0}]', "json"),
        (json.dumps({"results": [{"description": "a", "cosine_similarity": 1.0}]}, indent=1), "json"),
        (json.dumps({"layer_index": 2, "results": [{"description": "a", "l2_norm": 1.0}]}), "json"),
        (json.dumps({"id": 1, "pos": 2, "samples": ["a"]}), "jsonl"),
        (json.dumps({"nla_output": "a", "more": {"explanations": []}}), "jsonl"),
        ("\ufeff" + json.dumps(line(0)), "jsonl"),
        (json.dumps({"explanation": None}), "jsonl"),
        (json.dumps({"other": 1}) + "\n" + json.dumps(line(0, text='"explanations": [')), "jsonl"),
        ("[" * 10_000 + "\n" + json.dumps(line(0)), "jsonl"),
        ("[ 12]  REPLY   token='x'", "transcript"),
    ],
)
def test_beginnings(head: str, form: str) -> None:
    assert format_of("file", head.encode()) == form


@pytest.mark.parametrize(
    "head", [b"\x00\x01", b"plain text", b"[1, 2]", b'{"a": "\\"explanations\\": ["}', b"{}"]
)
def test_other_files_are_refused_with_what_was_looked_for(head: bytes) -> None:
    with pytest.raises(InputError, match=r"f\.x: none of the known formats; looked for Parquet, .* --format"):
        format_of("f.x", head)


@pytest.mark.parametrize("row", [{"activation": [0.5]}, {"id": 1, "tokens": ["a"], "scores": [1.0]}])
def test_a_file_of_something_else_is_refused_by_name(row: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"f\.x:2: (vectors|a readout)"):
        format_of("f.x", b"\n" + json.dumps(row).encode())


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    one = jsonl_file(tmp_path / "one.jsonl", [line(0)])
    two = jsonl_file(tmp_path / "two.jsonl", [line(0)])
    (tmp_path / "empty").touch()
    for files, message in (
        ([one, two], "one.jsonl and .*two.jsonl: the same content"),
        ([one, one], "the same content"),
        ([tmp_path / "empty"], "empty: is empty"),
        ([tmp_path / "none"], "none: no such file"),
        ([tmp_path], "cannot read this file: Is a directory"),
    ):
        with pytest.raises(InputError, match=message):
            find_sources([str(file) for file in files])


def test_a_format_by_name_is_believed(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_text("nothing to be seen here\n")
    assert find_sources([str(file)], "jsonl")[0].format == "jsonl"
