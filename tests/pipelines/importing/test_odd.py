"""Imports of spoilt input: a row that cannot be read is a failed row, a file that is no result is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nla_ray.config.reading.importing import ImportOptions
from nla_ray.errors import InputError
from nla_ray.pipelines.importing import Progress, import_files
from tests.imports.files import (
    answer,
    json_file,
    jsonl_file,
    line,
    lists_of,
    parquet_file,
    transcript,
    vectors,
)
from tests.pipelines.importing.imported import imported, rows

OPTIONS = ImportOptions()


def test_a_transcript_without_all_its_tokens_has_no_document(tmp_path: Path, tables: str) -> None:
    gap = transcript([("PROMPT", "a", "One."), ("PROMPT", "b", "Two.")]).replace("[  0]", "[  7]")
    part = transcript([("PROMPT", "\ufffd", "One.")], header="", footer="")
    for name, text in (("gap.txt", gap), ("part.txt", part)):
        (tmp_path / name).write_text(text)
    assert imported([tmp_path / "gap.txt", tmp_path / "part.txt"], tables).summary["kept"] == {"documents": 0}
    assert rows(tables, "SELECT fve_baseline, target FROM runs") == [{"fve_baseline": None, "target": None}]


def test_bad_numbers_of_a_transcript_are_null(tmp_path: Path, tables: str) -> None:
    text = transcript([("PROMPT", "a", "One."), ("PROMPT", "b", "Two.")])
    text = text.replace("cos=0.906", "cos=0.9.6", 1).replace("||v||=115.8", "||v||=inf", 1)
    (tmp_path / "t.txt").write_text(text.replace("[  1]", "[99999999999]"))
    imported([tmp_path / "t.txt"], tables)
    failed, first = sorted(rows(tables), key=lambda row: str(row["outcome"]))
    assert (first["cos"], first["norm"], json.loads(first["meta"])["cos"]) == (None, None, "0.9.6")
    assert failed["reason"].startswith("t.txt:16: pos: found '99999999999' where 0 to 2147483647")
    assert json.loads(failed["meta"])["explanation"] == "Two."


def test_repeated_keys_are_failed_rows_and_nothing_is_lost(tmp_path: Path, tables: str) -> None:
    twice = [
        answer(20, 1),
        answer(20, 1, explanation="Another."),
        answer(20, None),
        answer(20, 0, kind="random"),
    ]
    second = json_file(tmp_path / "part2.json", [answer(20, 1), answer(21, 1)])
    imported([json_file(tmp_path / "part1.json", twice), second], tables)
    found = rows(
        tables, "SELECT sample, control, outcome, reason, meta FROM all_explanations ORDER BY reason, sample"
    )
    reason = "an earlier result has the same document, position, control and sample"
    assert [(row["sample"], row["control"], row["reason"]) for row in found] == [
        (0, "real", f"part1.json:2: {reason}"),
        (0, "real", f"part2.json:1: {reason}"),
        (0, "random", None),
        (1, "real", None),
        (1, "real", None),
        (2, "real", None),
    ]
    assert json.loads(found[0]["meta"])["explanation"] == "Another."


def test_lines_that_cannot_be_read(tmp_path: Path, tables: str) -> None:
    bad = ["{", "[1]", "7", '"text"', '{"nla_output": "x", "token_index": ' + "9" * 5000 + "}", "[" * 100_000]
    file = jsonl_file(tmp_path / "x.jsonl", [line(0), "", *bad, '{"nla_output": "NaN", "cos": NaN}'])
    file.write_bytes(
        file.read_bytes() + b'{"nla_output": "\xff"}\n{"nla_output": "\\ud800 cat", "token_index": 3}'
    )
    done = imported([file], tables)
    assert done.summary["outcomes"] == {"failed": len(bad) + 1, "ok": 3}
    failed = rows(tables, "SELECT doc_id, reason FROM failures ORDER BY reason")
    assert {row["doc_id"] for row in failed} == {f"x:{number}" for number in (3, 4, 5, 6, 7, 8, 10)}
    assert "x.jsonl:4: found list where an object belongs" in {row["reason"] for row in failed}
    assert rows(tables, "SELECT explanation FROM explanations WHERE position = 3") == [
        {"explanation": "\ufffd cat"}
    ]


@pytest.mark.parametrize("odd", [{"control": "teacher"}, {"scanner_name": "s", "scan_id": "1"}])
def test_a_row_of_something_else_refuses_the_file_before_anything_is_written(
    tmp_path: Path, tables: str, odd: dict[str, str]
) -> None:
    results = [answer(20), answer(21), answer(22) | odd]
    with pytest.raises(InputError, match=r"x\.json:3: .*(teacher|Scout)"):
        imported([json_file(tmp_path / "x.json", results)], tables)
    assert not Path(tables).exists()


@pytest.mark.slow
def test_more_samples_than_can_be_numbered(tmp_path: Path, tables: str) -> None:
    done = imported([jsonl_file(tmp_path / "x.jsonl", [line(0, "One.")] * 32_770)], tables)
    assert done.summary["outcomes"] == {"failed": 2, "ok": 32_768}


def test_a_damaged_row_group_is_one_problem(tmp_path: Path, tables: str) -> None:
    texts = [f"Text number {n} of them." for n in range(30)]
    plain = {
        "row_group_size": 10,
        "write_page_checksum": True,
        "use_dictionary": False,
        "compression": "none",
    }
    file = parquet_file(tmp_path / "x.parquet", {"explanation": texts}, **plain)
    data = file.read_bytes()
    file.write_bytes(data.replace(b"Text number 13 of", b"Text number 99 of"))
    done = imported([file], tables)
    assert done.summary["outcomes"] == {"failed": 1, "ok": 20}
    (failed,) = rows(tables, "SELECT doc_id, reason FROM failures")
    assert failed["doc_id"] == "x:11" and "x.parquet:11: rows 11 to 20 cannot be read: " in failed["reason"]
    assert [row["doc_id"] for row in rows(tables, "FROM explanations WHERE outcome = 'ok' LIMIT 1")] == [
        "x/1"
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"explanations": []}', "a.json: holds no results"),
        ("a.json", '{"explanations": [' + json.dumps(answer()), "a.json: cannot read this JSON file: "),
        ("a.jsonl", "", "a.jsonl: is empty"),
        ("a.parquet", "PAR1 and nothing more", "a.parquet: cannot read this Parquet file: "),
        ("a.txt", "hello", "a.txt: none of the known formats"),
    ],
)
def test_unusable_files(tmp_path: Path, tables: str, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        imported([tmp_path / name], tables)
    assert not Path(tables, "plans").exists()


def test_a_parquet_file_of_something_else_lists_its_columns(tmp_path: Path, tables: str) -> None:
    file = parquet_file(tmp_path / "x.parquet", {"text": ["a"], "id": [1]})
    with pytest.raises(InputError, match=r"x.parquet: no column 'explanation'; the columns are text, id"):
        imported([file], tables)
    only_vectors = parquet_file(tmp_path / "v.parquet", {"n": [1, 2], "resid_20": lists_of(vectors(2))})
    with pytest.raises(InputError, match=r"v.parquet: vectors without text; .* `corpus.vectors`"):
        imported([only_vectors], tables)


def test_files_of_one_name_need_the_name_of_their_run(tmp_path: Path, tables: str) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        jsonl_file(tmp_path / folder / "x.jsonl", [line(0, f"From {folder}.")])
    both = [tmp_path / "a" / "x.jsonl", tmp_path / "b" / "x.jsonl"]
    with pytest.raises(InputError, match="have one name, which names their documents"):
        imported(both, tables)
    imported(both, tables, run_name="sweep")
    assert sorted((row["doc_id"], row["sample"]) for row in rows(tables)) == [("sweep", 0), ("sweep", 1)]


def test_a_file_that_shrinks_meanwhile_is_named(tmp_path: Path, tables: str) -> None:
    file = jsonl_file(tmp_path / "x.jsonl", [line(0), line(1)])

    def report(now: Progress) -> None:
        if now.doing == "importing":
            jsonl_file(file, [line(0)])

    with pytest.raises(InputError, match=r"x\.jsonl: has changed since it was counted"):
        import_files([str(file)], tables, OPTIONS, report=report)
