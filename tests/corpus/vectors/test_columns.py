"""Vectors that were extracted before: every list type, their key, their sidecars."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.documents.find import read_documents
from nla_ray.corpus.vectors.columns import vector_bytes
from nla_ray.corpus.vectors.files import check_vectors
from nla_ray.errors import InputError

VALUES = np.arange(12, dtype=np.float64).reshape(4, 3)
TYPES = [
    make(kind)
    for kind in (pa.float16(), pa.float32(), pa.float64())
    for make in (pa.list_, pa.large_list, lambda kind: pa.list_(kind, 3))
]


def vectors_file(path: Path, kind: pa.DataType = TYPES[0], **columns: list[Any]) -> Path:
    table = {"activation_vector": pa.array(VALUES.tolist(), kind), **columns}
    pq.write_table(pa.table(table), path)
    return path


def read(path: Path, **settings: Any) -> list[Document]:
    return list(read_documents(Corpus.model_validate({"paths": [str(path)], "vectors": {}} | settings)))


def values(document: Document) -> list[float]:
    assert document.vector is not None
    return np.frombuffer(document.vector, "<f4").tolist()


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_every_list_of_floats_is_read(kind: pa.DataType) -> None:
    rows = [*VALUES[:2].tolist(), None, VALUES[3].tolist()]
    column = pa.array(rows, kind)
    for part, wanted in ((column, rows), (column.slice(1, 2), rows[1:3]), (column.slice(3), rows[3:])):
        found = [None if raw is None else np.frombuffer(raw, "<f4").tolist() for raw in vector_bytes(part)]
        assert found == wanted


def test_what_was_carried_along_before_is_carried_on(tmp_path: Path) -> None:
    said = ['{"truth": {"topic": "x"}}', "[1]", "{", None]
    path = vectors_file(tmp_path / "a.parquet", doc_id=list("abcd"), n_raw_tokens=[9] * 4, meta=said)
    found = [json.loads(one.meta or "") for one in read(path, id="doc_id", meta=["meta"])]
    assert found == [{"truth": {"topic": "x"}}, {"meta": "[1]"}, {"meta": "{"}, {"meta": None}]


def test_the_key_is_the_document_and_the_number_of_tokens(tmp_path: Path) -> None:
    path = vectors_file(tmp_path / "a.parquet", doc_id=["a", "a", "b", "a"], n_raw_tokens=[5, 9, 5, 9])
    one, two, three, twice = read(path, id="doc_id")
    assert [(d.doc_id, d.position) for d in (one, two, three)] == [("a", 4), ("a", 8), ("b", 4)]
    assert str(twice.problem).startswith("document id 'a' at position 8 is used by ")
    assert values(two) == VALUES[1].tolist()
    assert len({document.content_digest() for document in (one, two, three, twice)}) == 4


def test_text_and_other_columns_are_carried_along(tmp_path: Path) -> None:
    texts = ["so far", None, "so far", "x"]
    columns = {"text": texts, "n_raw_tokens": [1, 2, 3, 4], "activation_layer": [2] * 4, "stage": ["rl"] * 4}
    path = vectors_file(tmp_path / "a.parquet", **columns)
    first, second, *_ = read(path, text="text", meta=["stage"])
    assert (first.text, second.text, first.layer) == ("so far", None, 2)
    assert json.loads(first.meta or "") == {"stage": "rl", "text": "so far"}


def test_any_file_with_vectors_will_do(tmp_path: Path) -> None:
    found = read(vectors_file(tmp_path / "a.parquet"), vectors={"tokens": None})
    assert [document.position for document in found] == [None] * 4
    assert len({document.doc_id for document in found}) == 4


def test_bad_rows_are_problems(tmp_path: Path) -> None:
    table = {"activation_vector": pa.array([[1.0], None, [2.0], [3.0]]), "n_raw_tokens": [0, 1, None, 2]}
    pq.write_table(pa.table(table | {"doc_id": ["a", "b", "c", None]}), tmp_path / "a.parquet")
    problems = [str(document.problem) for document in read(tmp_path / "a.parquet", id="doc_id")]
    for problem, words in zip(problems, ["holds 0", "is null", "holds None", "an id belongs"], strict=True):
        assert words in problem


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (["a"], "is string; expected list"),
        ([[1]], "expected list, large_list or fixed_size_list of float16"),
    ],
)
def test_columns_of_something_else(tmp_path: Path, column: list[Any], words: str) -> None:
    pq.write_table(pa.table({"activation_vector": column, "n_raw_tokens": [1]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=words):
        read(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=words):
        check(tmp_path / "a.parquet")


def test_missing_columns_and_other_formats(tmp_path: Path) -> None:
    vectors_file(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="no column 'n_raw_tokens'; the columns are activation_vector"):
        read(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="no column 'vec'"):
        read(tmp_path / "a.parquet", vectors={"column": "vec", "tokens": None})
    for name in ("a.jsonl", "a.txt"):
        (tmp_path / name).write_text('{"activation_vector": [1.0]}\n')
        with pytest.raises(InputError, match="vectors are read from Parquet and Arrow files"):
            read(tmp_path / name)


def check(path: Path, d_model: int = 3, layer: int = 2) -> tuple[str | None, tuple[str, ...]]:
    corpus = Corpus.model_validate({"paths": [str(path)], "vectors": {}})
    origin = check_vectors(corpus, d_model=d_model, layer=layer)
    return origin.base_model, origin.warnings


def sidecar(path: Path, **extraction: Any) -> None:
    meta = {"kind": "nla_dataset", "schema_version": 1, "stage": "base", "row_count": 4}
    meta["extraction"] = {
        "base_model": "owner/target",
        "d_model": 3,
        "layer_index": 2,
        "norm": "none",
    } | extraction
    Path(f"{path}.nla_meta.yaml").write_text(yaml.safe_dump(meta))


def test_sidecars_say_where_vectors_come_from(tmp_path: Path) -> None:
    path = vectors_file(tmp_path / "a.parquet")
    assert check(path) == (None, ())
    sidecar(path)
    assert check(path) == ("owner/target", ())
    pq.write_table(pq.read_table(path).slice(1), path)
    assert check(path)[1][0].endswith("row_count says 4, the file holds 3 rows; the file is believed")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"d_model": 8}, "d_model is 8, the verbalizer's is 3"),
        ({"layer_index": 1}, "layer is 1, the verbalizer's is 2"),
        ({"norm": "whitened_zca_v1"}, "only 'none' is supported"),
    ],
)
def test_a_sidecar_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = vectors_file(tmp_path / "a.parquet")
    sidecar(path, **changes)
    with pytest.raises(InputError, match=words):
        check(path)


def test_vectors_of_two_models_or_of_another_size_are_refused(tmp_path: Path) -> None:
    sidecar(vectors_file(tmp_path / "a.parquet"))
    sidecar(vectors_file(tmp_path / "b.parquet"), base_model="owner/other")
    with pytest.raises(InputError, match=r"different models: owner/target .*owner/other"):
        check(tmp_path)
    vectors_file(tmp_path / "fixed.parquet", TYPES[2])
    with pytest.raises(InputError, match="vectors of 3 values, the verbalizer takes 8"):
        check(tmp_path / "fixed.parquet", d_model=8)
