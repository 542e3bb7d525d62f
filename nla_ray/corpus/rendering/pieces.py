"""The pieces that a chat is made of, and the messages that a template gets with something put for each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nla_ray.corpus.chats.model import Call, Chat, Message
from nla_ray.corpus.rendering.model import Form, RenderError

MAX_DEPTH = 64
"""Nesting of arguments; deeper ones are refused rather than left to the thread's stack."""

# Templates read one or another of these; transformers fills in only some of them.
_THINKING_KEYS = ("reasoning_content", "reasoning", "thinking")
_THOUGHT = re.compile(r"/think", re.IGNORECASE)

Unit = tuple[int, int | None, str]


@dataclass(frozen=True)
class Piece:
    """One thing that a chat holds and its text must show.

    `field` is content, thinking, or of a call: name, arguments (as one text) or values (of arguments that are
    an object). Its keys are such pieces too, with their `ranks` among the keys of their object: letters of
    both cases as one, and apart. Parts of a content that was split have what stands `before` the first and
    `after` each.
    """

    message: int
    role: str
    field: str
    value: Any
    call: int | None = None
    ranks: tuple[int, int] | None = None
    before: str = ""
    after: str = ""

    @property
    def unit(self) -> Unit:
        """What it is a part of: one content, one thinking, one call's name or its arguments."""
        return self.message, self.call, self.field

    @property
    def kind(self) -> str:
        """What is dropped where it is missing."""
        if self.call is not None:
            return "tool_call"
        if self.field == "thinking" or (self.role == "assistant" and _THOUGHT.search(self.after)):
            return "thinking"
        return "tool_result" if self.role == "tool" else "message"

    @property
    def label(self) -> str:
        """Whose its characters are."""
        if self.call is not None:
            return "tool_call"
        return "tool_result" if self.role == "tool" else "thinking" if self.field == "thinking" else self.role

    @property
    def words(self) -> str:
        """Where it stands in the chat."""
        part = self.field if self.call is None else f"tool_calls[{self.call}]"
        return f"message {self.message} ({self.role:.40}): its {part}"


Put = Callable[[Piece], Any]


def messages_with(chat: Chat, form: Form | None, put: Put) -> list[dict[str, Any]]:
    """Messages in the convention of chat templates, with what `put` gives in the place of each piece."""
    return [_message(number, message, form, put) for number, message in enumerate(chat.messages)]


def as_it_is(piece: Piece) -> Any:
    """A piece in its own place."""
    return piece.value


def argument_forms(chat: Chat) -> tuple[Form | None, ...]:
    """Forms in which the arguments of all calls can be given: as they were recorded first, then the other."""
    given = [call.arguments for message in chat.messages for call in message.calls]
    if not given:
        return (None,)
    read = [_object(arguments) for arguments in given]
    if any(found is None and not isinstance(one, str) for found, one in zip(read, given, strict=True)):
        raise RenderError(f"arguments of a call are nested deeper than {MAX_DEPTH}")
    if None in read:
        return ("text",)
    return ("text", "object") if all(isinstance(one, str) for one in given) else ("object", "text")


def _object(arguments: Mapping[str, Any] | str) -> Mapping[str, Any] | None:
    """Arguments as an object; None where a text is no JSON of one, and where it is nested too deep."""
    try:
        found = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) and _shallow(found, MAX_DEPTH) else None


def _shallow(value: Any, depth: int) -> bool:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return depth > 0 and all(_shallow(one, depth - 1) for one in inner)


def _message(number: int, message: Message, form: Form | None, put: Put) -> dict[str, Any]:
    # An empty content stays a text: without the key many templates fail, and with null some write "None".
    piece = Piece(number, message.role, "content", message.content)
    out: dict[str, Any] = {"role": message.role, "content": put(piece)}
    if message.thinking:
        out |= dict.fromkeys(_THINKING_KEYS, put(replace(piece, field="thinking", value=message.thinking)))
    if message.calls:
        out["tool_calls"] = [
            _call(call, replace(piece, call=at), form, put) for at, call in enumerate(message.calls)
        ]
    known = {"tool_call_id": message.call_id, "name": message.name}
    return out | {key: value for key, value in known.items() if value is not None}


def _call(call: Call, piece: Piece, form: Form | None, put: Put) -> dict[str, Any]:
    function = {
        "name": put(replace(piece, field="name", value=call.name)),
        "arguments": _arguments(call.arguments, replace(piece, field="arguments"), form, put),
    }
    known = {} if call.call_id is None else {"id": call.call_id}
    return {"type": "function", **known, "function": function}


def _arguments(arguments: Mapping[str, Any] | str, piece: Piece, form: Form | None, put: Put) -> Any:
    if form == "object":
        return _values(_object(arguments), replace(piece, field="values"), put)
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return put(replace(piece, value=text))


def _values(value: Any, piece: Piece, put: Put) -> Any:
    if isinstance(value, list | tuple):
        return [_values(one, piece, put) for one in value]
    if not isinstance(value, Mapping):
        return put(replace(piece, value=value))
    folded = {key: rank for rank, key in enumerate(sorted(value, key=str.lower))}
    plain = {key: rank for rank, key in enumerate(sorted(value))}
    return {
        put(replace(piece, value=key, ranks=(folded[key], plain[key]))): _values(one, piece, put)
        for key, one in value.items()
    }
