"""Rows of other tools: each under what it is, or refused by what it is."""

from __future__ import annotations

from typing import Any

import pytest

from nla_ray.imports.controls import ForeignError, control_in
from nla_ray.imports.entries import Entry, entry_of
from nla_ray.imports.formats.records import Record
from nla_ray.imports.rows import judge_text
from nla_ray.imports.shapes import in_our_words, is_result, something_else


def entries(**values: Any) -> list[Entry]:
    return [entry_of(Record(1, found)) for found in in_our_words(values)]


def described(**values: Any) -> Entry:
    fixed = {
        "token": " oak",
        "token_id": 9,
        "position": 41,
        "l2_norm": 88.5,
        "description": "Speaks of trees.",
    }
    (entry,) = entries(**{**fixed, **values})
    return entry


def test_a_description_with_its_numbers() -> None:
    entry = described(mse=0.3, cosine_similarity=0.85, section="content", generated=True)
    assert (entry.text, entry.position, entry.problem) == ("Speaks of trees.", 41, None)
    found = {name: entry.columns[name] for name in ("norm", "cos", "mse_nrm", "fve_nrm", "token_id")}
    assert found == {"norm": 88.5, "cos": 0.85, "mse_nrm": 0.3, "fve_nrm": None, "token_id": 9}
    assert entry.meta == {"section": "content", "generated": True}


@pytest.mark.parametrize(
    "numbers",
    [{"mse": 61.2, "cosine_similarity": 0.85}, {"mse": 0.3}, {"mse": "x", "cosine_similarity": 0.85}],
)
def test_an_mse_of_unknown_norms_stays_under_its_own_name(numbers: dict[str, Any]) -> None:
    entry = described(**numbers)
    assert entry.columns["mse_nrm"] is None and entry.meta == {"mse": numbers["mse"]}


def test_readouts_are_one_result_for_each_sample() -> None:
    found = entries(id="item-3", layer=42, pos=16, samples=["Of ships.", "Of sails.", 5], token=" hull")
    assert [(one.document, one.position, one.sample, one.columns["layer"]) for one in found] == [
        ("item-3", 16, at, 42) for at in range(3)
    ]
    assert [one.text for one in found] == ["Of ships.", "Of sails.", None]
    assert found[2].problem == "explanation: found int where text belongs"
    assert not found[0].numbered and found[0].columns["token"] == " hull"


@pytest.mark.parametrize("samples", [[], None, "Of ships.", {"a": 1}])
def test_a_readout_without_samples_is_no_answer_but_there(samples: object) -> None:
    (entry,) = entries(id="x", layer=1, pos=2, samples=samples)
    assert entry.problem == "no explanation"


def test_offsets_from_the_end_are_no_positions() -> None:
    (readout,) = entries(id="x", layer=1, pos=-3, samples=["Of ships."])
    assert (readout.document, readout.position, readout.meta["offset_from_end"]) == ("x/pos_-3", None, -3)
    generation = {"context_id": "c7", "generation_index": 12, "sample_idx": 2, "text": "Of ships."}
    first, second = (entries(**generation, position_offset=offset)[0] for offset in (0, 3))
    assert (first.document, second.document) == ("c7/offset_0", "c7/offset_3")
    assert (first.position, first.sample, first.text) == (None, 2, "Of ships.")
    assert first.meta == {"context_id": "c7", "generation_index": 12, "position_offset": 0}
    (placed,) = entries(**generation, position_offset=3, abs_position=90)
    assert (placed.document, placed.position) == ("c7", 90)


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"transcript_id", "scan_id", "scanner_name", "value", "answer", "explanation"}, "Inspect Scout"),
        ({"id", "layer", "pos", "tokens", "scores"}, "tokens and scores"),
        ({"claim_id", "claim_text", "span_text", "label"}, "claim about"),
        ({"context_id", "stratum", "text"}, "corpus.text"),
        ({"text_id", "mse"}, "score of a text"),
        ({"context_id", "position_offset", "activation_vector"}, "corpus.vectors"),
    ],
)
def test_what_is_no_explanation_is_named(keys: set[str], what: str) -> None:
    assert what in (something_else(keys) or "")
    (entry,) = entries(**dict.fromkeys(keys, "x"))
    assert entry.foreign is not None and what in entry.foreign


def test_results_are_not_taken_for_something_else() -> None:
    for keys in ({"explanation", "activation"}, {"raw", "activation"}, {"nla_output", "tokens", "scores"}):
        assert is_result(keys) and something_else(keys) is None
    assert not is_result({"description", "price"}) and something_else({"description", "price"}) is None


@pytest.mark.parametrize(
    "values",
    [
        {"control": "zero"}, {"control": "av_shuffled"}, {"control": "teacher"}, {"control": True},
        {"control": ["real"]}, {"control": 3}, {"kind": "teacher"}, {"kind": "av_shuffled"},
        {"condition": "Zero vector"}, {"kind": "reply", "condition": "noise"},
    ],
)  # fmt: skip
def test_an_unknown_control_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ForeignError, match=r"is not one of real, shuffled, random, mean, none; .* --control"):
        control_in(values, {})
    assert entries(explanation="Of ships.", **values)[0].foreign is not None


def test_a_word_that_was_explained_is_a_control_and_stays_in_meta() -> None:
    words = {"zero": "none", "av_shuffled": "shuffled", "reply": "real"}
    for key, word, name in (
        ("control", "zero", "none"), ("kind", " AV_shuffled", "shuffled"), ("control", "reply", "real"),
    ):  # fmt: skip
        entry = entry_of(Record(1, {"explanation": "Of ships.", key: word}), words)
        assert (entry.control, entry.meta, entry.foreign) == (name, {key: word}, None)


@pytest.mark.parametrize(
    "kind", ["response", "prompt", "meaning", "randomly chosen", None, "", float("nan"), 4]
)
def test_kinds_of_other_things_are_no_controls(kind: object) -> None:
    assert control_in({"kind": kind, "control": None}, {})[1] == "real"


@pytest.mark.parametrize(
    "values",
    [{"av_parsed": False, "explanation": None}, {"unparsed": True}, {"explanation": "[NOT PARSED]"},
     {"explanation": "<parse error>"}, {"parsed": False, "explanation": ""}],
)  # fmt: skip
def test_an_answer_that_the_tool_could_not_parse_is_unclosed(values: dict[str, Any]) -> None:
    (entry,) = entries(**{"explanation": None, **values})
    judged = judge_text(entry)
    assert (entry.problem, judged.outcome, judged.text, judged.closed) == (None, "unclosed", "", False)


def test_a_special_token_is_a_flag() -> None:
    (marked,) = entries(explanation="Of ships.", is_special_token=True)
    (bare,) = entries(explanation="(special token)")
    (plain,) = entries(explanation="Of a special token in brackets.", special_token=False)
    assert (marked.special, bare.special, plain.special) == (True, True, False)
    assert marked.problem is None and bare.problem == "no explanation" and not marked.meta
