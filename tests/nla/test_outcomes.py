"""Extraction, outcomes and flags of answers, hostile ones among them."""

from __future__ import annotations

import pytest

from nla_ray.nla.outcomes import extract, is_cjk, judge, loop_period, position_flags
from nla_ray.nla.verbalizer import FinishReason, Generation

VARIED = tuple(range(50))


def answer(raw: str, finish: FinishReason = "stop", tokens: tuple[int, ...] = VARIED) -> Generation:
    return Generation("row", 0, tokens, raw, finish)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("<explanation>\nA cat.\n</explanation>", ("A cat.", True)),
        ("A cat.</explanation>", ("A cat.", True)),
        ("<explanation>A cat", ("A cat", False)),
        ("A cat", ("A cat", False)),
        ("Sure! <explanation>A cat.</explanation> Bye", ("A cat.", True)),
        ("<explanation>A <explanation> tag.</explanation>", ("A <explanation> tag.", True)),
        ("<explanation>one</explanation><explanation>two</explanation>", ("one", True)),
        ("one</explanation><explanation>two</explanation>", ("one", True)),
        ("<explanation></explanation>", ("", True)),
        ("<Explanation>A cat.</explanation>", ("<Explanation>A cat.", True)),
        ("</explanation>", ("", True)),
        ("", ("", False)),
    ],
)
def test_extract(raw: str, expected: tuple[str, bool]) -> None:
    assert extract(raw) == expected


@pytest.mark.parametrize(
    ("generation", "outcome", "closed"),
    [
        (answer("<explanation>A cat.</explanation>"), "ok", True),
        (answer("<explanation>A cat.</explanation> more", "length"), "ok", True),
        (answer("<explanation>Final token is the end-of-turn marker <|im_end|>, closing"), "unclosed", False),
        (answer("<explanation>A cat that", "length"), "length", False),
        (answer("<explanation> \n </explanation>"), "empty", True),
        (answer(""), "empty", False),
        (answer("<explanation>la la", "length", (1, 2, *(3, 4) * 20)), "loop", False),
        (answer("<explanation>la la</explanation>", "stop", (*(3, 4) * 20, 9)), "loop", True),
        (Generation("row", 0, (), "", "failed", "the vector is zero"), "failed", False),
    ],
)
def test_outcomes(generation: Generation, outcome: str, closed: bool) -> None:
    judged = judge(generation)
    assert (judged.outcome, judged.closed) == (outcome, closed)
    assert judged.finish_reason == generation.finish_reason
    assert judged.n_tokens == len(generation.token_ids)
    assert (judged.reason is None) == (outcome == "ok")


def test_an_answer_of_a_pair_without_tags_is_all_that_is_written() -> None:
    whole = judge(answer(" A cat, in <text>. "), tagged=False)
    assert (whole.text, whole.outcome, whole.closed) == ("A cat, in <text>.", "ok", True)
    cut = judge(answer("A cat", "length"), tagged=False)
    assert (cut.outcome, cut.closed) == ("length", False)


def test_a_failed_row_keeps_its_reason() -> None:
    assert judge(Generation("row", 0, (), "", "failed", "the vector is zero")).reason == "the vector is zero"


def test_both_texts_are_kept_and_can_be_stored() -> None:
    judged = judge(answer("<explanation>a \ud800 b \x00</explanation> tail \udfff"))
    assert judged.text == "a \ufffd b \x00"
    assert judged.raw_text == "<explanation>a \ufffd b \x00</explanation> tail \ufffd"
    judged.raw_text.encode()


def test_a_character_cut_by_the_limit_is_dropped_from_the_text_alone() -> None:
    judged = judge(answer("<explanation>caf\ufffd", "length"))
    assert (judged.text, judged.raw_text) == ("caf", "<explanation>caf\ufffd")
    assert judge(answer("<explanation>caf\ufffd")).text == "caf\ufffd"
    assert judge(answer("\ufffd\ufffd", "length")).outcome == "empty"


@pytest.mark.parametrize(
    ("tokens", "period"),
    [
        ((7,) * 24, 1),
        ((7,) * 23, 0),
        ((1, 2, 3) * 8, 3),
        ((9, 8, *(1, 2, 3, 4, 5, 6, 7) * 4, 9), 7),
        ((1, 2, 3, 4, 5, 6, 7) * 3, 0),
        (tuple(range(32)) * 4, 32),
        (tuple(range(33)) * 6, 0),
        (VARIED, 0),
        ((), 0),
        ((1,), 0),
    ],
)
def test_a_loop_is_four_copies_of_a_short_block(tokens: tuple[int, ...], period: int) -> None:
    assert loop_period(tokens) == period


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("这是一段关于猫的文字", True),
        ("これは猫です", True),
        ("고양이 이야기", True),
        ("A note on the word 猫 in a Japanese text", False),
        ("The marker ㈎ and digits 123", False),
        ("кошка", False),
        ("", False),
    ],
)
def test_cjk(text: str, expected: bool) -> None:
    assert is_cjk(text) == expected
    assert ("cjk" in judge(answer(f"<explanation>{text}</explanation>")).flags) == expected


@pytest.mark.parametrize(
    ("position", "token_id", "norm", "expected"),
    [
        (0, 1, 1.0, ("early_position",)),
        (9, 5, 1.0, ("early_position", "special_token")),
        (10, 1, 1.0, ()),
        (50, 1, 5.0, ()),
        (50, 1, 5.1, ("sink_norm",)),
        (50, 1, float("inf"), ("sink_norm",)),
        (50, 1, float("nan"), ()),
    ],
)
def test_position_flags(position: int, token_id: int, norm: float, expected: tuple[str, ...]) -> None:
    assert position_flags(position, token_id, norm, special_ids={5}, typical_norm=1.0) == expected


def test_without_a_typical_norm_no_sink_is_named() -> None:
    assert position_flags(50, 1, 1e9, special_ids=(), typical_norm=None) == ()
