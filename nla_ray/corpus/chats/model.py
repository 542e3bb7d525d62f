"""The one form of a chat: messages with text, thinking, tool calls and tool results, and the tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

PLACEHOLDER = "[{}]"
"""Stands in a message's content where it held what is no text: `[image]`, `[audio]`, `[video]`, `[file]`."""


class ChatError(ValueError):
    """A chat that cannot be read; the message names the message, the field and what was expected."""


@dataclass(frozen=True)
class Call:
    """One tool call as it was recorded: `arguments` an object, or a text that may or may not be JSON."""

    name: str
    arguments: Mapping[str, Any] | str
    call_id: str | None = None


@dataclass(frozen=True)
class Message:
    """One message. `role` is system, developer, user, assistant, tool, or another that the source has.

    `call_id` and `name` of a tool's result say which call it answers. `lost` names what the source held and
    text cannot show: `image`, `audio`, `video`, `file` (each with its placeholder in `content`),
    `redacted_thinking`.
    """

    role: str
    content: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    call_id: str | None = None
    name: str | None = None
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chat:
    """Messages in order and the tools that were offered, each `{"type": "function", "function": {...}}`.

    `shape` is the name of the shape that it was recorded in, for the plan.
    """

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    shape: str = "openai"

    def canonical(self) -> str:
        """All that determines how it is rendered, as JSON; templates show the order of keys, so it counts."""
        return json.dumps([[asdict(one) for one in self.messages], list(self.tools)], ensure_ascii=True)

    def words(self) -> str:
        """All that is said, by whom; a message's thinking and calls are among it."""
        return "\n".join(
            f"{one.role}: "
            + "\n".join(
                part
                for part in (one.thinking, one.content, *(f"{c.name} {c.arguments}" for c in one.calls))
                if part
            )
            for one in self.messages
        )
