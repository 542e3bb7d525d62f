"""A row's chat: which shape it is, what it comes in, what stands beside it, and what is wrong with it."""

from __future__ import annotations

import json
import math
from typing import Any

import pyarrow as pa
import pytest

from nla_ray.corpus.chats.model import Call, ChatError, Message
from nla_ray.corpus.chats.read import read_chat

ASK = {"role": "user", "content": "Which boat leaves first?"}
SAY = {"role": "assistant", "content": "The red one."}
CHAT = [ASK, SAY]
READ = (Message("user", "Which boat leaves first?"), Message("assistant", "The red one."))
SHAREGPT = [{"from": "human", "value": ASK["content"]}, {"from": "gpt", "value": SAY["content"]}]
LISTS = {"role": ["user", "assistant"], "content": [ASK["content"], SAY["content"]]}


def problem(value: object, **beside: Any) -> str:
    with pytest.raises(ChatError) as caught:
        read_chat(value, **beside)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (CHAT, "openai"),
        (SHAREGPT, "sharegpt"),
        ([ASK["content"], SAY["content"]], "alternating"),
        ([{"type": "message", **ASK}, {"id": "m", "type": "message", **SAY}], "openai"),
        ([{**ASK, "source": "input"}, SAY], "inspect"),
        (json.dumps(CHAT), "openai as JSON text"),
        (json.dumps(SHAREGPT), "sharegpt as JSON text"),
        (json.dumps({"messages": CHAT}), "openai as JSON text in an object"),
        ([json.dumps(ASK), json.dumps(SAY)], "openai as JSON texts"),
        (LISTS, "openai as struct-of-lists"),
        ({**LISTS, "name": None}, "openai as struct-of-lists"),
        ({"from": ["human", "gpt"], "value": LISTS["content"]}, "sharegpt as struct-of-lists"),
        ({"messages": CHAT, "tools": None, "system": ""}, "openai in an object"),
        ({"conversation": json.dumps(CHAT)}, "openai in an object as JSON text"),
        ([[("role", "user"), ("content", ASK["content"])], [*SAY.items()]], "openai"),
    ],
)
def test_the_same_chat_in_every_dress(value: object, shape: str) -> None:
    chat = read_chat(value)
    assert (chat.messages, chat.shape) == (READ, shape)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "found null where a list"),
        (7, "found int"),
        ([], "an empty list"),
        ("[]", "an empty list"),
        ("", "not JSON"),
        ("Which boat?", "not JSON"),
        (json.dumps(CHAT)[:-4], "not JSON"),
        (str(CHAT), "Python's notation"),
        ("9" * 5000, "not JSON"),
        (ASK, "one message"),
        ({"thread": CHAT}, "thread: not understood"),
        ({}, "an object without messages"),
        ({"messages": CHAT, "model": "m", "n": 3}, "model, n: not understood"),
        ({"messages": CHAT, "conversation": CHAT}, "messages and conversation"),
        ({**LISTS, "content": ["a"]}, "different lengths"),
        ({**LISTS, "content": "a"}, "content: found str where a list"),
        (json.dumps(json.dumps(json.dumps(json.dumps(json.dumps(CHAT))))), "more than 4 layers"),
        ([ASK, None], "message 1: found null"),
        ([ASK, "The red one."], "message 1: found str"),
        ([CHAT], "message 0: found list"),
        ([{"type": "human", "content": "x"}], "message 0: type: found 'human'"),
    ],
)
def test_what_is_no_list_of_messages(value: object, said: str) -> None:
    assert said in problem(value)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"content": "x"}, "role: found null"),
        ({"role": 3, "content": "x"}, "role: found int"),
        ({"role": " ", "content": "x"}, "role: is empty"),
        ({"role": "user"}, "content: holds nothing"),
        ({"role": "user", "content": []}, "content: holds nothing"),
        ({"role": "user", "content": 12}, "content: found int"),
        ({"role": "user", "content": b"x"}, "content: found bytes"),
        ({"role": "tool", "content": {"a": 1}}, "content: found dict"),
        ({"role": "tool", "content": ["a"]}, "content[0]: found str"),
        ({"role": "tool", "content": [{"a": 1}]}, "content[0].type: found null"),
        ({"role": "user", "content": "x\ud835"}, "content: not valid Unicode"),
        ({"role": "user\udcff", "content": "x"}, "role: not valid Unicode"),
        ({"role": "user", "content": [{"type": "text", "text": "\ud835"}]}, "content[0]"),
        ({**ASK, "visible": False}, "visible: not understood"),
        ({**ASK, "redacted": True}, "redacted: not understood"),
        ({**ASK, "a b\n\ud800": 1}, r"'a b\n\ud800': not understood"),
        ({**ASK, 5: "x"}, "5: not understood"),
    ],
)
def test_what_is_wrong_with_a_message(message: object, said: str) -> None:
    found = problem([ASK, message])
    assert found.startswith("message 1: ") and said in found and "\n" not in found
    found.encode()


def test_an_empty_text_is_a_message() -> None:
    assert read_chat([{"role": "user", "content": ""}]).messages == (Message("user"),)


def test_metadata_is_passed_over_and_what_is_ignored_is_not_read() -> None:
    message = {**ASK, "id": "m1", "timestamp": object(), "redacted": False, "note": "", "visible": ["x"]}
    assert read_chat([message], ignore=["visible"]).messages == READ[:1]
    part = {"type": "text", "text": ASK["content"], "shown": 1}
    assert read_chat([{**ASK, "content": [part]}], ignore=["shown"]).messages == READ[:1]


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth - 1):
        found = [found]
    return found


def test_depth_is_counted_and_not_left_to_the_parser() -> None:
    call = {"name": "f", "arguments": {"x": nested(63)}}
    assert read_chat([{"role": "assistant", "function_call": {**call, "arguments": {"x": nested(62)}}}])
    said = "message 0: function_call: nested deeper than 64"
    assert problem([{"role": "assistant", "function_call": call}]) == said
    assert problem(json.dumps([{"role": "assistant", "function_call": call}])) == said
    for depth in (200, 900, 100_000):
        assert problem("[" * depth + "]" * depth) == "nested deeper than 64"
    assert problem([{"role": "user", "content": nested(5000)}]) == "message 0: content: nested deeper than 64"


@pytest.mark.parametrize("bad", ["\ud800", math.nan, math.inf, b"x", {"\ud800": 1}, [(1, 2)]])
def test_arguments_hold_what_json_can(bad: object) -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": {"a": [{"b": bad}]}}}
    said = problem([{"role": "assistant", "tool_calls": [call]}])
    assert said.startswith("message 0: tool_calls[0].function.arguments: ")


def test_arrow_adds_keys_that_were_never_recorded() -> None:
    def answer(**arguments: object) -> dict[str, Any]:
        return {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}

    rows = [
        [ASK, answer(berth=4)],
        [answer(dock={"name": "east"}), {"role": "tool", "content": "ok", "name": "f"}],
    ]
    first, second = pa.table({"messages": rows}).to_pylist()
    assert read_chat(first["messages"]).messages[1].calls == (Call("f", {"berth": 4}),)
    assert read_chat(second["messages"]).messages == (
        Message("assistant", calls=(Call("f", {"dock": {"name": "east"}}),)),
        Message("tool", "ok", name="f"),
    )


def test_a_null_in_json_was_recorded() -> None:
    message = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": None}}}]}
    for chat in (read_chat([message], nulls=True), read_chat(json.dumps([message]))):
        assert chat.messages[0].calls[0].arguments == {"a": None}
    assert read_chat([message]).messages[0].calls[0].arguments == {}


@pytest.mark.parametrize(
    "system", ["Be brief.", [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]]
)
def test_a_system_text_apart_comes_first(system: object) -> None:
    expected = (Message("system", "Be brief."), *READ)
    assert read_chat(CHAT, system=system).messages == expected
    assert read_chat([{"role": "system", "content": "Be brief."}, *CHAT], system=system).messages == expected
    assert read_chat({"messages": CHAT, "system": system}, system="Be brief.").messages == expected


def test_two_system_texts_are_one_too_many() -> None:
    first = {"role": "system", "content": "Be kind."}
    assert problem([first, *CHAT], system="Be brief.").startswith("system: ")
    assert problem({"messages": CHAT, "system": "Be kind."}, system="Be brief.").startswith("system: ")


@pytest.mark.parametrize("nothing", [None, "", []])
def test_no_system_text(nothing: object) -> None:
    assert read_chat(CHAT, system=nothing, tools=nothing).messages == READ


@pytest.mark.parametrize("bad", [5, {"text": "x"}, ["x"], "\ud800", [{"type": "tool_use"}]])
def test_a_system_text_that_is_none(bad: object) -> None:
    assert problem(CHAT, system=bad).startswith("system: ")


def test_what_was_read_can_be_told_apart() -> None:
    call = [{"name": "f", "arguments": {"a": 1, "b": 2}}, {"name": "f", "arguments": {"b": 2, "a": 1}}]
    chats = [read_chat([{"role": "assistant", "function_call": one}]) for one in call]
    assert chats[0].canonical() != chats[1].canonical()
