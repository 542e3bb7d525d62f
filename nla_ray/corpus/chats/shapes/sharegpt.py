"""ShareGPT's messages: from and value, a call as a message of its own."""

from __future__ import annotations

from collections.abc import Sequence

from nla_ray.corpus.chats.calls import only_call
from nla_ray.corpus.chats.draft import Draft
from nla_ray.corpus.chats.model import Message
from nla_ray.corpus.chats.values import Fields, is_nothing, parsed, plain
from nla_ray.corpus.chats.words import MESSAGE_METADATA, role_of

_CALLS = ("function_call", "tool_call")


def read_messages(recorded: Sequence[Fields]) -> list[Message]:
    """The messages in order."""
    return [_read(fields) for fields in recorded]


def _read(fields: Fields) -> Message:
    name = fields.name("from")
    draft = Draft("assistant" if name in _CALLS else role_of(name), name=fields.text("name"))
    if name in _CALLS:
        _read_calls(fields, draft)
    else:
        draft.say(fields.needed_text("value"), fields.place.at("value"))
    fields.close(MESSAGE_METADATA)
    return draft.messages()[0]


def _read_calls(fields: Fields, draft: Draft) -> None:
    """One call or a list of them, as JSON text or as it is."""
    value, place = fields.take("value"), fields.place.at("value")
    if isinstance(value, str):
        value = plain(parsed(value, place, "a call"), place, nulls=True)
    if is_nothing(value):
        raise place.error("is empty where a call belongs")
    for number, one in enumerate(value if isinstance(value, list) else [value]):
        draft.call(only_call(one, place.at(number) if isinstance(value, list) else place), place)
