"""Anthropic's blocks in the content of a message: thinking, a tool's use, a tool's result."""

from __future__ import annotations

from collections.abc import Mapping

from nla_ray.corpus.chats.calls import call_of
from nla_ray.corpus.chats.draft import REDACTED, Draft
from nla_ray.corpus.chats.parts import Block, read_content, texts_of
from nla_ray.corpus.chats.values import Fields


def _thinking(fields: Fields, draft: Draft) -> None:
    """A text, or as Mistral has it a list of texts. A signature without one signs what was not given away."""
    thinking, place = fields.take("thinking"), fields.place.at("thinking")
    if isinstance(thinking, list):
        draft.think("".join(texts_of(thinking, place)), fields.place)
        return
    inner = Draft("assistant")
    read_content("" if thinking is None else thinking, place, inner)
    draft.think(inner.text, fields.place)
    if not inner.text and fields.text("signature"):
        draft.lose(REDACTED)


def _redacted_thinking(fields: Fields, draft: Draft) -> None:
    fields.take("data")
    draft.lose(REDACTED)


def _tool_use(fields: Fields, draft: Draft) -> None:
    draft.call(call_of(fields, fields.text("id"), arguments="input"), fields.place)


def _tool_result(fields: Fields, draft: Draft) -> None:
    """A message of its own; whether it is an error stands in its text."""
    fields.take("is_error")
    result, content = Draft("tool", call_id=fields.text("tool_use_id")), fields.take("content")
    read_content("" if content is None else content, fields.place.at("content"), result)
    for message in result.messages():
        draft.result(message)


BLOCKS: Mapping[str, Block] = {
    "thinking": _thinking,
    "redacted_thinking": _redacted_thinking,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}
