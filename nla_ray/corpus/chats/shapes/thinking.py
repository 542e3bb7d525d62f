"""Thinking that is recorded beside a message's content, under the names that servers give it."""

from __future__ import annotations

from dataclasses import dataclass

from nla_ray.corpus.chats.draft import REDACTED, Draft
from nla_ray.corpus.chats.values import Fields, Place, list_of

_NAMES = ("reasoning_content", "reasoning", "thinking")
_DETAILS = "reasoning_details"
_DETAIL_METADATA = frozenset({"format", "id", "index", "signature"})


@dataclass(frozen=True)
class _Details:
    """OpenRouter's list: pieces of thinking, summaries of it, ciphers of it."""

    texts: tuple[str, ...]
    summaries: tuple[str, ...]
    ciphers: bool


def read_thinking(fields: Fields, draft: Draft) -> None:
    """Add it to a message whose content is read already. What is there under two names must be one thing."""
    details = _details(fields)
    found = {name: text for name in _NAMES if (text := fields.text(name))}
    # A server that has but a summary gives it as the reasoning.
    found = {name: text for name, text in found.items() if text not in _joined(details.summaries)}
    if details.texts and not _joined(details.texts) & set(found.values()):
        found[_DETAILS] = "\n".join(details.texts)
    if draft.thinking:
        found["content"] = draft.thinking
    if len(set(found.values())) > 1:
        raise fields.place.error(
            f"{' and '.join(found)} differ, and a message has one thinking; "
            "name what the target did not see in corpus.chat.ignore"
        )
    if found:
        draft.thinking = next(iter(found.values()))
    if details.summaries or details.ciphers:
        draft.lose(REDACTED)


def _joined(pieces: tuple[str, ...]) -> set[str]:
    """Pieces in one text, as those of a stream and as paragraphs."""
    return {"".join(pieces), "\n".join(pieces)} if pieces else set()


def _details(fields: Fields) -> _Details:
    value, place = fields.take(_DETAILS), fields.place.at(_DETAILS)
    pieces = [] if value is None else list_of(value, place, "details")
    read = [_detail(piece, place.at(number)) for number, piece in enumerate(pieces)]
    return _Details(
        tuple(text for text, _, _ in read if text),
        tuple(summary for _, summary, _ in read if summary),
        any(cipher for _, _, cipher in read),
    )


def _detail(value: object, place: Place) -> tuple[str | None, str | None, bool]:
    fields = Fields(value, place, "a detail")
    fields.take("type")
    detail = fields.text("text"), fields.text("summary"), bool(fields.take("data"))
    fields.close(_DETAIL_METADATA)
    return detail
