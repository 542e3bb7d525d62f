"""Splits from published tables: what is read, what is left out, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nla_ray.errors import InputError
from nla_ray.training.data import Order, open_split
from tests.tiny import AR_TEMPLATE, AV_TEMPLATE
from tests.train_tables import columns, write_split


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))


def values(split: str, rows: int = 8, d: int = 4) -> dict[str, Any]:
    return columns(split, rows, d, 0, AV_TEMPLATE, AR_TEMPLATE)


def write(tmp_path: Path, split: str, table: dict[str, Any], name: str = "a", **extraction: Any) -> str:
    tmp_path.joinpath(split).mkdir(exist_ok=True)
    write_split(
        tmp_path / split / f"{name}.parquet", table, split, extraction.pop("d_model", 4), 2, **extraction
    )
    return str(tmp_path / split)


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float16()), pa.large_list(pa.float64()), pa.list_(pa.float32(), 4)]
)
def test_rows_of_several_files_and_list_types(tmp_path: Path, kind: pa.DataType) -> None:
    first, second = values("av_sft"), columns("av_sft", 6, 4, 1, AV_TEMPLATE, AR_TEMPLATE)
    given = np.concatenate(
        [np.array(one["activation_vector"].to_pylist(), dtype=np.float16) for one in (first, second)]
    )
    for name, one in (("a", first), ("b", second)):
        half = np.array(one["activation_vector"].to_pylist(), dtype=np.float16)
        one["activation_vector"] = pa.array(half.astype(np.float64).tolist(), pa.list_(pa.float64())).cast(
            kind
        )
        write(tmp_path, "av_sft", one, name)
    split = open_split(str(tmp_path / "av_sft"), "av_sft")
    rows = np.array([13, 0, 8, 3])
    assert np.array_equal(split.vectors(rows), given[rows].astype(np.float32))
    assert split.texts(rows)[1] == first["response"][0] and split.texts(rows)[2] == second["response"][0]
    assert split.prompt == AV_TEMPLATE.format(injection_char="<INJECT>")
    others = split.others(0)
    documents = np.array([*first["doc_id"], *second["doc_id"]])
    assert (documents[others] != documents).all()


def test_unusable_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    table = values("ar_sft")
    vectors = table["activation_vector"].to_pylist()
    vectors[1], vectors[2], vectors[3] = None, [0.0] * 4, [np.nan] * 4
    table["activation_vector"] = pa.array(vectors, pa.list_(pa.float32(), 4))
    table["prompt"][4] = None
    split = open_split(write(tmp_path, "ar_sft", table), "ar_sft")
    assert (len(split), split.dropped) == (4, 4)
    assert split.sample == (table["prompt"][0], table["api_explanation"][0])


def test_held_out_rows_need_no_text(tmp_path: Path) -> None:
    table = values("held_out")
    table["api_explanation"][2] = None
    split = open_split(write(tmp_path, "held_out", table), "held_out")
    assert len(split) == 8 and 2 not in split.with_text and len(split.with_text) == 7


@pytest.mark.parametrize(
    ("split", "change", "said"),
    [
        ("rl", {"keep": 0}, "the split rl is empty"),
        ("rl", {"norm": "whitened_zca_v1"}, "only 'none' is supported"),
        ("rl", {"d_model": 5}, "a vector of 4 values; its sidecar says d_model 5"),
        ("av_sft", {"drop": "response"}, "no column 'response'"),
        ("av_sft", {"vector": ["a"] * 8}, "lists of float16"),
        ("av_sft", {"prompt": [[{"role": "user", "content": "no slot"}]] * 8}, "<INJECT> in it once"),
    ],
)
def test_what_is_refused(tmp_path: Path, split: Any, change: dict[str, Any], said: str) -> None:
    table = values(split)
    if "keep" in change:
        table = {name: column[:0] for name, column in table.items()}
    table.pop(change.get("drop", ""), None)
    table["prompt"] = change.get("prompt", table["prompt"])
    table["activation_vector"] = change.get("vector", table["activation_vector"])
    extraction = {name: change[name] for name in ("norm", "d_model") if name in change}
    with pytest.raises(InputError, match=said):
        open_split(write(tmp_path, split, table, **extraction), split)


def test_files_of_different_layers_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "rl", values("rl"))
    with pytest.raises(InputError, match="other files of this split"):
        open_split(write(tmp_path, "rl", values("rl"), "b", layer_index=1), "rl")


def test_a_batch_is_the_same_for_any_number_of_ranks() -> None:
    order = Order(rows=10, batch=4, seed=1)
    seen = np.concatenate([order.of(step) for step in range(5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    for step in range(5):
        parts = [order.of(step, rank, 2) for rank in range(2)]
        assert sorted(np.concatenate(parts)) == sorted(order.of(step))
    assert list(order.of(3)) != list(Order(10, 4, 2).of(3))
