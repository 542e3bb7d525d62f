"""How files of text and JSON are written: every spelling gives the same documents, or says what it is."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import random
import threading
from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.documents.find import read_documents
from nla_ray.corpus.documents.pieces import read_unit, units_of
from nla_ray.corpus.files.json_rows import MAX_DEPTH, json_values
from nla_ray.errors import InputError

SIGNS = ' é 😀 "]}[{" \\'
ROWS: list[dict[str, Any]] = [
    {"id": n, "text": f"row {n}{SIGNS}", "more": [{"a": [n]}, {}]} for n in range(7)
]


def corpus_of(path: Path, **settings: Any) -> Corpus:
    return Corpus.model_validate({"paths": [str(path)], "text": "text", "unit_documents": 3} | settings)


def read(path: Path, **settings: Any) -> list[Document]:
    """The documents, and that units give the same ones."""
    corpus = corpus_of(path, **settings)
    found = list(read_documents(corpus))
    assert [one for source, _ in units_of(corpus) for one in read_unit(source, corpus)] == found
    return found


LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
SPELLINGS = {
    "lines": LINES,
    "blank lines and other ends": "\n\n" + LINES.replace("\n", "\r\n \n"),
    "no end of line": LINES.rstrip("\n"),
    "carriage returns": LINES.replace("\n", "\r"),
    "an array in a line": json.dumps(ROWS),
    "a pretty array": json.dumps(ROWS, indent=2),
    "an array of lines": "[\n" + ",\n".join(json.dumps(row) for row in ROWS) + "\n]\n",
    "an array with a value a line": json.dumps(ROWS).replace('}, {"id"', '},\n{"id"'),
    "an array with its end apart": json.dumps(ROWS).replace('}, {"id"', '},\n{"id"')[:-1] + "\n]",
    "pretty values": "\n".join(json.dumps(row, indent=1) for row in ROWS),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_spelling_of_json_is_read(tmp_path: Path, spelling: str, codec: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(SPELLINGS[spelling].lstrip().encode(codec))
    found = read(path, id="id")
    assert [(one.doc_id, one.text) for one in found] == [(str(row["id"]), row["text"]) for row in ROWS]
    assert all(one.problem is None for one in found)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_packed_json_of_every_spelling(tmp_path: Path, pack: Any) -> None:
    for number, text in enumerate(SPELLINGS.values()):
        content = text.encode("utf-16" if number % 2 else "utf-8")
        half = len(content) // 2
        path = tmp_path / f"a{number}.ndjson.{'gz' if pack is gzip.compress else 'bz2'}"
        path.write_bytes(pack(content[:half]) + pack(content[half:]))
        assert [one.text for one in read(path, id="id")] == [row["text"] for row in ROWS]


def test_one_object_is_one_row(tmp_path: Path) -> None:
    for indent in (None, 2):
        (tmp_path / "a.json").write_text(json.dumps(ROWS[0], indent=indent))
        assert [one.text for one in read(tmp_path / "a.json")] == [ROWS[0]["text"]]


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_byte_order_mark_is_no_text(tmp_path: Path, codec: str, end: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(end.join(["one é", "", "two", "three"]).encode(codec))
    found = read(path)
    assert [one.text for one in found] == ["one é", "two", "three"]
    assert [one.source.rpartition(":")[2] for one in found] == ["1", "3", "4"]
    (whole,) = read_documents(corpus_of(path, text_per="file"))
    assert whole.text == end.join(["one é", "", "two", "three"])


def test_a_bad_value_is_a_row_and_not_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"text": "a"},\n 5, null, {"text": "b" "c"},\n {"text": "d"}, [1]]')
    found = read(path)
    assert [one.text for one in found if one.problem is None] == ["a", "d"]
    assert len(found) == 5
    path.write_text('{"id": 1, "te\n{"text": "b"}\n[1]\n"x"\n')
    assert [one.problem is None for one in read(path)] == [False, True, False, False]
    for first in ("[1]", "[broken", "[" * 100_000, '[{"text": "a"}, {"te'):
        path.write_text(f'{first}\n{{"text": "b"}}\n')
        assert [one.problem is None for one in read(path)] == [False, True]


@pytest.mark.parametrize(
    "text", ['[{"text": "a"}, {"text": "b', '[{"text": "a"}', '[{"text": "a"}] {"b": 1}']
)
def test_a_broken_array_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json: damaged after line or value [01]: "):
        read(tmp_path / "a.json")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_values_do_not_depend_on_where_they_are_cut(spelling: str) -> None:
    rng = random.Random(spelling)
    content = io.BytesIO(SPELLINGS[spelling].lstrip().encode())
    assert [json.loads(value) for value in json_values(lambda _: content.read(rng.randrange(1, 9)))] == ROWS


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", gzip.compress(LINES.encode()), "gzip data"),
        ("a.txt", b"PAR1" + bytes(99), "Parquet"),
        ("a.jsonl", b"PK\x03\x04" + bytes(99), "a zip archive"),
        ("a.jsonl.gz", LINES.encode(), "no gzip data, only named so"),
        ("a.txt.bz2", b"plain", "no bz2 data, only named so"),
        ("a.jsonl.gz", gzip.compress(LINES.encode())[:-30], "damaged gzip data"),
        ("a.jsonl", LINES.encode("utf-16")[:-1], "damaged after line"),
    ],
)
def test_what_a_file_is_is_said_once(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read(tmp_path / name)
    assert name in str(caught.value)


def nested(levels: int) -> str:
    return '{"id": 1, "text": "[[[", "deep": ' + "[" * levels + "]" * levels + "}\n"


@pytest.mark.parametrize("levels", [MAX_DEPTH - 1, MAX_DEPTH, 966, 200_000])
def test_nesting_does_not_depend_on_the_thread(tmp_path: Path, levels: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 0, "text": "good"}\n' + nested(levels))
    here, there = list(read_documents(corpus_of(path, id="id", meta=["*"]))), []
    size = threading.stack_size(256 << 10)
    try:
        thread = threading.Thread(
            target=lambda: there.extend(read_documents(corpus_of(path, id="id", meta=["*"])))
        )
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
    assert here == there and len(here) == 2
    if levels < MAX_DEPTH:
        assert here[1].problem is None and json.loads(here[1].meta or "")["deep"] is not None
    else:
        assert "100 levels" in str(here[1].problem)
