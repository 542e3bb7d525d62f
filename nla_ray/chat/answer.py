"""What a chat endpoint answered: the words after the model's thinking, or why there are none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nla_ray.text import MASK, masked, printable, storable

_TAGS = "think|thinking|thought|reasoning"
_ENDS = re.compile(rf"</(?:{_TAGS})>|\[/THINK\]", re.IGNORECASE)
_BEGINS = re.compile(rf"\s*(?:<(?:{_TAGS})>|\[THINK\])", re.IGNORECASE)
_REASONING = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
"""Where servers put what a model thinks, beside its content."""
LONGEST_WORDS = 200


@dataclass(frozen=True)
class Completion:
    """What an endpoint answered, never blank; `content` as it came, with thinking in front of it."""

    content: str
    finish_reason: str | None = None


class NoAnswerError(Exception):
    """An answer without words. The message is one of a few, so that it can be counted.

    `again`: the same request may be answered another time. `way_out`: what its user can do.
    """

    def __init__(self, why: str, way_out: str, *, again: bool = False) -> None:
        super().__init__(why)
        self.way_out, self.again = way_out, again


class OtherError(Exception):
    """Not a chat completion at all. `status`: that of an error that came with another one."""

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


def loaded(data: bytes) -> dict[str, Any]:
    """A body with choices. Raises OtherError."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise OtherError("an answer that is not JSON") from None
    if not isinstance(body, dict) or (body.get("error") and not body.get("choices")):
        raise OtherError("an error in place of an answer", _status(body))
    choices = body.get("choices")
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        raise OtherError("an answer that is no chat completion")
    if not isinstance(choices[0].get("message"), dict):
        raise OtherError("an answer that is no chat completion")
    return body


def used(body: Mapping[str, Any]) -> int | None:
    """Tokens read and written, where the endpoint says so."""
    usage = body.get("usage")
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    return tokens if type(tokens) is int and tokens > 0 else None


def completion(body: Mapping[str, Any], begins: str) -> Completion:
    """The answer in a body; `begins` as for `after_thinking`. Raises NoAnswerError where it says nothing."""
    choice = body["choices"][0]
    message, finish = choice["message"], choice.get("finish_reason")
    if finish == "content_filter":
        raise NoAnswerError("withheld by the endpoint's filter", "see what its filter allows")
    content = storable("".join(_texts(message.get("content"))))
    if _refusal(message):
        raise NoAnswerError("the model refuses", "name another model or another instruction")
    if after_thinking(content, begins).strip():
        return Completion(content, finish if isinstance(finish, str) else None)
    if message.get("tool_calls") or message.get("function_call"):
        raise NoAnswerError("a call of a tool", "name an endpoint that offers the model no tools")
    if finish == "length":
        raise NoAnswerError("cut off before it began", "allow more tokens, or name a model that thinks less")
    if content.strip() or _thinks(message):
        raise NoAnswerError("nothing but reasoning", "name a model that goes on to answer", again=True)
    raise NoAnswerError("empty", "see whether the model can be asked this way", again=True)


def after_thinking(text: str, begins: str) -> str:
    """What follows the thinking that a server left in front of an answer; empty where that does not end.

    `begins` is how an answer begins: an end of thinking counts where it stands after it, so that an answer
    may speak of such tags, and drafts of an answer while thinking are none.
    """
    ends = [one.end() for one in _ENDS.finditer(text)]
    before = [end for end in ends if begins in text[end:]]
    opened = _BEGINS.match(text) is not None
    if ends and (before or opened or not text[ends[-1] :].strip()):
        text = text[(before or ends)[-1] :]
    return "" if _BEGINS.match(text) else text


def words(data: bytes, secret: str | None) -> str:
    """What a body says of an error, in one short printable line; it is untrusted, and may repeat a secret."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = data.decode(errors="replace")
    for name in ("error", "message", "detail"):
        found = found.get(name) or found if isinstance(found, dict) else found
    text = found if isinstance(found, str) else json.dumps(found)
    text = masked(text.replace(secret, MASK) if secret else text)
    return printable(" ".join(text.split())[:LONGEST_WORDS])


def _status(body: object) -> int | None:
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if type(code) is int else None


def _texts(content: object) -> Iterator[str]:
    """Of a message's content: text, or a list of parts of which some are text."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    for part in parts:
        if isinstance(part, dict) and part.get("type") in ("text", "output_text"):
            text = part.get("text")
            if isinstance(text, str):
                yield text


def _parts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _refusal(message: Mapping[str, Any]) -> bool:
    return bool(message.get("refusal")) or any(part.get("type") == "refusal" for part in _parts(message))


def _thinks(message: Mapping[str, Any]) -> bool:
    beside = any(message.get(name) for name in _REASONING)
    return beside or any(part.get("type") in ("thinking", "reasoning") for part in _parts(message))
