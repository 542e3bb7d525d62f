"""A tool call, in each form that it is recorded in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nla_ray.corpus.chats.model import Call
from nla_ray.corpus.chats.values import Fields, Place, name_of, object_of, text_of
from nla_ray.corpus.chats.words import CALL_METADATA


def read_call(value: object, place: Place) -> Call:
    """A call of `tool_calls`, whose function is an object (OpenAI), a name (Inspect), or the call itself."""
    fields = Fields(value, place, "a call")
    call_id, recorded = fields.text("id"), fields.text("type")
    if recorded not in (None, "function"):
        raise place.at("type").error(f"found {recorded!r:.40} where 'function' belongs")
    function = fields.take("function")
    if isinstance(function, str):
        call = call_of(fields, call_id, name=function)
    elif function is None:
        call = call_of(fields, call_id)
    else:
        call = only_call(function, place.at("function"), call_id)
    fields.close(CALL_METADATA)
    return call


def only_call(value: object, place: Place, call_id: str | None = None) -> Call:
    """The call of an object that has a name and arguments, and nothing else."""
    fields = Fields(value, place, "an object with name and arguments")
    call = call_of(fields, call_id)
    fields.close(CALL_METADATA)
    return call


def call_of(
    fields: Fields, call_id: str | None, *, name: str | None = None, arguments: str = "arguments"
) -> Call:
    """The call that fields hold; `arguments` is their word for these, `name` where it is known already."""
    place = fields.place
    name = fields.name("name") if name is None else name_of(name, place.at("function"))
    return Call(name, _arguments(fields.take(arguments), place.at(arguments)), call_id or None)


def _arguments(value: object, place: Place) -> Mapping[str, Any] | str:
    if value is None:
        return {}
    return (
        text_of(value, place) if isinstance(value, str) else object_of(value, place, "an object or its JSON")
    )
