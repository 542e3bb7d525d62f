"""What only messages of Inspect's logs have: reasoning among the parts, a tool's error beside its content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nla_ray.corpus.chats.draft import REDACTED, Draft
from nla_ray.corpus.chats.parts import Block
from nla_ray.corpus.chats.values import Fields, text_of

_SOURCES = ("input", "generate", "operator")


def _reasoning(fields: Fields, draft: Draft) -> None:
    """What is redacted is a cipher there, and its summary is not the thinking."""
    redacted, summary = fields.take("redacted"), fields.take("summary")
    reasoning = fields.text("reasoning")
    if redacted or (not reasoning and (summary or fields.text("signature"))):
        draft.lose(REDACTED)
    else:
        draft.think(reasoning or "", fields.place)


BLOCKS: Mapping[str, Block] = {"reasoning": _reasoning}


def error_of(fields: Fields) -> str:
    """The error of a tool's result, which the target saw in place of a content; empty where there is none."""
    error, place = fields.take("error"), fields.place.at("error")
    if error is None or isinstance(error, str):
        return text_of(error or "", place)
    inner = Fields(error, place, "an object with a message")
    message = inner.text("message") or ""
    inner.close(frozenset({"type"}))
    return message


def is_inspect(message: Mapping[str, Any]) -> bool:
    """Whether a message has what only Inspect writes."""
    calls = message.get("tool_calls")
    named = any(
        isinstance(call, Mapping) and isinstance(call.get("function"), str)
        for call in (calls if isinstance(calls, list) else ())
    )
    return named or message.get("source") in _SOURCES
