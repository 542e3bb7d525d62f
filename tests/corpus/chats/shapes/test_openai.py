"""Messages of OpenAI's chat completions and of servers that speak like it."""

from __future__ import annotations

import pytest

from nla_ray.corpus.chats.model import Call, Message
from tests.corpus.chats.shapes.read import Recorded, messages, problem

CALL = {"id": "c1", "type": "function", "function": {"name": "tide", "arguments": '{"port": "Hull"}'}}
READ_CALL = Call("tide", '{"port": "Hull"}', "c1")


def said(**fields: object) -> Recorded:
    return {"role": "assistant", **fields}


@pytest.mark.parametrize(
    ("recorded", "role"),
    [
        ("human", "user"), ("gpt", "assistant"), ("model", "assistant"), ("ai", "assistant"),
        ("ipython", "tool"), ("observation", "tool"), ("function", "tool"),
        ("Human", "user"), ("SYSTEM", "system"), ("developer", "developer"), ("Critic", "Critic"),
    ],
)  # fmt: skip
def test_roles(recorded: str, role: str) -> None:
    assert messages({"role": recorded, "content": "x"}) == (Message(role, "x"),)


@pytest.mark.parametrize("nothing", [{"content": None}, {"content": ""}, {}, {"content": []}])
def test_a_call_needs_no_content(nothing: Recorded) -> None:
    assert messages(said(tool_calls=[CALL], **nothing)) == (Message("assistant", calls=(READ_CALL,)),)


@pytest.mark.parametrize(
    ("recorded", "call"),
    [
        (
            {"function": {"name": "f", "arguments": {"a": [1.5, None, True]}}},
            Call("f", {"a": [1.5, None, True]}),
        ),
        ({"function": {"name": "f", "arguments": "{not json"}}, Call("f", "{not json")),
        ({"function": {"name": "f"}, "index": 0}, Call("f", {})),
        ({"name": "f", "arguments": {}, "id": ""}, Call("f", {})),
    ],
)
def test_arguments_stay_as_they_were_recorded(recorded: Recorded, call: Call) -> None:
    assert messages(said(tool_calls=[recorded])) == (Message("assistant", calls=(call,)),)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"tool_calls": {"a": 1}}, "tool_calls: found dict"),
        ({"tool_calls": [5]}, "tool_calls[0]: found int"),
        ({"tool_calls": [{"id": "c"}]}, "tool_calls[0].name: found null"),
        ({"tool_calls": [{"function": {"name": "f", "arguments": [1]}}]},
         "tool_calls[0].function.arguments: found"),
        ({"tool_calls": [{"function": {"name": " "}}]}, "tool_calls[0].function.name: is empty"),
        ({"tool_calls": [{"function": ""}]}, "tool_calls[0].function: is empty"),
        ({"tool_calls": [{**CALL, "parse_error": "bad"}]}, "tool_calls[0]: parse_error: not understood"),
        ({"tool_calls": [{**CALL, "type": "custom"}]}, "tool_calls[0].type: found 'custom'"),
        ({"tool_calls": [CALL], "function_call": {"name": "f"}}, "function_call: stands beside"),
        ({"function_call": "auto"}, "function_call: found str"),
    ],
)  # fmt: skip
def test_calls_that_are_none(fields: Recorded, place: str) -> None:
    assert problem(said(content="x", **fields)).startswith(f"message 0: {place}")


def test_the_older_calls_and_their_results() -> None:
    assert messages(
        said(content=None, function_call={"name": "tide", "arguments": "{}"}),
        {"role": "function", "name": "tide", "content": "low"},
        said(tool_calls=[CALL, {**CALL, "id": "c2"}]),
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "high"}]},
    ) == (
        Message("assistant", calls=(Call("tide", "{}"),)),
        Message("tool", "low", name="tide"),
        Message("assistant", calls=(READ_CALL, Call("tide", '{"port": "Hull"}', "c2"))),
        Message("tool", "high", call_id="c2"),
    )


@pytest.mark.parametrize(
    ("part", "text", "lost"),
    [
        ({"type": "text", "text": "b"}, "b", ()),
        ({"type": "input_text", "text": "b"}, "b", ()),
        ({"type": "output_text", "text": "b", "annotations": [{"a": 1}]}, "b", ()),
        ({"type": "refusal", "refusal": "no"}, "no", ()),
        ({"type": "image_url", "image_url": {"url": "data:x"}}, "[image]", ("image",)),
        ({"type": "input_image", "file_id": "f"}, "[image]", ("image",)),
        ({"type": "image"}, "[image]", ("image",)),
        ({"type": "input_audio", "input_audio": {"data": "x"}}, "[audio]", ("audio",)),
        ({"type": "file", "file": {"file_id": "f"}}, "[file]", ("file",)),
        ({"type": "video_url", "video_url": {"url": "x"}}, "[video]", ("video",)),
    ],
)
def test_parts(part: Recorded, text: str, lost: tuple[str, ...]) -> None:
    between = [{"type": "text", "text": "a "}, part, {"type": "text", "text": " c"}]
    assert messages({"role": "user", "content": between}) == (Message("user", f"a {text} c", lost=lost),)


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"type": "server_tool_use", "name": "search"}, "content[0].type: found 'server_tool_use'"),
        ({"type": 5}, "content[0].type: found int"),
        ({"type": "text", "text": 5}, "content[0].text: found int"),
        ({"type": "text", "text": "x", "thought": True}, "content[0]: thought: not understood"),
    ],
)
def test_parts_that_are_not_understood(part: Recorded, place: str) -> None:
    assert problem({"role": "user", "content": [part]}).startswith(f"message 0: {place}")


def test_what_stands_in_place_of_a_content() -> None:
    assert messages(said(content=None, refusal="No.")) == (Message("assistant", "No."),)
    assert messages(said(content="No.", refusal="No.")) == (Message("assistant", "No."),)
    assert messages(said(content=None, audio={"id": "a"})) == (
        Message("assistant", "[audio]", lost=("audio",)),
    )
    assert problem(said(content="Yes.", refusal="No.")).startswith("message 0: refusal: differs")


def test_a_type_beside_a_role() -> None:
    assert problem({"role": "user", "content": "x", "type": "note"}).startswith("message 0: type: ")
