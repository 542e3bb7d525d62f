"""Reading a corpus: files as a whole are errors, rows are rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.documents.find import read_documents
from nla_ray.errors import InputError

CHAT = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day"}]


def read(*paths: Path, **settings: Any) -> list[Document]:
    columns = {"text": "text"} if "messages" not in settings else {}
    return list(read_documents(Corpus(paths=tuple(map(str, paths)), **columns, **settings)))


def said(document: Document) -> list[dict[str, str]]:
    messages = () if document.chat is None else document.chat.messages
    return [{"role": one.role, "content": one.content} for one in messages]


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
    assert [said(document) for document in from_parquet] == [CHAT, CHAT[:1]]
    assert [d.content_digest() for d in from_parquet] == [d.content_digest() for d in from_jsonl]


def test_with_both_columns_a_row_with_messages_is_a_chat(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"text": "plain"}, {"text": "ignored", "messages": CHAT})
    corpus = Corpus(paths=(str(path),), text="text", messages="messages")
    plain, chat = read_documents(corpus)
    assert (plain.text, plain.chat) == ("plain", None)
    assert (chat.text, said(chat)) == (None, CHAT)


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
        ({"other": "a", "b": 1}, "has no 'text'; its keys are 'other', 'b'"),
        ('{"text": "\\ud800"}\n', "lone surrogate"),
        ("[" * 100_000 + "\n", "not a line of JSON"),
    ],
)
def test_a_bad_row_is_a_document_with_a_problem(tmp_path: Path, row: object, problem: str) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"text": "good"}, row, {"text": "also good"})
    first, bad, last = read(path)
    assert (first.problem, last.problem) == (None, None)
    assert problem in str(bad.problem)
    assert bad.text is None and bad.doc_id == "a.jsonl:2"


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([], "'messages': "),
        ("hello", "'messages': "),
        ([{"role": "user"}], "'messages': message 0"),
        ([{"role": "user", "content": "x", "mood": "odd"}], "mood"),
    ],
)
def test_bad_messages_are_a_problem(tmp_path: Path, messages: object, problem: str) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"id": "x", "messages": messages})
    (document,) = read(path, messages="messages", id="id")
    assert problem in str(document.problem)
    assert (document.doc_id, document.chat) == ("x", None)


@pytest.mark.parametrize("bad", [None, True, 1.5, "", "\ud800", ["a"]])
def test_a_bad_id_is_a_problem(tmp_path: Path, bad: object) -> None:
    (document,) = read(jsonl(tmp_path / "a.jsonl", {"id": bad, "text": "x"}), id="id")
    assert "where an id belongs" in str(document.problem)


def test_a_repeated_document_is_a_problem(tmp_path: Path) -> None:
    first, second = read(jsonl(tmp_path / "a.jsonl", {"text": "same"}, {"text": "same"}))
    assert first.problem is None
    assert "is used by a.jsonl:1" in str(second.problem)
    assert "name a column of ids in corpus.id" in str(second.problem)
    assert first.doc_id != second.doc_id
    path = jsonl(tmp_path / "b.jsonl", *({"id": "x", "text": text} for text in ("one", "two")))
    assert f"document id 'x' is used by {path.name}:1; " in str(read(path, id="id")[1].problem)


def test_a_line_without_a_column_says_what_it_has(tmp_path: Path) -> None:
    """The first line shows what the columns are; what a later one lacks is its own problem."""
    keys = {f"key {number}\x1b\ud800": number for number in range(99)}
    good = {"id": 1, "text": "x", "at": [1], "c": CHAT}
    lacking = [
        {name: n if name == "id" else value for name, value in good.items() if name != out}
        for n, out in enumerate(("id", "text", "at"), start=2)
    ]
    path = jsonl(tmp_path / "a.jsonl", good, *lacking, {}, {"id": 7, "at": [1], **keys})
    corpus = Corpus(paths=(str(path),), text="text", id="id")
    _, no_id, no_text, no_at, nothing, many = (one.problem for one in read_documents(corpus, listed="at"))
    assert no_id == "has no 'id'; its keys are 'text', 'at', 'c'"
    assert (no_text, no_at) == (
        "has no 'text'; its keys are 'id', 'at', 'c'",
        "has no 'at'; its keys are 'id', 'text', 'c'",
    )
    assert nothing == "has no 'id'; its keys are none"
    assert many is not None and many.isprintable() and len(many) < 250
    path = jsonl(tmp_path / "b.jsonl", good, {"id": 2})
    assert read(path, messages="c", id="id")[1].problem == "has no 'c'; its keys are 'id'"


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "empty.jsonl").write_text("\n\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.csv").write_text("text\n")
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    jsonl(tmp_path / "columns.jsonl", {"body": "x", "title": "y"})
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "columns.parquet")
    for name, message in {
        "missing.jsonl": "no such corpus file",
        "bad.parquet": "cannot read this Parquet file",
        "empty.jsonl": "holds no documents",
        "folder": "no corpus files in this folder",
        "a.csv": "make Parquet of it",
        "a.xlsx": "unknown corpus format '.xlsx'; expected .jsonl, .ndjson, .json, .txt, .parquet",
        "columns.jsonl": "no column 'text'; the columns are body, title",
        "columns.parquet": "no column 'text'; the columns are body",
    }.items():
        with pytest.raises(InputError, match=message) as caught:
            read(tmp_path / name)
        assert name in str(caught.value)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_packed_lines(tmp_path: Path, suffix: str) -> None:
    for name, line in ((f"a.jsonl{suffix}", '{"text": "one é"}\n'), (f"b.txt{suffix}", "two é\r\n\nthree\n")):
        (tmp_path / name).write_bytes(packed(line.encode(), suffix))
    assert [document.text for document in read(tmp_path)] == ["one é", "two é", "three"]


def packed(content: bytes, suffix: str) -> bytes:
    if not suffix:
        return content
    return bytes(pa.Codec("gzip" if suffix == ".gz" else "zstd").compress(content, asbytes=True))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_damaged_packing_is_an_error_that_says_how_far_it_came(tmp_path: Path, suffix: str) -> None:
    rows = "".join(json.dumps({"text": f"row {number} {number**7}"}) + "\n" for number in range(5000))
    path = tmp_path / f"cut.jsonl{suffix}"
    path.write_bytes(packed(rows.encode(), suffix)[:-200])
    with pytest.raises(InputError, match=r"cut\.jsonl\S+: damaged \w+ data after line \d+"):
        read(path)
    path.write_bytes(b"not packed at all\n")
    with pytest.raises(InputError, match=r"no \w+ data, only named so"):
        read(path)


def test_text_is_a_document_per_line_or_per_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\n\n  \ntwo\n\xff\xfe\n")
    one, two, broken = read(path)
    assert (one.text, two.text, two.source) == ("one", "two", "a.txt:4")
    assert (
        broken.problem is not None and broken.problem.startswith("not UTF-8") and broken.doc_id == "a.txt:5"
    )
    path.write_text("one\n\ntwo\n")
    (whole,) = read(path, text_per="file", id="file")
    assert (whole.text, whole.doc_id) == ("one\n\ntwo\n", "a.txt")
    with pytest.raises(InputError, match="no column 'body'; the columns are text, file"):
        list(read_documents(Corpus(paths=(str(path),), text="body")))


def test_globs_in_name_order_and_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    jsonl(tmp_path / "b1.jsonl", {"text": "b1"})
    jsonl(tmp_path / "sub" / "a1.jsonl", {"text": "a1"})
    jsonl(tmp_path / "[x].jsonl", {"text": "brackets"})
    assert [d.text for d in read(tmp_path / "b*.jsonl", tmp_path / "b1.jsonl")] == ["b1"]
    assert [d.text for d in read(tmp_path / "**" / "*1.jsonl")] == ["b1", "a1"]
    assert [d.text for d in read(tmp_path / "[x].jsonl")] == ["brackets"]
    with pytest.raises(InputError, match="no file matches this pattern"):
        read(tmp_path / "c*.jsonl")


def saved_dataset(folder: Path, *shards: list[dict[str, Any]]) -> Path:
    """What `datasets` writes with save_to_disk, in the reverse order of names."""
    folder.mkdir(parents=True)
    names = [f"data-{9 - index:05d}-of-00002.arrow" for index in range(len(shards))]
    for name, rows in zip(names, shards, strict=True):
        table = pa.Table.from_pylist(rows)
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_a_saved_dataset_is_read_in_the_order_of_its_state(tmp_path: Path) -> None:
    folder = saved_dataset(tmp_path / "train", [{"text": str(n)} for n in range(5)], [{"text": "last"}])
    documents = read(folder)
    assert [document.text for document in documents] == ["0", "1", "2", "3", "4", "last"]
    assert documents[4].source.endswith(".arrow:5")
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(InputError, match=r"holds the splits train, test; name one of them"):
        read(tmp_path)
    next(folder.glob("*-00008-*")).unlink()
    with pytest.raises(InputError, match=r"data-00008-of-00002.arrow is missing"):
        read(folder)
    (folder / "state.json").write_text("{}")
    with pytest.raises(InputError, match="not the state of a saved data set"):
        read(folder)


def test_a_saved_choice_of_rows_is_no_data_set_of_all_of_them(tmp_path: Path) -> None:
    folder = saved_dataset(tmp_path / "d", [{"text": "in"}, {"text": "out"}])
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps(state | {"_indices_files": [{"filename": "i.arrow"}]}))
    with pytest.raises(InputError, match="flatten_indices"):
        read(folder)


def test_an_arrow_file_that_is_cut_is_an_error(tmp_path: Path) -> None:
    folder = saved_dataset(tmp_path / "d", [{"text": str(n)} for n in range(50)])
    (file,) = folder.glob("*.arrow")
    file.write_bytes(file.read_bytes()[:-400])
    with pytest.raises(InputError, match="cannot read this Arrow file"):
        read(folder)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_a_changed_byte_in_the_name_of_a_column_is_an_error(tmp_path: Path, name: str) -> None:
    table, path = pa.table({"text": ["one"], "qqqq": ["x"]}), tmp_path / name
    if name == "a.arrow":
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        pq.write_table(table, path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"qqqq", b"qq\xaaq"))
    for corpus in ({"text": "text"}, {"text": "text", "id": "text", "meta": ["*"]}):
        with pytest.raises(InputError, match=r"cannot read this (Parquet|Arrow) file"):
            list(read_documents(Corpus.model_validate({"paths": [str(path)], **corpus})))


def test_a_corrupt_row_group_is_one_bad_row_that_says_where(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"document {number} {'x' * number}" for number in range(30)]
    pq.write_table(
        pa.table({"text": texts}), path, row_group_size=10, write_page_checksum=True, compression="none"
    )
    content = bytearray(path.read_bytes())
    at = content.find(b"document 15")
    content[at : at + 8] = b"DOCUMENT"
    path.write_bytes(content)
    documents = read(path)
    (bad,) = [document for document in documents if document.problem]
    assert len(documents) == 21 and bad.doc_id == "a.parquet:11"
    assert "rows 11 to 20 cannot be read: row group 1" in str(bad.problem)
    assert documents[-1].text == texts[-1] and documents[-1].source == "a.parquet:30"


def test_all_other_columns_may_be_carried_along(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"id": 1, "text": "t", "lang": "en", "n": [1]})
    assert json.loads(read(path, id="id", meta=("*",))[0].meta or "") == {"lang": "en", "n": [1]}
    pq.write_table(pa.table({"id": ["1"], "text": ["t"], "lang": ["en"]}), tmp_path / "a.parquet")
    assert json.loads(read(tmp_path / "a.parquet", id="id", meta=("*",))[0].meta or "") == {"lang": "en"}
    with pytest.raises(InputError, match="no column 'lnag'; the columns are id, text, lang"):
        read(tmp_path / "a.parquet", meta=("lnag",))


def test_a_column_of_positions(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "at": at} for n, at in enumerate([[3, 1, 3], [], "x", [-1], [True], None])]
    corpus = Corpus(paths=(str(jsonl(tmp_path / "a.jsonl", *rows)),), text="text")
    found = list(read_documents(corpus, listed="at"))
    assert [document.listed for document in found] == [(1, 3), (), None, None, None, None]
    assert all("where a list of positions" in str(document.problem) for document in found[2:])
    assert len({document.content_digest() for document in found}) == len(found)
    with pytest.raises(InputError, match="no column 'where'"):
        list(read_documents(corpus, listed="where"))


def test_a_document_without_an_id_keeps_its_place_when_the_corpus_moves(tmp_path: Path) -> None:
    """Two weeks in two folders: what is the same in both is one unit, what cannot be used too."""
    weeks = []
    for week in ("w1", "w2"):
        (tmp_path / week / "sub").mkdir(parents=True)
        jsonl(tmp_path / week / "sub" / "a.jsonl", {"text": "same"}, "{broken\n", {"text": "same"})
        weeks.append([one.content_digest() for one in read(tmp_path / week / "**" / "*.jsonl")])
    assert weeks[0] == weeks[1]
    both = read(tmp_path / "w*" / "sub" / "a.jsonl")
    assert both[1].doc_id == "w1/sub/a.jsonl:2" and both[4].doc_id == "w2/sub/a.jsonl:2"
    named = Corpus(paths=tuple(f"{tmp_path}/{week}/sub/a.jsonl" for week in ("w1", "w2")), text="text")
    places = [one.doc_id for one in read_documents(named) if one.problem]
    assert len(set(places)) == len(places), "of equal names, the whole path is the place"
