"""A list of messages, taken out of what it came in: JSON text, a struct of lists, an object around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from nla_ray.corpus.chats.model import ChatError
from nla_ray.corpus.chats.values import Fields, Place, kind, parsed

_LAYERS = 4
_AROUND = ("messages", "conversation", "conversations")
_A_LIST = "a list of messages"
_TURNS = ("user", "assistant")


@dataclass(frozen=True)
class Opened:
    """`found` is the list in the end; `how` is what it came in, for the shape's name.

    `shape` is known where its items were texts. `system` and `tools` were beside it. `nulls`: its nulls were
    recorded and not added by Arrow.
    """

    found: Any
    nulls: bool
    how: str = ""
    shape: str | None = None
    system: object = None
    tools: object = None


def opened(value: object, place: Place, *, nulls: bool) -> Opened:
    """The list of messages in a value, with at least one item."""
    state = Opened(value, nulls)
    for _ in range(_LAYERS):
        if isinstance(state.found, list):
            break
        state = _one_layer_less(state, place)
    if not isinstance(state.found, list):
        raise place.error(f"found more than {_LAYERS} layers of JSON text and objects around {_A_LIST}")
    if not state.found:
        raise place.error("an empty list of messages")
    return _from_texts(state) if all(isinstance(one, str) for one in state.found) else state


def _one_layer_less(state: Opened, place: Place) -> Opened:
    found = state.found
    if isinstance(found, str):
        text = parsed(found, place, _A_LIST)
        return replace(state, found=text, nulls=True, how=f"{state.how} as JSON text")
    if not isinstance(found, Mapping):
        raise place.error(f"found {kind(found)} where {_A_LIST} belongs")
    if any(isinstance(found.get(name), list) for name in ("role", "from")):
        return replace(state, found=_rows(found, place), how=f"{state.how} as struct-of-lists")
    return _unwrapped(state, Fields(found, place, _A_LIST))


def _rows(lists: Mapping[str, object], place: Place) -> list[object]:
    """One object per message; a list that is not there at all is none of its fields."""
    columns = {name: one for name, one in lists.items() if one is not None and name not in place.ignore}
    for name, one in columns.items():
        if not isinstance(one, list):
            raise place.at(name).error(f"found {kind(one)} where a list belongs, as in the other fields")
    lengths = {name: len(one) for name, one in columns.items() if isinstance(one, list)}
    if len(set(lengths.values())) > 1:
        raise place.error(f"lists of different lengths: {lengths!r:.200}")
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _from_texts(state: Opened) -> Opened:
    """Each message as JSON text, or the texts of a user and an assistant in turn."""
    try:
        messages = [parsed(text, Place(), "a message") for text in state.found]
    except ChatError:
        messages = []
    if messages and all(isinstance(one, Mapping) and ("role" in one or "from" in one) for one in messages):
        return replace(state, found=messages, nulls=True, how=f"{state.how} as JSON texts")
    turns = [{"role": _TURNS[number % 2], "content": text} for number, text in enumerate(state.found)]
    return replace(state, found=turns, shape="alternating")


def _unwrapped(state: Opened, fields: Fields) -> Opened:
    """The list in an object that holds it, and tools and a system message at most."""
    if "role" in fields or "from" in fields:
        raise fields.place.error(f"found one message where {_A_LIST} belongs")
    held = [name for name in _AROUND if name in fields]
    if len(held) > 1:
        raise fields.place.error(f"found {' and '.join(held)} where {_A_LIST} belongs")
    found, system, tools = fields.take(held[0]) if held else None, fields.take("system"), fields.take("tools")
    fields.close(frozenset())
    if not held:
        raise fields.place.error(f"found an object without messages where {_A_LIST} belongs")
    return replace(state, found=found, how=f"{state.how} in an object", system=system, tools=tools)
