"""One result under our names: nothing invented, nothing dropped."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nla_ray.imports.entries import Entry, entry_of
from nla_ray.imports.formats.records import Record
from tests.imports.files import answer, line


def read(**values: Any) -> Entry:
    return entry_of(Record(1, {"explanation": "A cat.", **values}))


def test_an_entry_of_the_json_format() -> None:
    entry = entry_of(Record(1, answer(20, 2)))
    assert (entry.document, entry.position, entry.sample, entry.control) == ("3", 20, 2, "real")
    assert entry.raw == f"<explanation>{entry.text}</explanation>"
    assert entry.columns["token"] == " cat"
    assert entry.meta == {"greedy": False, "kind": "response", "ptype": "chat"}


def test_a_line_of_the_json_lines_format() -> None:
    entry = entry_of(
        Record(1, line(4, cjk_fraction=0.5, raw_nla_output="<explanation>A", parsed_explanation_tag=False))
    )
    assert (entry.document, entry.position, entry.sample, entry.text) == (None, 4, None, "A cat sits there.")
    assert (entry.raw, entry.parsed) == ("<explanation>A", False)
    assert (entry.columns["token"], entry.columns["norm"]) == (" t4", 12.5)
    assert entry.meta == {"cjk_fraction": 0.5}


def test_a_position_without_padding_counts_before_one_with() -> None:
    entry = read(sample_idx=5, position=40, unpadded_pos=12, token_str="x", seq_len=50, role="user_content")
    assert (entry.document, entry.position, entry.meta) == ("5", 12, {"position": 40})
    assert (entry.columns["token"], entry.columns["doc_tokens"], entry.columns["role"]) == (
        "x",
        50,
        "user_content",
    )


@pytest.mark.parametrize(
    ("values", "control"),
    [
        ({"kind": "shuffled"}, "shuffled"), ({"kind": "random"}, "random"), ({"kind": "mean"}, "mean"),
        ({"control": "none"}, "none"), ({"kind": "none"}, "real"), ({"kind": "prompt"}, "real"), ({}, "real"),
        ({"control": "shuffled", "kind": "reply"}, "shuffled"), ({"control": False}, "real"),
    ],
)  # fmt: skip
def test_controls(values: dict[str, Any], control: str) -> None:
    entry = read(**values)
    assert entry.control == control
    assert entry.meta == {key: value for key, value in values.items() if value != control}


@pytest.mark.parametrize("bad", [-1, 2**31, 10**30, 1.5, "x", True, [1], {}, math.inf, "9" * 5000])
def test_a_bad_position_is_no_answer_and_keeps_everything(bad: object) -> None:
    entry = read(pos=bad, cos=0.5)
    assert entry.unreadable and entry.problem is not None
    assert entry.problem.startswith("pos: found ") and "where 0 to 2147483647 is allowed" in entry.problem
    assert entry.meta == {"explanation": "A cat.", "pos": bad, "cos": 0.5}


@pytest.mark.parametrize(
    ("key", "bad"), [("rollout", 32768), ("rollout", -1), ("prompt_idx", [1]), ("doc_id", "")]
)
def test_other_bad_keys(key: str, bad: object) -> None:
    assert (read(**{key: bad}).problem or "").startswith(f"{key}: found ")


@pytest.mark.parametrize("missing", [None, math.nan])
def test_what_data_frames_write_for_nothing_is_nothing(missing: object) -> None:
    entry = read(pos=missing, rollout=missing, cos=missing, sample_idx=missing, other=missing, token=missing)
    assert (entry.problem, entry.position, entry.sample, entry.document) == (None, None, None, None)
    assert entry.meta == {} and not any(entry.columns.values())


@pytest.mark.parametrize("good", [7, 7.0, "7"])
def test_numbers_in_other_dress(good: object) -> None:
    entry = read(pos=good, rollout=good, token_id=good, cos=good)
    assert (entry.position, entry.sample, entry.columns["token_id"], entry.columns["cos"]) == (7, 7, 7, 7.0)


def test_unusable_values_of_columns_stay_in_meta() -> None:
    bad: dict[str, Any] = {"cos": "high", "token_id": 2**31, "token": 5, "layer": -1, "finish_reason": "eos"}
    entry = read(**bad)
    assert entry.problem is None and entry.meta == bad
    assert entry.finish_reason is None and not any(entry.columns.values())


@pytest.mark.parametrize("bad", [math.inf, -math.inf, 1e39, 10**400, "nan", "-inf"])
def test_numbers_without_end_are_null(bad: object) -> None:
    entry = read(cos=bad)
    assert entry.columns["cos"] is None and entry.meta == {}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"explanation": None}, "no explanation"),
        ({"explanation": 5}, "explanation: found int where text belongs"),
        ({"explanation": ["A"]}, "explanation: found list where text belongs"),
        ({"explanation": None, "raw": "A"}, None),
        ({"explanation": ""}, None),
    ],
)
def test_no_text_is_no_answer(values: dict[str, Any], problem: str | None) -> None:
    entry = read(**values)
    assert entry.problem == problem and not entry.unreadable


def test_a_record_that_could_not_be_read() -> None:
    entry = entry_of(Record(1, "not a line of JSON: ..."))
    assert entry.unreadable and entry.problem == "not a line of JSON: ..."


def test_lone_surrogates_are_replaced() -> None:
    entry = read(explanation="a \ud800 cat", token="\udfff", doc_id="d\ud800")
    assert (entry.text, entry.columns["token"], entry.document) == ("a \ufffd cat", "\ufffd", "d\ufffd")
