"""A chat of a corpus row: its shape is found by itself, and all of it is read or the reason is said."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from nla_ray.corpus.chats.draft import Draft
from nla_ray.corpus.chats.model import Chat, ChatError, Message
from nla_ray.corpus.chats.opened import opened
from nla_ray.corpus.chats.parts import read_content
from nla_ray.corpus.chats.shapes import anthropic, inspect, openai, responses, sharegpt
from nla_ray.corpus.chats.tools import read_tools
from nla_ray.corpus.chats.values import Fields, Place, is_nothing, kind, plain, unpaired

_READERS: Mapping[str, Callable[[Sequence[Fields]], list[Message]]] = {
    "openai": openai.read_messages,
    "anthropic": openai.read_messages,
    "inspect": openai.read_messages,
    "alternating": openai.read_messages,
    "sharegpt": sharegpt.read_messages,
    "responses": responses.read_messages,
}
_Part = TypeVar("_Part")


def read_chat(
    value: object,
    *,
    system: object = None,
    tools: object = None,
    ignore: Collection[str] = (),
    nulls: bool = False,
) -> Chat:
    """The chat in a row's column of messages, with what its columns for a system text and for tools hold.

    `ignore` names fields that are not looked at. `nulls`: the row was JSON, so that a null inside arguments
    or a tool's schema was recorded; Arrow adds them. Raises ChatError naming message and field.
    """
    place = Place(ignore=frozenset(ignore))
    inside = opened(value, place, nulls=nulls)
    recorded = [_recorded(one, _at(number, place), inside.nulls) for number, one in enumerate(inside.found)]
    shape = inside.shape or _shape_of(recorded)
    fields = [Fields(one, _at(number, place), "a message") for number, one in enumerate(recorded)]
    beside = _one_of("system", _system(system, place, nulls), _system(inside.system, place, inside.nulls))
    offered = _one_of("tools", read_tools(tools, nulls=nulls), read_tools(inside.tools, nulls=inside.nulls))
    messages = _with_system(beside, tuple(_READERS[shape](fields)))
    return Chat(messages, offered, shape + inside.how)


def _at(number: int, place: Place) -> Place:
    return replace(place, top=f"message {number}")


def _recorded(value: object, place: Place, nulls: bool) -> dict[str, object]:
    """The fields of a message as they were recorded, each one measured."""
    message = unpaired(value)
    if not isinstance(message, Mapping):
        raise place.error(f"found {kind(message)} where an object with role and content belongs")
    there = {name: one for name, one in message.items() if one is not None and name not in place.ignore}
    return {name: plain(one, place.at(str(name)), nulls=nulls) for name, one in there.items()}


def _shape_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """Named after what only one shape has; what has nothing of the kind is OpenAI's."""
    bare = [message for message in messages if "role" not in message]
    if any("from" in message for message in bare):
        return "sharegpt"
    if any(message.get("type", "message") != "message" for message in bare):
        return "responses"
    parts = [part for message in messages for part in _parts(message)]
    blocks = {part["type"] for part in parts if isinstance(part.get("type"), str)}
    if blocks & anthropic.BLOCKS.keys() or any(part.get("source") is not None for part in parts):
        return "anthropic"
    if blocks & inspect.BLOCKS.keys() or any(map(inspect.is_inspect, messages)):
        return "inspect"
    return "openai"


def _parts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message.get("content")
    return [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []


def _system(value: object, place: Place, nulls: bool) -> Message | None:
    """The message of a system text that is recorded apart; None where it holds nothing."""
    if is_nothing(value):
        return None
    place, draft = replace(place, top="system"), Draft("system")
    read_content(plain(value, place, nulls=nulls), place, draft)
    return draft.messages()[0]


def _with_system(beside: Message | None, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    if beside is None or messages[0] == beside:
        return messages
    if messages[0].role == beside.role:
        raise ChatError("system: the system message beside the messages differs from message 0")
    return (beside, *messages)


def _one_of(name: str, own: _Part, inside: _Part) -> _Part:
    """What is recorded in a column of the row or beside the messages; in both it must be the same."""
    if own and inside and own != inside:
        raise ChatError(f"{name}: the row's own differ from those beside the messages")
    return own or inside
