"""The configuration of chats: what the target's template is given and may drop; whole-file transcripts."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from nla_ray.config.base import Config, Name

Dropped = Literal[
    "whitespace",
    "thinking",
    "redacted_thinking",
    "message",
    "tool_call",
    "tool_result",
    "tools",
    "image",
    "audio",
    "video",
    "file",
]
"""What a chat can hold that the text of the target's template does not."""


class Chats(Config):
    """How chats are rendered by the target's own template, and what may be missing from its text."""

    template: dict[str, JsonValue] = Field(default_factory=dict)
    """Keyword options of the template, for example `{enable_thinking: false}`; it must know each of them."""
    dropped: tuple[Dropped, ...] = ("whitespace",)
    """What the template may leave out: such a document is read and its rows carry the flag `dropped:<what>`.

    Of anything else that is missing from the rendered text, the document is a failed row that names it.
    `whitespace` is what templates strip off the ends of contents; an `image` leaves its placeholder.
    """
    ignore: tuple[Name, ...] = ()
    """Fields of messages that may be ignored; of one that is not understood the document is a failed row."""
    now: datetime = datetime(2026, 1, 1)
    """The date and time that a template is told when it asks for the clock (`strftime_now`)."""


class Transcripts(Config):
    """The files are whole transcripts, not rows: Inspect logs, Scout tables, ATIF, Claude Code sessions."""

    kind: Literal["auto", "inspect", "scout", "atif", "claude-code"] = "auto"
    """What the files are; `auto` looks at each one."""
