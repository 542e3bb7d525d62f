"""Items of OpenAI's Responses."""

from __future__ import annotations

import pytest

from nla_ray.corpus.chats.model import Call, Message
from tests.corpus.chats.shapes.read import Recorded, messages, problem, shape

ASK = {"role": "user", "content": [{"type": "input_text", "text": "Tide?"}]}
SUMMARY = {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "short"}]}
OPEN = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "low?"}]}
SAY = {
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "I look."}],
}
CALL = {
    "type": "function_call",
    "id": "f",
    "call_id": "c1",
    "name": "tide",
    "arguments": "{}",
    "status": "completed",
}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "low"}
READ_CALL = Call("tide", "{}", "c1")  # fmt: skip


def test_the_items_of_one_answer_are_one_message() -> None:
    recorded = (ASK, OPEN, OPEN, SAY, CALL, {**CALL, "call_id": "c2"}, RESULT, SUMMARY, SAY)
    assert messages(*recorded) == (
        Message("user", "Tide?"),
        Message("assistant", "I look.", "low?\nlow?", (READ_CALL, Call("tide", "{}", "c2"))),
        Message("tool", "low", call_id="c1"),
        Message("assistant", "I look.", lost=("redacted_thinking",)),
    )
    assert shape(*recorded) == "responses"


def test_what_cannot_stand_in_one_message_begins_another() -> None:
    assert messages(CALL, OPEN, CALL, SAY, SAY) == (
        Message("assistant", calls=(READ_CALL,)),
        Message("assistant", thinking="low?", calls=(READ_CALL,)),
        Message("assistant", "I look."),
        Message("assistant", "I look."),
    )


def test_an_output_in_parts() -> None:
    parts = [{"type": "input_text", "text": "see "}, {"type": "input_image", "image_url": "data:x"}]
    assert messages({**RESULT, "output": parts}) == (
        Message("tool", "see [image]", call_id="c1", lost=("image",)),
    )


@pytest.mark.parametrize(
    ("item", "place"),
    [
        ({"type": "web_search_call", "id": "w"}, "type: found 'web_search_call'"),
        ({"type": 5}, "type: found int"),
        ({"type": "reasoning", "content": "low?"}, "content: found str"),
        ({"type": "message", "content": "x"}, "role: found null"),
        ({"type": "message", "role": "user", "content": None}, "content: found null"),
        ({**RESULT, "output": {"a": 1}}, "output: found dict"),
        ({**CALL, "arguments": 5}, "arguments: found int"),
        ({**CALL, "namespace": "x"}, "namespace: not understood"),
    ],
)
def test_what_is_wrong_with_an_item(item: Recorded, place: str) -> None:
    assert problem(CALL, item).startswith(f"message 1: {place}")
