"""Rows of imported results: outcomes judged from text, fidelity as it was given."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from nla_ray.config.reading.importing import ImportOptions
from nla_ray.imports.entries import entry_of
from nla_ray.imports.formats.records import Record
from nla_ray.imports.formats.sources import Source
from nla_ray.imports.rows import Origin, meta_json, row_of
from nla_ray.tables import EXPLANATIONS, table_of

SOURCE = Source("some/results.jsonl", "results.jsonl", "jsonl", 1, "0" * 64)
ORIGIN = Origin.of("run1", SOURCE, {}, ImportOptions(layer=20, av="some/av"))
LONG = " ".join(f"word{n}" for n in range(40))


def row(
    values: dict[str, Any] | str, *, sample: int = 0, repeated: bool = False, **vectors: Any
) -> dict[str, Any]:
    made, _ = row_of(ORIGIN, "u1", entry_of(Record(17, values, **vectors)), sample, repeated=repeated)
    table_of([made], EXPLANATIONS)
    return made


@pytest.mark.parametrize(
    ("values", "outcome", "closed", "text"),
    [
        ({"explanation": "A cat."}, "ok", None, "A cat."),
        ({"explanation": " A cat.\n", "raw": "<explanation>A cat.</explanation>"}, "ok", True, "A cat."),
        ({"raw": "x <explanation>A cat.</explanation> y"}, "ok", True, "A cat."),
        ({"explanation": "<explanation>A cat.</explanation>"}, "ok", True, "A cat."),
        ({"explanation": "<explanation>\nA cat"}, "unclosed", False, "A cat"),
        ({"explanation": "A cat", "raw": "<explanation>A cat"}, "unclosed", False, "A cat"),
        ({"explanation": "A cat", "raw": "A cat"}, "unclosed", False, "A cat"),
        ({"explanation": "A cat", "av_parsed": False}, "unclosed", False, "A cat"),
        ({"explanation": "A cat.", "av_parsed": True}, "ok", True, "A cat."),
        ({"explanation": "A cat", "finish_reason": "length"}, "length", None, "A cat"),
        ({"raw": "<explanation>A cat", "finish_reason": "length"}, "length", False, "A cat"),
        ({"explanation": "A cat.", "finish_reason": "stop"}, "ok", None, "A cat."),
        ({"explanation": "", "raw": "<explanation>A cat"}, "unclosed", False, "A cat"),
        ({"explanation": ""}, "empty", None, None),
        ({"explanation": " \n"}, "empty", None, None),
        ({"raw": "<explanation></explanation>"}, "empty", True, None),
        ({"explanation": "the cat " * 12}, "loop", None, ("the cat " * 12).strip()),
        ({"explanation": "猫" * 24}, "loop", None, "猫" * 24),
        ({"explanation": LONG + "-" * 80}, "ok", None, LONG + "-" * 80),
    ],
)
def test_outcomes(values: dict[str, Any], outcome: str, closed: bool | None, text: str | None) -> None:
    made = row(values)
    assert (made["outcome"], made["closed"], made["explanation"]) == (outcome, closed, text)
    assert (made["reason"] is None) == (outcome == "ok")


def test_what_is_not_said_is_null() -> None:
    made = row({"explanation": "A Cat."})
    known = {key: value for key, value in made.items() if value is not None}
    assert known.pop("row_id") and known == {
        "run_id": "run1", "unit_id": "u1", "doc_id": "results/17", "control": "real", "sample": 0,
        "outcome": "ok", "flags": [], "explanation": "A Cat.", "explanation_norm": "a cat.",
        "layer": 20, "av": "some/av",
        "provenance": "imported",
    }  # fmt: skip


def test_flags() -> None:
    assert row({"explanation": "这是一段关于猫的文字", "pos": 9})["flags"] == ["early_position", "cjk"]
    assert row({"explanation": "A cat.", "pos": 10})["flags"] == []


def test_the_file_is_believed_before_the_options() -> None:
    assert row({"explanation": "A cat.", "layer": 7})["layer"] == 7
    said = Origin.of(
        "run1", SOURCE, {"layer": 3, "av": "own", "run_name": "r"}, ImportOptions(layer=20, av="x", ar="y")
    )
    assert dict(said.common) == {"layer": 3, "target": None, "av": "own", "ar": "y"} and said.prefix == "r"


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: row("not a line of JSON: oh"), "results.jsonl:17: not a line of JSON: oh"),
        (lambda: row({"explanation": None}), "results.jsonl:17: no explanation"),
        (
            lambda: row({"explanation": "A.", "pos": -2}),
            "results.jsonl:17: pos: found -2 where 0 to 2147483647 is",
        ),
        (
            lambda: row({"explanation": "A.", "pos": 2}, repeated=True),
            "results.jsonl:17: an earlier result has the",
        ),
        (
            lambda: row({"explanation": "A.", "pos": 2}, sample=32768),
            "results.jsonl:17: more samples of one position",
        ),
    ],
)
def test_what_is_no_answer_says_where_and_keeps_its_values(made: Any, reason: str) -> None:
    failed = made()
    assert failed["outcome"] == "failed" and failed["reason"].startswith(reason)
    assert (failed["explanation"], failed["raw_text"], failed["sample"], failed["closed"]) == (
        None,
        None,
        0,
        None,
    )
    assert failed["meta"] is None or "explanation" in json.loads(failed["meta"]) or failed["meta"] == "{}"


def test_a_repeated_result_has_an_id_of_its_own() -> None:
    values = {"explanation": "A.", "pos": 2, "doc_id": "d"}
    first, again = row(values), row(values, repeated=True)
    assert first["row_id"] != again["row_id"] and first["doc_id"] == again["doc_id"] == "d"
    assert json.loads(again["meta"]) == values


def test_vectors_give_what_the_file_does_not_say() -> None:
    own, rebuilt = np.array([3.0, 4.0], dtype=np.float32), np.array([4.0, 3.0], dtype=np.float32)
    made = row({"explanation": "A."}, activation=own, recon=rebuilt)
    assert made["norm"] == 5.0
    assert math.isclose(made["cos"], 0.96) and math.isclose(made["mse_nrm"], 0.08)
    assert made["fve_nrm"] is None
    kept = row({"explanation": "A.", "vec_norm": 1.0, "cos": 0.5}, activation=own, recon=rebuilt)
    assert (kept["norm"], kept["cos"]) == (1.0, 0.5)


@pytest.mark.parametrize("recon", [[1.0], [np.nan, 1.0], [0.0, 0.0], []])
def test_vectors_that_do_not_belong_together_give_nothing(recon: list[float]) -> None:
    own = np.array([3.0, 4.0], dtype=np.float32)
    made = row({"explanation": "A."}, activation=own, recon=np.array(recon, dtype=np.float32))
    assert (made["norm"], made["cos"], made["mse_nrm"]) == (5.0, None, None)


def test_meta_is_json_that_any_reader_takes() -> None:
    deep: Any = "end"
    for _ in range(500):
        deep = [deep]
    text = meta_json(
        {
            "n": math.nan,
            "s": "\ud800",
            "deep": deep,
            "big": 10**40,
            "bytes": b"x",
            "k\udfff": {"a": [1, None]},
        }
    )
    found = json.loads(text or "")
    assert (found["n"], found["s"], found["big"], found["bytes"]) == (None, "\ufffd", 10**40, "b'x'")
    assert found["k\ufffd"] == {"a": [1, None]} and "…" in str(found["deep"])
    assert meta_json({}) is None
