"""Thinking beside a content, under its many names."""

from __future__ import annotations

import pytest

from nla_ray.corpus.chats.model import Message
from tests.corpus.chats.shapes.read import Recorded, messages, problem


def said(**fields: object) -> Recorded:
    return {"role": "assistant", "content": "Low.", **fields}


def detail(kind: str, **fields: object) -> Recorded:
    return {"type": f"reasoning.{kind}", "format": "v1", "index": 0, **fields}


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": "a\nb"},
        {"reasoning": "a\nb", "reasoning_content": "a\nb", "thinking": ""},
        {"thinking": "a\nb"},
        {"reasoning_details": [detail("text", text="a"), detail("text", text="b", signature="s")]},
        {"reasoning": "a\nb", "reasoning_details": [detail("text", text="a\n"), detail("text", text="b")]},
        {
            "reasoning": "a\nb",
            "content": [{"type": "thinking", "thinking": "a\nb"}, {"type": "text", "text": "Low."}],
        },
    ],
)
def test_one_thinking_under_any_name(fields: Recorded) -> None:
    assert messages(said(**fields)) == (Message("assistant", "Low.", thinking="a\nb"),)


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning": "a", "reasoning_content": "b"},
        {"reasoning": "a", "reasoning_details": [detail("text", text="b")]},
        {"reasoning": "a", "content": [{"type": "thinking", "thinking": "b"}]},
    ],
)
def test_two_thinkings(fields: Recorded) -> None:
    found = problem(said(**fields))
    assert "differ" in found and "corpus.chat.ignore" in found and "reasoning" in found


def test_a_summary_is_not_the_thinking() -> None:
    details = [detail("summary", summary="in short"), detail("encrypted", data="gAAA")]
    for reasoning in ("in short", None):
        read = messages(said(reasoning=reasoning, reasoning_details=details))
        assert read == (Message("assistant", "Low.", lost=("redacted_thinking",)),)
    assert problem(said(reasoning_details="a")).startswith("message 0: reasoning_details: found str")
    assert "result: not understood" in problem(
        said(reasoning_details=[detail("server_tool_call", result="x")])
    )
