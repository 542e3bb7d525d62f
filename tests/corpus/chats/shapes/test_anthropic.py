"""Anthropic's blocks."""

from __future__ import annotations

import pytest

from nla_ray.corpus.chats.model import Call, Message
from tests.corpus.chats.shapes.read import Recorded, messages, problem, shape

TEXT = {"type": "text", "text": "I look."}
THINK = {"type": "thinking", "thinking": "low?", "signature": "sig"}
USE = {"type": "tool_use", "id": "t1", "name": "tide", "input": {"port": "Hull"}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "low"}


def assistant(*blocks: Recorded) -> Recorded:
    return {"role": "assistant", "content": list(blocks)}


def user(*blocks: Recorded) -> Recorded:
    return {"role": "user", "content": list(blocks)}


def test_thinking_text_and_parallel_calls_are_one_message() -> None:
    recorded = assistant(THINK, {**THINK, "thinking": "or high?"}, TEXT, USE, {**USE, "id": "t2"})
    calls = (Call("tide", {"port": "Hull"}, "t1"), Call("tide", {"port": "Hull"}, "t2"))
    assert messages(recorded) == (Message("assistant", "I look.", "low?\nor high?", calls),)
    assert shape(recorded) == "anthropic"


def test_results_stand_in_order_with_the_text_beside_them() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": "x"}}
    shown = {**RESULT, "tool_use_id": "t2", "content": [TEXT, image], "is_error": True}
    assert messages(user(TEXT, RESULT, shown, {"type": "text", "text": "Go on."}), user(RESULT)) == (
        Message("user", "I look."),
        Message("tool", "low", call_id="t1"),
        Message("tool", "I look.[image]", call_id="t2", lost=("image",)),
        Message("user", "Go on."),
        Message("tool", "low", call_id="t1"),
    )


@pytest.mark.parametrize("nothing", [{}, {"content": None}, {"content": []}, {"content": ""}])
def test_a_result_may_be_empty(nothing: Recorded) -> None:
    assert messages(user({"type": "tool_result", "tool_use_id": "t1", **nothing})) == (
        Message("tool", call_id="t1"),
    )


@pytest.mark.parametrize(
    "block",
    [{"type": "redacted_thinking", "data": "x"}, {"type": "thinking", "thinking": "", "signature": "s"}],
)
def test_hidden_thinking_is_lost(block: Recorded) -> None:
    assert messages(assistant(block, TEXT)) == (Message("assistant", "I look.", lost=("redacted_thinking",)),)


def test_thinking_in_pieces() -> None:
    pieces = [{"type": "text", "text": "lo"}, {"type": "text", "text": "w?"}]
    assert messages(assistant({"type": "thinking", "thinking": pieces, "closed": True}, TEXT)) == (
        Message("assistant", "I look.", "low?"),
    )


@pytest.mark.parametrize(
    ("blocks", "place"),
    [
        ((TEXT, THINK), "content[1]: thinking after text"),
        ((USE, TEXT), "content[1]: text after a call"),
        ((USE, THINK), "content[1]: thinking after a call"),
        (({**USE, "input": [1]},), "content[0].input: found list"),
        (({**USE, "name": None},), "content[0].name: found null"),
        (({**THINK, "thinking": 3},), "content[0].thinking: found int"),
        (({"type": "web_search_tool_result", "content": []},), "content[0].type: found"),
        (({**RESULT, "content": {"rows": 3}},), "content[0].content: found dict"),
        (({**RESULT, "content": [RESULT]},), "content[0].content[0].type: found 'tool_result'"),
        (({**RESULT, "tool_use_id": 5},), "content[0].tool_use_id: found int"),
    ],
)
def test_what_cannot_be_shown_or_is_not_understood(blocks: tuple[Recorded, ...], place: str) -> None:
    assert problem(assistant(*blocks)).startswith(f"message 0: {place}")


def test_calls_that_are_recorded_twice_are_one() -> None:
    call = {"id": "t1", "function": {"name": "tide", "arguments": {"port": "Hull"}}}
    assert len(messages({**assistant(USE), "tool_calls": [call]})[0].calls) == 1
    assert "differ" in problem({**assistant(USE), "tool_calls": [{**call, "id": "t9"}]})
