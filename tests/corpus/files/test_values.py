"""Ids and values that are carried along: exact, valid JSON; what cannot be held costs that value alone."""

from __future__ import annotations

import json
import math
import uuid
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.documents.find import read_documents
from nla_ray.corpus.files.values import id_text, joined, meta_json
from nla_ray.errors import InputError

UUID = uuid.UUID(int=7)


def read(path: Path, columns: dict[str, Any], **settings: Any) -> list[Document]:
    (path / "a.parquet").unlink(missing_ok=True)
    pq.write_table(pa.table(columns), path / "a.parquet")
    corpus = {"paths": [str(path / "a.parquet")], "text": "text"} | settings
    return list(read_documents(Corpus.model_validate(corpus)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a/b", "a/b"), (0, "0"), (-(2**70), str(-(2**70))), (1.0, "1"), (-0.0, "0"), (2.0**53, str(2**53)),
        (Decimal("1.00"), "1"), (Decimal("1E+2"), "100"), (UUID, str(UUID)),
        (None, None), (True, None), ("", None), (" \n", None), ("\ud800", None), (1.5, None), (2.0**60, None),
        (math.nan, None), (math.inf, None), (Decimal("NaN"), None), (Decimal("1.5"), None),
        (Decimal("1E+9999999"), None), (b"a", None), ([1], None), ({}, None), (date(2026, 1, 1), None),
    ],
)  # fmt: skip
def test_an_id_is_text_or_a_whole_number_or_none(value: object, text: str | None) -> None:
    assert id_text(value) == text


def test_parts_of_an_id_are_joined_without_doubt() -> None:
    parts = [("a", "b"), ("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c"), ("a", "b%2Fc"), ("", "a/b/c")]
    assert len({joined(one) for one in parts}) == len(parts)
    assert joined(["part-0.jsonl", "7"]) == "part-0.jsonl/7" and joined(["a/b%"]) == "a/b%"


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.uuid(), [UUID.bytes, uuid.UUID(int=8).bytes]),
        (pa.float64(), [1.0, 2.0]),
        (pa.float16(), [1.0, 2.0]),
        (pa.decimal128(20, 2), [Decimal(1), Decimal(2)]),
        (pa.decimal256(70, 0), [Decimal(10**60), Decimal(2)]),
        (pa.uint64(), [2**64 - 1, 2]),
        (pa.large_string(), ["a", "b"]),
        (pa.string_view(), ["a", "b"]),
        (pa.dictionary(pa.int8(), pa.string()), ["a", "b"]),
    ],
)
def test_types_that_hold_ids(tmp_path: Path, kind: pa.DataType, values: list[Any]) -> None:
    found = read(tmp_path, {"id": pa.array(values, kind), "text": ["x", "y"]}, id="id")
    assert [one.problem for one in found] == [None, None]
    assert found[0].doc_id == (str(UUID) if kind == pa.uuid() else str(values[0]).removesuffix(".0"))


@pytest.mark.parametrize(
    "kind", [pa.binary(), pa.binary(16), pa.bool_(), pa.date32(), pa.large_binary(), pa.timestamp("us")]
)
def test_types_that_hold_none_are_refused_by_name(tmp_path: Path, kind: pa.DataType) -> None:
    columns = {"shard": ["s"], "id": pa.nulls(1, kind), "text": ["x"]}
    with pytest.raises(InputError) as caught:
        read(tmp_path, columns, id=["shard", "id"])
    assert f"column 'id' is {kind}" in str(caught.value) and "a.parquet" in str(caught.value)


STRANGE: dict[str, Any] = {
    "forever": pa.array([2**31 - 1, 0], pa.int32()).cast(pa.date32()),
    "far": pa.array([2**62, 0], pa.int64()).cast(pa.timestamp("us")),
    "long": pa.array([2**62, 0], pa.int64()).cast(pa.duration("s")),
    "mars": pa.array([0, None], pa.timestamp("us", tz="Mars/Phobos")),
    "inside": pa.array([{"at": 2**62}, {"at": 0}], pa.struct({"at": pa.int64()})).cast(
        pa.struct({"at": pa.timestamp("us")})
    ),
    "twice": pa.StructArray.from_arrays([pa.array([1, 2]), pa.array([3, 4])], names=["x", "x"]),
}


@pytest.mark.parametrize("column", STRANGE)
def test_what_python_cannot_hold_is_one_null(tmp_path: Path, column: str) -> None:
    columns = {"id": ["a", "b"], "text": ["x", "y"], column: STRANGE[column], "n": [1, 2]}
    first, second = read(tmp_path, columns, id="id", meta=["*"])
    assert (first.problem, second.problem) == (None, None)
    assert json.loads(first.meta or "") == {column: None, "n": 1}
    assert json.loads(second.meta or "")["n"] == 2
    assert column in first.noted[0] and len(first.noted) == 1


def test_meta_is_valid_json_of_exact_values(tmp_path: Path) -> None:
    columns = {
        "text": ["x"],
        "day": [date(2026, 1, 1)],
        "dec": [Decimal("1.10")],
        "big": pa.array([2**64 - 1], pa.uint64()),
        "blob": [b"\x00\xff"],
        "nested": [[{"a": [math.nan, 1.5]}]],
        "span": [timedelta(days=1)],
        "map": pa.array([[("k", -math.inf)]], pa.map_(pa.string(), pa.float64())),
    }
    (document,) = read(tmp_path, columns, meta=["*"])
    assert json.loads(document.meta or "", parse_constant=pytest.fail) == {
        "day": "2026-01-01",
        "dec": "1.10",
        "big": 2**64 - 1,
        "blob": "AP8=",
        "nested": [{"a": [None, 1.5]}],
        "span": "1 day, 0:00:00",
        "map": [["k", None]],
    }
    (noted,) = document.noted
    assert "'nested', 'map'" in noted and "not finite" in noted


def test_numbers_that_json_has_not_are_null() -> None:
    row = json.loads('{"a": NaN, "b": [1e999, -Infinity], "c": 1.0, "d": 12345678901234567890123456789}')
    text, noted = meta_json(row)
    assert text == '{"a": null, "b": [null, null], "c": 1.0, "d": 12345678901234567890123456789}'
    assert "'a', 'b'" in noted[0] and len(noted) == 1
    assert meta_json({"x": "\ud800", "\udfff": 1}) == ('{"x": "?", "?": 1}', ())


def test_a_deep_type_is_refused_before_work(tmp_path: Path) -> None:
    kind = pa.int8()
    for _ in range(101):
        kind = pa.struct({"x": kind})
    with pytest.raises(InputError, match=r"a\.parquet: .*too deeply nested"):
        read(tmp_path, {"text": ["x"], "deep": pa.nulls(1, kind)}, meta=["deep"])


def test_a_name_with_dots_is_that_column(tmp_path: Path) -> None:
    columns = {"text": ["x"], "meta.source": ["web"], "meta": [{"source": "inside", "other": 1}]}
    (document,) = read(tmp_path, columns, meta=["meta.source"])
    assert json.loads(document.meta or "") == {"meta.source": "web"}
    (document,) = read(tmp_path, columns, meta=["meta"])
    assert json.loads(document.meta or "") == {"meta": {"source": "inside", "other": 1}}
    with pytest.raises(InputError, match=r"no column 'meta\.other'; the columns are text, meta\."):
        read(tmp_path, columns, meta=["meta.other"])


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.table([["x"], ["y"], [1]], names=["text", "text", "n"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="two columns are called 'text'"):
        list(read_documents(Corpus(paths=(str(tmp_path / "a.parquet"),), text="text")))
