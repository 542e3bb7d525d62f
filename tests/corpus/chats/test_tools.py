"""Tools that were offered, in one form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nla_ray.corpus.chats.model import ChatError
from nla_ray.corpus.chats.read import read_chat
from nla_ray.corpus.chats.tools import read_tools

SCHEMA = {"type": "object", "properties": {"pier": {"type": "string"}}, "required": ["pier"]}
FUNCTION = {"name": "moor", "description": "Moors a boat.", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}


@pytest.mark.parametrize(
    "tool",
    [
        TOOL,
        {"function": FUNCTION},
        FUNCTION,
        {"type": "function", **FUNCTION},
        {"name": "moor", "description": "Moors a boat.", "input_schema": SCHEMA, "cache_control": {"a": "b"}},
        {"name": "moor", "description": "Moors a boat.", "inputSchema": SCHEMA, "type": "custom"},
        {**FUNCTION, "options": None},
        json.dumps(TOOL),
    ],
)
def test_every_form_becomes_one(tool: object) -> None:
    assert read_tools([tool], nulls=False) == (TOOL,)
    assert read_tools(json.dumps([tool]), nulls=False) == (TOOL,)


def test_recorded_keys_and_their_order_stay() -> None:
    function = {"parameters": SCHEMA, "strict": True, "name": "moor"}
    read = read_tools([{"function": function, "type": "function"}], nulls=False)
    assert json.dumps(read) == json.dumps([{"function": function, "type": "function"}])


def test_nulls_of_a_schema_are_kept_where_they_were_recorded() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"pier": {"default": None}}}
    tools = [{"name": "moor", "description": None, "parameters": schema}]
    kept = ({"type": "function", "function": {"name": "moor", "parameters": schema}},)
    assert read_tools(tools, nulls=True) == read_tools(json.dumps(tools), nulls=False) == kept
    assert read_tools(tools, nulls=False)[0]["function"]["parameters"]["properties"] == {"pier": {}}


@pytest.mark.parametrize("nothing", [None, [], "", " ", "[]", "null", {}])
def test_no_tools(nothing: object) -> None:
    assert read_tools(nothing, nulls=False) == ()


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        (5, "tools: found int"),
        (TOOL, "tools: found dict"),
        ("moor(pier)", "tools: text that is not JSON"),
        ([TOOL, 5], "tool 1: found int"),
        ([TOOL, {"type": "web_search", "name": "w"}], "tool 1: type: found 'web_search'"),
        ([{"type": ["function"], **FUNCTION}], "tool 0: type: "),
        ([{"description": "x"}], "tool 0: name: found null"),
        ([{"type": "function", "function": "moor"}], "tool 0: function: found str"),
        ([{"name": ""}], "tool 0: name: is empty"),
        ([{"name": "a", "parameters": "{}"}], "tool 0: parameters: found str"),
        ([{"name": "a", "description": 3}], "tool 0: description: found int"),
        ([{**FUNCTION, "input_schema": SCHEMA}], "tool 0: has parameters and input_schema"),
        ([{"name": "a", "x": ["\ud800"]}], "tool 0: not valid Unicode"),
        (["{"], "tool 0: text that is not JSON"),
    ],
)
def test_what_is_no_tool_is_said_with_its_number(tools: object, said: str) -> None:
    with pytest.raises(ChatError) as caught:
        read_tools(tools, nulls=False)
    assert str(caught.value).startswith(said)


def test_tools_of_the_row_and_beside_the_messages() -> None:
    messages = [{"role": "user", "content": "x"}]
    assert read_chat({"messages": messages, "tools": [TOOL]}, tools=[FUNCTION]).tools == (TOOL,)
    with pytest.raises(ChatError, match="tools: "):
        read_chat({"messages": messages, "tools": [TOOL]}, tools=[{"name": "other"}])
