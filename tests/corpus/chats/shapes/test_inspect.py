"""Messages of Inspect's logs."""

from __future__ import annotations

import pytest

from nla_ray.corpus.chats.model import Call, Message
from tests.corpus.chats.shapes.read import Recorded, messages, problem, shape

REASONING = {"type": "reasoning", "reasoning": "low?", "redacted": False, "signature": "s"}
RESULT = {"role": "tool", "tool_call_id": "c1", "function": "tide"}


def test_reasoning_text_and_calls() -> None:
    recorded = {
        "id": "m", "role": "assistant", "source": "generate", "model": "m", "metadata": {"a": 1},
        "content": [REASONING, {"type": "text", "text": "I look.", "refusal": True, "citations": [{"a": 1}]}],
        "tool_calls": [{"id": "c1", "function": "tide", "arguments": {"port": "Hull"}, "view": {}}],
    }  # fmt: skip
    assert messages(recorded) == (
        Message("assistant", "I look.", "low?", (Call("tide", {"port": "Hull"}, "c1"),)),
    )
    assert shape(recorded) == shape({"role": "assistant", "content": [REASONING]}) == "inspect"


def test_a_user_that_shows_what_a_call_gave() -> None:
    recorded = {
        "role": "user",
        "source": "input",
        "tool_call_id": ["c1"],
        "content": [{"type": "image", "image": "x"}],
    }
    assert messages(recorded) == (Message("user", "[image]", lost=("image",)),)


@pytest.mark.parametrize(
    "hidden", [{"redacted": True}, {"reasoning": "", "summary": "short"}, {"reasoning": ""}]
)
def test_redacted_reasoning_is_lost(hidden: Recorded) -> None:
    read = messages({"role": "assistant", "content": [{**REASONING, **hidden}]})
    assert read == (Message("assistant", lost=("redacted_thinking",)),)


@pytest.mark.parametrize("nothing", [{"content": ""}, {"content": []}, {}])
def test_the_target_saw_the_error_of_a_tool(nothing: Recorded) -> None:
    error = {"type": "timeout", "message": "took too long"}
    expected = (Message("tool", "took too long", call_id="c1", name="tide"),)
    assert messages({**RESULT, "error": error, **nothing}) == expected
    assert messages({**RESULT, "error": "took too long", **nothing}) == expected


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"content": "half", "error": {"message": "limit"}}, "error: differs from content"),
        ({"content": "", "error": {"message": 5}}, "error.message: found int"),
        ({"content": "", "error": 5}, "error: found int"),
        ({"content": "", "error": {"message": "x", "fatal": True}}, "error: fatal: not understood"),
    ],
)
def test_errors_that_leave_open_what_the_target_saw(fields: Recorded, place: str) -> None:
    assert problem({**RESULT, **fields}).startswith(f"message 0: {place}")
