"""Every format, what it cannot say, and the chat that a story is in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.chats.model import Chat
from tests.corpus.agents import files, rows
from tests.corpus.agents.master import Story, Turn

ROLES = {"user": "user", "agent": "assistant", "result": "tool"}


@dataclass(frozen=True)
class Format:
    """How stories are written; those with a trait that it `lacks` are not, what it is `silent` of is lost.

    `texts`: arguments are JSON texts; `ids`: calls have names of their own; `tool`: more of each tool.
    """

    write: Callable[[Path, Sequence[Story]], Corpus]
    lacks: frozenset[str] = frozenset()
    silent: bool = False
    texts: bool = False
    ids: bool = True
    tool: Mapping[str, Any] = field(default_factory=dict)

    def holds(self, story: Story) -> bool:
        """Whether it can say all of a story."""
        return not self.lacks & story.traits()


_LOSSY = frozenset({"thought", "sealed", "image", "aside"})
FORMATS: Mapping[str, Format] = {
    "openai": Format(rows.jsonl(rows.openai), texts=True),
    "json-text": Format(rows.parquet(rows.json_text), texts=True),
    "struct-of-lists": Format(rows.parquet(rows.lists), frozenset({"sealed", "image"}), texts=True),
    "anthropic": Format(rows.jsonl(rows.anthropic)),
    "anthropic-parquet": Format(rows.parquet(rows.anthropic), frozenset({"null"})),
    "sharegpt": Format(rows.jsonl(rows.sharegpt, messages="conversations"), _LOSSY, ids=False),
    "responses": Format(
        rows.jsonl(rows.responses, messages="input", system="instructions"), texts=True, tool={"strict": True}
    ),
    "inspect-eval": Format(files.inspect_eval),
    "inspect-chunked": Format(files.inspect_chunked),
    "inspect-json": Format(files.inspect_json),
    "scout": Format(files.scout),
    "atif": Format(files.atif, frozenset({"sealed"})),
    "claude-code": Format(files.claude_code, silent=True),
}


def told(story: Story, how: Format) -> dict[str, Any]:
    """The chat that a format must give of a story."""
    rules = [("system", story.rules, "", (), ())] if story.rules and not how.silent else []
    tools = () if how.silent else story.tools
    return {"messages": [*rules, *map(_said, story.turns)], "tools": [{**tool, **how.tool} for tool in tools]}


def _said(turn: Turn) -> tuple[Any, ...]:
    lost = {"image": None in turn.parts, "redacted_thinking": turn.sealed}
    acts = tuple((act.name, act.arguments) for act in turn.acts)
    return (
        ROLES[turn.who],
        turn.text,
        turn.thought,
        acts,
        tuple(name for name, is_lost in lost.items() if is_lost),
    )


def heard(chat: Chat) -> dict[str, Any]:
    """A chat that was read, in the same words."""
    return {
        "messages": [
            (
                one.role,
                one.content,
                one.thinking,
                tuple((call.name, _object(call.arguments)) for call in one.calls),
                one.lost,
            )
            for one in chat.messages
        ],
        "tools": [tool["function"] for tool in chat.tools],
    }


def _object(arguments: Any) -> Any:
    return json.loads(arguments) if isinstance(arguments, str) else arguments


def links(chat: Chat) -> list[tuple[str, str]]:
    """Each result's call by name, and each call's own."""
    made = [call.call_id or "" for one in chat.messages for call in one.calls]
    return list(zip(made, [one.call_id or "" for one in chat.messages if one.role == "tool"], strict=True))
