"""A transcript as it stands in a file, or why it cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nla_ray.corpus.chats.model import Chat, ChatError
from nla_ray.corpus.transcripts.values import UnreadableError, storable_json


@dataclass(frozen=True)
class Transcript:
    """One transcript of a file; `chat` is None where `problem` says why.

    `key` is unique within the file, `meta` holds values that JSON can hold.
    """

    key: str
    chat: Chat | None
    problem: str | None
    meta: Mapping[str, Any]


def transcript(key: str, read: Callable[[], Chat], meta: Mapping[str, Any]) -> Transcript:
    """What `read` gives, or the problem that it meets."""
    try:
        return Transcript(key, read(), None, _kept(meta))
    except (ChatError, UnreadableError) as error:
        return unreadable(key, error, meta)


def unreadable(key: str, problem: object, meta: Mapping[str, Any] | None = None) -> Transcript:
    """A transcript without a chat."""
    return Transcript(key, None, storable_json(str(problem)), _kept(meta or {}))


def _kept(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as it can be stored, without what has no value."""
    return {name: storable_json(value) for name, value in meta.items() if value not in (None, "", [], {})}
