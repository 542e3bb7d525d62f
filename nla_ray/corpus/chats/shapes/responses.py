"""Items of OpenAI's Responses: an answer's reasoning, text and calls are items of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from nla_ray.corpus.chats.calls import call_of
from nla_ray.corpus.chats.draft import REDACTED, Draft
from nla_ray.corpus.chats.model import Message
from nla_ray.corpus.chats.parts import read_content, texts_of
from nla_ray.corpus.chats.values import Fields
from nla_ray.corpus.chats.words import MESSAGE_METADATA, role_of

_ASSISTANT = "assistant"


def read_messages(recorded: Sequence[Fields]) -> list[Message]:
    """The messages in order; an assistant's items in a row are one message, as far as their order allows."""
    messages: list[Message] = []
    for fields in recorded:
        item = _read(fields)
        if messages and _goes_on(messages[-1], item):
            messages[-1] = _together(messages[-1], item)
        else:
            messages.append(item)
    return messages


def _goes_on(turn: Message, item: Message) -> bool:
    if turn.role != _ASSISTANT or item.role != _ASSISTANT:
        return False
    return bool(item.calls) or not (turn.content or turn.calls)


def _together(turn: Message, item: Message) -> Message:
    return replace(
        turn,
        content=turn.content + item.content,
        thinking="\n".join(filter(None, (turn.thinking, item.thinking))),
        calls=turn.calls + item.calls,
        lost=tuple(dict.fromkeys(turn.lost + item.lost)),
    )


def _read(fields: Fields) -> Message:
    name = fields.text("type") or "message"
    if name not in _ITEMS:
        raise fields.place.at("type").error(f"found {name!r:.40}; understood are {', '.join(_ITEMS)}")
    draft = _ITEMS[name](fields)
    fields.close(MESSAGE_METADATA)
    return draft.messages()[0]


def _message(fields: Fields) -> Draft:
    name = fields.name("role")
    draft = Draft(role_of(name))
    read_content(fields.take("content"), fields.place.at("content"), draft)
    return draft


def _reasoning(fields: Fields) -> Draft:
    """The thinking itself, where it is there; a summary or a cipher is not it."""
    draft, content = Draft(_ASSISTANT), fields.take("content")
    for name in ("summary", "encrypted_content"):
        fields.take(name)
    for text in [] if content is None else texts_of(content, fields.place.at("content")):
        draft.think(text, fields.place)
    if not draft.thinking:
        draft.lose(REDACTED)
    return draft


def _function_call(fields: Fields) -> Draft:
    draft = Draft(_ASSISTANT)
    draft.call(call_of(fields, fields.text("call_id")), fields.place)
    return draft


def _output(fields: Fields) -> Draft:
    draft = Draft("tool", call_id=fields.text("call_id"))
    read_content(fields.take("output"), fields.place.at("output"), draft)
    return draft


_ITEMS: dict[str, Callable[[Fields], Draft]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _function_call,
    "function_call_output": _output,
}
