"""Reading a corpus: files as a whole are errors, rows are rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nla_ray.config.decode import Corpus
from nla_ray.errors import InputError
from nla_ray.stages.documents import Document, read_documents

CHAT = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day"}]


def read(*paths: Path, **settings: Any) -> list[Document]:
    columns = {"text": "text"} if "messages" not in settings else {}
    return list(read_documents(Corpus(paths=tuple(map(str, paths)), **columns, **settings)))


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path


def test_text_with_ids_and_meta(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"id": 7, "text": "one", "truth": {"mood": "good"}, "other": 1})
    (document,) = read(path, id="id", meta=("truth",))
    assert (document.doc_id, document.text, document.problem) == ("7", "one", None)
    assert json.loads(document.meta or "") == {"truth": {"mood": "good"}}


def test_without_an_id_column_the_id_is_the_content(tmp_path: Path) -> None:
    here, there = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    (one,) = read(jsonl(here, {"text": "same"}))
    (other,) = read(jsonl(there, {"text": "same", "more": 1}))
    assert one.doc_id == other.doc_id and len(one.doc_id) == 32


def test_parquet_and_jsonl_give_the_same_documents(tmp_path: Path) -> None:
    rows = [{"id": "a", "messages": CHAT}, {"id": "b", "messages": CHAT[:1]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "c.parquet")
    from_parquet = read(tmp_path / "c.parquet", messages="messages", id="id")
    from_jsonl = read(jsonl(tmp_path / "c.jsonl", *rows), messages="messages", id="id")
    assert [document.messages for document in from_parquet] == [tuple(CHAT), tuple(CHAT[:1])]
    assert [d.content_digest() for d in from_parquet] == [d.content_digest() for d in from_jsonl]


def test_with_both_columns_a_row_with_messages_is_a_chat(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"text": "plain"}, {"text": "ignored", "messages": CHAT})
    corpus = Corpus(paths=(str(path),), text="text", messages="messages")
    plain, chat = read_documents(corpus)
    assert (plain.text, plain.messages) == ("plain", None)
    assert (chat.text, chat.messages) == (None, tuple(CHAT))


def test_folders_are_read_in_name_order_up_to_the_limit(tmp_path: Path) -> None:
    jsonl(tmp_path / "b.jsonl", {"text": "second"}, {"text": "third"})
    jsonl(tmp_path / "a.jsonl", {"text": "first"})
    (tmp_path / "notes.md").write_text("not a corpus")
    assert [document.text for document in read(tmp_path, limit=2)] == ["first", "second"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{broken\n", "not a line of JSON"),
        ("[1, 2]\n", "found list where an object belongs"),
        ({"text": ""}, "'text' is empty"),
        ({"text": "  \n"}, "'text' is empty"),
        ({"text": None}, "NoneType where text belongs"),
        ({"text": ["a"]}, "list where text belongs"),
        ({"other": "a"}, "NoneType where text belongs"),
        ('{"text": "\\ud800"}\n', "lone surrogate"),
        ("[" * 100_000 + "\n", "not a line of JSON"),
    ],
)
def test_a_bad_row_is_a_document_with_a_problem(tmp_path: Path, row: object, problem: str) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"text": "good"}, row, {"text": "also good"})
    first, bad, last = read(path)
    assert (first.problem, last.problem) == (None, None)
    assert problem in str(bad.problem)
    assert bad.text is None and bad.doc_id == f"{path}:2"


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([], "an empty list"),
        ("hello", "found str"),
        (["hello"], "message 0 is str"),
        ([{"role": "user"}], "message 0: 'content' holds NoneType"),
        ([{"role": "", "content": "x"}], "message 0: 'role' is empty"),
        ([{"role": "user", "content": [{"type": "image"}]}], "'content' holds list"),
    ],
)
def test_bad_messages_are_a_problem(tmp_path: Path, messages: object, problem: str) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"id": "x", "messages": messages})
    (document,) = read(path, messages="messages", id="id")
    assert problem in str(document.problem)
    assert (document.doc_id, document.messages) == ("x", None)


@pytest.mark.parametrize("bad", [None, True, 1.5, "", "\ud800", ["a"]])
def test_a_bad_id_is_a_problem(tmp_path: Path, bad: object) -> None:
    (document,) = read(jsonl(tmp_path / "a.jsonl", {"id": bad, "text": "x"}), id="id")
    assert "where an id belongs" in str(document.problem)


def test_a_repeated_document_is_a_problem(tmp_path: Path) -> None:
    first, second = read(jsonl(tmp_path / "a.jsonl", {"text": "same"}, {"text": "same"}))
    assert first.problem is None
    assert "used twice" in str(second.problem)
    assert first.doc_id != second.doc_id


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "empty.jsonl").write_text("\n\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.csv").write_text("text\n")
    jsonl(tmp_path / "columns.jsonl", {"body": "x", "title": "y"})
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "columns.parquet")
    for name, message in {
        "missing.jsonl": "no such corpus file",
        "bad.parquet": "cannot read this Parquet file",
        "empty.jsonl": "holds no documents",
        "folder": "no corpus files in this folder",
        "a.csv": "unknown corpus format '.csv'; expected .jsonl or .parquet",
        "columns.jsonl": "no column 'text'; the columns are body, title",
        "columns.parquet": "no column 'text'; the columns are body",
    }.items():
        with pytest.raises(InputError, match=message) as caught:
            read(tmp_path / name)
        assert name in str(caught.value)
