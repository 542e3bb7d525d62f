"""The tools that a target was offered, in the one form that chat templates take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nla_ray.corpus.chats.values import Place, is_nothing, list_of, name_of, object_of, parsed, plain, text_of

_FUNCTION = "function"
_SCHEMA = "parameters"
_OTHER_SCHEMAS = ("input_schema", "inputSchema")
_NOT_SHOWN = ("type", "cache_control")

Tool = Mapping[str, Any]


def read_tools(value: object, *, nulls: bool) -> tuple[Tool, ...]:
    """Tools as OpenAI, Anthropic or Inspect define them, or a JSON text of them; none where nothing is there.

    Other keys of a definition are kept as they are. Raises ChatError naming the tool's number.
    """
    place = Place("tools")
    if isinstance(value, str) and value.strip():
        value, nulls = parsed(value, place, "a list of tools"), True
    if is_nothing(value) or (isinstance(value, str) and not value.strip()):
        return ()
    recorded = list_of(value, place, "tools")
    return tuple(_tool(one, Place(f"tool {number}"), nulls) for number, one in enumerate(recorded))


def _tool(value: object, place: Place, nulls: bool) -> Tool:
    if isinstance(value, str):
        value, nulls = parsed(value, place, "a tool"), True
    recorded = object_of(plain(value, place, nulls=nulls), place, "a tool")
    tool = {name: found for name, found in recorded.items() if found is not None}
    if tool.get("type", _FUNCTION) not in (_FUNCTION, "custom"):
        raise place.at("type").error(f"found {tool['type']!r:.40} where 'function' belongs")
    if _FUNCTION not in tool:
        return {"type": _FUNCTION, _FUNCTION: _function(_flat(tool, place), place)}
    inner = _function(object_of(tool[_FUNCTION], place.at(_FUNCTION), "an object"), place.at(_FUNCTION))
    return {**({} if "type" in tool else {"type": _FUNCTION}), **tool, _FUNCTION: inner}


def _flat(tool: Tool, place: Place) -> Tool:
    """A definition without an object around it; its schema may have another name."""
    schemas = [name for name in (_SCHEMA, *_OTHER_SCHEMAS) if name in tool]
    if len(schemas) > 1:
        raise place.error(f"has {' and '.join(schemas)}, which mean the same")
    return {
        _SCHEMA if name in _OTHER_SCHEMAS else name: found
        for name, found in tool.items()
        if name not in _NOT_SHOWN
    }


def _function(recorded: Tool, place: Place) -> Tool:
    function = {name: found for name, found in recorded.items() if found is not None}
    name_of(function.get("name"), place.at("name"))
    text_of(function.get("description", ""), place.at("description"))
    object_of(function.get(_SCHEMA, {}), place.at(_SCHEMA), "an object")
    return function
