"""ShareGPT's from and value."""

from __future__ import annotations

import json

import pytest

from nla_ray.corpus.chats.model import Call, Message
from tests.corpus.chats.shapes.read import Recorded, messages, problem


def turn(speaker: object, value: object, **fields: object) -> Recorded:
    return {"from": speaker, "value": value, **fields}


def test_a_conversation_with_tools() -> None:
    call = {"name": "tide", "arguments": {"port": None}}
    assert messages(
        turn("system", "Be brief."),
        turn("human", "", weight=0),
        turn("function_call", json.dumps(call)),
        turn("observation", '{"tide": "low"}'),
        turn("function_call", json.dumps([call, call])),
        turn("tool_call", {"name": "tide", "arguments": "{}"}),
        turn("chatgpt", "Low.", loss=None),
    ) == (
        Message("system", "Be brief."),
        Message("user"),
        Message("assistant", calls=(Call("tide", {"port": None}),)),
        Message("tool", '{"tide": "low"}'),
        Message("assistant", calls=(Call("tide", {"port": None}), Call("tide", {"port": None}))),
        Message("assistant", calls=(Call("tide", "{}"),)),
        Message("assistant", "Low."),
    )


@pytest.mark.parametrize(
    ("recorded", "place"),
    [
        (turn("human", None), "value: found null"),
        (turn("human", [{"type": "text", "text": "x"}]), "value: found list"),
        (turn("human", "x\ud800"), "value: not valid Unicode"),
        (turn("", "x"), "from: is empty"),
        (turn(7, "x"), "from: found int"),
        (turn("human", "x", text="y"), "text: not understood"),
        (turn("function_call", "tide(Hull)"), "value: text that is not JSON"),
        (turn("function_call", "[]"), "value: is empty"),
        (turn("function_call", "[1]"), "value[0]: found int"),
        (turn("function_call", '{"name": "f", "result": 1}'), "value: result: not understood"),
        (turn("function_call", "[" * 90 + "]" * 90), "value: nested deeper"),
        ({"from": "human"}, "value: found null"),
        ({"role": "user", "content": "x"}, "from: found null"),
    ],
)
def test_what_is_wrong_with_a_turn(recorded: Recorded, place: str) -> None:
    assert problem(turn("human", "x"), recorded).startswith(f"message 1: {place}")
