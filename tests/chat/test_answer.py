"""What counts as an answer of a chat endpoint, in every shape that servers send."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nla_ray.chat.answer import (
    Completion,
    NoAnswerError,
    OtherError,
    after_thinking,
    completion,
    loaded,
    used,
    words,
)

CUT = "cut off before it began"
THOUGHT = "nothing but reasoning"


def read(message: object, finish: object = "stop") -> Completion:
    return completion({"choices": [{"message": message, "finish_reason": finish}]}, "<a>")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a", "a"),
        ([{"type": "text", "text": "a"}, 1, {"type": "image"}, {"type": "output_text", "text": "b"}], "ab"),
        ([{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "a"}], "a"),
        ("<think>x</think> a", "<think>x</think> a"),
        ("a\ud800", "a\ufffd"),
    ],
)
def test_words_are_an_answer_as_they_came(content: object, expected: str) -> None:
    assert read({"content": content, "refusal": None, "reasoning_content": "x"}) == Completion(
        expected, "stop"
    )
    assert read({"content": content}, 3).finish_reason is None


@pytest.mark.parametrize(
    ("message", "finish", "why", "again"),
    [
        ({"content": None}, "stop", "empty", True),
        ({"content": ""}, None, "empty", True),
        ({"content": " \n\t"}, "stop", "empty", True),
        ({"content": []}, "stop", "empty", True),
        ({"content": [{"type": "text", "text": None}]}, "stop", "empty", True),
        ({"content": 7}, "stop", "empty", True),
        ({}, "stop", "empty", True),
        ({"content": None, "reasoning_content": "so"}, "stop", THOUGHT, True),
        ({"content": "", "reasoning": "so"}, "stop", THOUGHT, True),
        ({"content": [{"type": "thinking", "thinking": "so"}]}, "stop", THOUGHT, True),
        ({"content": "<think>so <a>draft</a>"}, "stop", THOUGHT, True),
        ({"content": "<think>so</think> \n"}, "stop", THOUGHT, True),
        ({"content": "so <a>draft</a></think>"}, "stop", THOUGHT, True),
        ({"content": "[THINK]so"}, "length", CUT, False),
        ({"content": None, "reasoning": "so"}, "length", CUT, False),
        ({"content": ""}, "length", CUT, False),
        ({"content": "a bit of"}, "content_filter", "withheld by the endpoint's filter", False),
        ({"content": None, "refusal": "No."}, "stop", "the model refuses", False),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "stop", "the model refuses", False),
        ({"content": None, "tool_calls": [{"id": "1"}]}, "tool_calls", "a call of a tool", False),
    ],
)
def test_no_words_are_no_answer(message: Any, finish: object, why: str, again: bool) -> None:
    with pytest.raises(NoAnswerError) as none:
        read(message, finish)
    assert (str(none.value), none.value.again) == (why, again) and none.value.way_out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<a>x</a>", "<a>x</a>"),
        ("<think>no <a>x</a></think><a>y</a>", "<a>y</a>"),
        ("<think>one</think><think>two</think> <a>y</a>", " <a>y</a>"),
        ("<think>one</think><think>two <a>y</a>", ""),
        ("no open tag, <a>x</a></THINK><a>y</a>", "<a>y</a>"),
        ("[THINK]so[/THINK]<a>y</a>", "<a>y</a>"),
        ("<think>so</think>sorry", "sorry"),
        ("<a>it ends with </think></a>", "<a>it ends with </think></a>"),
        ("<think>never ends <a>x</a>", ""),
        ("so</think>", ""),
        ("", ""),
    ],
)
def test_an_answer_is_what_follows_the_thinking(text: str, expected: str) -> None:
    assert after_thinking(text, "<a>") == expected


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"<html>hello</html>", None),
        (b"", None),
        (b"[" * 5000, None),
        (b"[1]", None),
        (b"{}", None),
        (b'{"choices": []}', None),
        (b'{"choices": [1]}', None),
        (b'{"choices": [{"text": "a"}]}', None),
        (b'{"choices": [{"message": "a"}]}', None),
        (b'{"error": {"message": "slow down", "code": 429}}', 429),
        (b'{"error": {"message": "no", "code": "model_not_found"}, "choices": []}', None),
        (b'{"error": "no"}', None),
    ],
)
def test_what_is_no_chat_completion(data: bytes, status: int | None) -> None:
    with pytest.raises(OtherError) as other:
        loaded(data)
    assert other.value.status == status


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [({"total_tokens": 7}, 7), ({"total_tokens": -1}, None), ({"total_tokens": True}, None), ([], None)],
)
def test_what_it_used_where_that_is_a_count(usage: object, tokens: int | None) -> None:
    assert used(loaded(json.dumps({"choices": [{"message": {}}], "usage": usage}).encode())) == tokens


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"error": {"message": "The model\\nis not there"}}', "The model is not there"),
        (b'{"error": "no"}', "no"),
        (b'{"detail": "no"}', "no"),
        (b'{"message": "key sk-12 is wrong"}', "key *** is wrong"),
        (b"\x1b[31mplain \xff", "\\x1b[31mplain \ufffd"),
        (b"x" * 195 + b"sk-12 and more", "x" * 195 + "*** a"),
        (b"", ""),
    ],
)
def test_what_an_endpoint_says_of_an_error_is_short_and_without_the_key(data: bytes, expected: str) -> None:
    assert words(data, "sk-12") == expected
