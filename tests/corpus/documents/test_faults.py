"""Ids that repeat, what is counted of unusable documents, files that hold no rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.documents.faults import Faults
from nla_ray.corpus.documents.find import read_documents
from nla_ray.corpus.documents.pieces import read_unit, units_of
from nla_ray.errors import InputError


def jsonl(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def corpus_of(path: Path, **settings: Any) -> Corpus:
    return Corpus.model_validate({"paths": [str(path)], "text": "text"} | settings)


def faults_of(corpus: Corpus) -> Faults:
    faults = Faults()
    for source, documents in units_of(corpus):
        assert read_unit(source, corpus) == documents
        faults.add_unit(source, documents, [one.problem for one in documents])
    return faults


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    for shard in (0, 1):
        rows = ({"id": n, "shard": shard, "text": f"text {shard} {n}"} for n in range(3))
        jsonl(tmp_path / "data" / "sub" / f"part-{shard}.jsonl", *rows)
    return tmp_path / "data" / "**" / "*.jsonl"


def test_a_repeated_id_names_its_holder_and_a_way_out(shards: Path) -> None:
    found = list(read_documents(corpus_of(shards, id="id")))
    assert [one.problem is None for one in found] == [True] * 3 + [False] * 3
    assert "'1' is used by" in str(found[4].problem) and "part-0.jsonl:2;" in str(found[4].problem)
    way = str(found[4].problem).partition("corpus.id: ")[2]
    for out in (json.loads(way.replace("id]", '"id"]')), ["shard", "id"]):
        kept = list(read_documents(corpus_of(shards, id=out)))
        assert [one.problem for one in kept] == [None] * 6 and len({one.doc_id for one in kept}) == 6
    assert kept[5].doc_id == "1/2"
    assert [one.doc_id for one in read_documents(corpus_of(shards, id=["@file", "id"]))][3] == (
        "sub%2Fpart-1.jsonl/0"
    )


def test_in_one_file_the_file_is_no_way_out(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"id": 1, "text": "x"}, {"id": 1.0, "text": "y"})
    _, second = read_documents(corpus_of(path, id="id"))
    assert "is used by" in str(second.problem) and "@file" not in str(second.problem)


@pytest.mark.parametrize("units", [1, 4, 128])
def test_many_repeated_ids_are_said_first(shards: Path, units: int) -> None:
    faults = faults_of(corpus_of(shards, id="id", unit_documents=units))
    assert (faults.documents, faults.unusable, faults.repeated) == (6, 3, 3)
    assert (
        faults.warnings()[0].startswith("50%, 3 of 6 documents") and "part-0.jsonl:1" in faults.warnings()[0]
    )


def test_a_few_repeated_ids_are_no_warning(tmp_path: Path) -> None:
    rows = [{"id": n, "text": f"text {n}"} for n in range(20)]
    assert not faults_of(corpus_of(jsonl(tmp_path / "a.jsonl", *rows, rows[0]), id="id")).warnings()


def test_reasons_are_counted_by_kind_with_an_example(tmp_path: Path) -> None:
    rows: list[object] = [{"text": f"good {n}"} for n in range(3)]
    rows += [f'{{"text": {"x" * n}' for n in range(1, 5)] + [{"text": n} for n in range(2)] + [{"text": ""}]
    path = jsonl(tmp_path / "a.jsonl", *rows)
    first, second, third = faults_of(corpus_of(path)).reasons()
    assert first.startswith("4 x not a line of JSON") and f"(first {path.name}:4)" in first
    assert second.startswith("2 x 'text' holds int") and third.startswith("1 x 'text' is empty")


def test_a_corpus_without_one_usable_document_is_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", *({"text": n} for n in range(9)))
    with pytest.raises(
        InputError, match=r"none of 9 documents can be used: 9 x 'text' holds int .*a\.jsonl:1"
    ):
        faults_of(corpus_of(path)).require_usable([str(path)])
    faults_of(corpus_of(jsonl(path, {"text": 1}, {"text": "x"}))).require_usable([str(path)])


SESSION = {"type": "user", "uuid": "u", "parentUuid": None, "sessionId": "s", "text": "x", "message": {}}


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("s.jsonl", json.dumps(SESSION), "Claude Code"),
        ("s.jsonl", json.dumps({"type": "summary", "summary": "x", "leafUuid": "u"}), "Claude Code"),
        (
            "s.jsonl",
            json.dumps({"type": "file-history-snapshot", "messageId": "m", "snapshot": {}}),
            "Claude",
        ),
        ("t.json", json.dumps({"schema_version": "ATIF-v1.7", "steps": [], "text": "x"}, indent=2), "ATIF"),
        ("l.json", json.dumps({"version": 2, "status": "success", "eval": {}, "samples": []}), "Inspect log"),
        ("l.eval", "PK\x03\x04", "Inspect log"),
    ],
)
def test_a_transcript_is_no_file_of_rows(tmp_path: Path, name: str, content: str, what: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=rf"{what}.*corpus\.transcripts: {{}}"):
        list(read_documents(corpus_of(tmp_path / name)))


def test_rows_that_look_a_little_like_events_are_rows(tmp_path: Path) -> None:
    row = {"type": "chat", "uuid": "u", "sessionId": "s", "status": "ok", "version": "2", "text": "x"}
    (document,) = read_documents(corpus_of(jsonl(tmp_path / "a.jsonl", row)))
    assert document.text == "x"


def test_a_column_is_a_key_of_the_row_itself(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"id": 1, "body": {"text": "x"}, "data": [{"text": "y"}]})
    with pytest.raises(InputError, match=r"no column 'body\.text'.*'text' lies inside of 'body'"):
        list(read_documents(corpus_of(path, text="body.text")))
    with pytest.raises(InputError, match=r"no column 'text'.*jq -c '\.data\[\]'"):
        list(read_documents(corpus_of(path)))
