"""A document as its target reads it: token ids, where tokens stand in the text, in whose message they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from nla_ray.corpus.documents import Document, Message

Span = tuple[int, int]
"""Start and end in characters."""

_HOLE = "\ue000{}\ue001"
_HOLES = re.compile("\ue000([0-9]+)\ue001")


@dataclass(frozen=True)
class Tokens:
    """Token ids; their spans in `text`, None where the tokenizer cannot tell.

    `roles` says for each token the role of the message that it is in, None for what the template adds; the
    whole is None for plain text, and for a chat whose template does not show where its messages are.
    """

    ids: tuple[int, ...]
    text: str
    spans: tuple[Span, ...] | None
    roles: tuple[str | None, ...] | None = None

    def answered(self, ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> Tokens:
        """With generated tokens behind; in a chat they are the assistant's.

        A token's span ends where the text does that is decoded up to it.
        """
        texts = [str(tokenizer.decode(list(ids[:n]))) for n in range(len(ids) + 1)]
        ends = [len(self.text) + len(text) for text in texts]
        spans = None if self.spans is None else (*self.spans, *pairwise(ends))
        roles = None if self.roles is None else (*self.roles, *(["assistant"] * len(ids)))
        return Tokens((*self.ids, *ids), self.text + texts[-1], spans, roles)


def tokenize(tokenizer: PreTrainedTokenizerBase, document: Document, *, to_answer: bool = False) -> Tokens:
    """Tokens of a document: text as it stands; a chat by its template, which holds its special tokens.

    `to_answer`: a chat ends with what the template puts before an answer.
    Raises jinja2.TemplateError where the template refuses the messages.
    """
    if document.messages is None:
        text = str(document.text)
        return Tokens(*_encode(tokenizer, text, special=True))
    text = _render(tokenizer, document.messages, to_answer)
    ids, text, spans = _encode(tokenizer, text, special=False)
    found = message_spans(tokenizer, document.messages, text, to_answer=to_answer)
    roles = None if spans is None or found is None else _roles(spans, document.messages, found)
    return Tokens(ids, text, spans, roles)


def _encode(
    tokenizer: PreTrainedTokenizerBase, text: str, *, special: bool
) -> tuple[tuple[int, ...], str, tuple[Span, ...] | None]:
    encoded = tokenizer(
        text, add_special_tokens=special, return_offsets_mapping=tokenizer.is_fast, verbose=False
    )
    spans = tuple((start, end) for start, end in encoded["offset_mapping"]) if tokenizer.is_fast else None
    return tuple(encoded["input_ids"]), text, spans


def _render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], to_answer: bool) -> str:
    chat = [dict(message) for message in messages]
    # Rendered to text first: `tokenize=True` splits some markers into bytes.
    try:
        return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=to_answer))
    # A template is a program from the checkpoint: it can fail in any way.
    except Exception as error:
        raise TemplateError(f"{type(error).__name__}: {str(error)[:200]}") from error


def message_spans(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], text: str, *, to_answer: bool = False
) -> dict[int, Span] | None:
    """Where the content of each message stands in the rendered chat, by its index.

    The template is rendered a second time with a hole for each content; what stands between the holes is its
    own. None where the template treats contents by what is in them, and they are not found in order either.
    """
    holes = [{**message, "content": _HOLE.format(index)} for index, message in enumerate(messages)]
    try:
        parts = _HOLES.split(_render(tokenizer, holes, to_answer))
    except TemplateError:
        return _in_order(messages, text)
    found = _between([messages[int(index)]["content"] for index in parts[1::2]], parts[::2], text)
    if found is None:
        return _in_order(messages, text)
    return dict(zip(map(int, parts[1::2]), found, strict=True))


def _between(contents: Sequence[str], literals: Sequence[str], text: str) -> list[Span] | None:
    """Spans of contents, whole or stripped, where the literals alternate with them to make up the text."""
    if not text.startswith(literals[0]):
        return None
    at, spans = len(literals[0]), []
    for content, literal in zip(contents, literals[1:], strict=True):
        forms = (content, content.strip())
        fits = next((form for form in forms if text.startswith(form + literal, at)), None)
        if fits is None:
            return None
        spans.append((at, at + len(fits)))
        at += len(fits) + len(literal)
    return spans if at == len(text) else None


def _in_order(messages: Sequence[Message], text: str) -> dict[int, Span] | None:
    """Spans by search, each content after the one before; None where one is not there word for word."""
    at, spans = 0, {}
    for index, message in enumerate(messages):
        content = message["content"].strip()
        start = text.find(content, at)
        if start < 0:
            return None
        at = start + len(content)
        spans[index] = (start, at)
    return spans


def _roles(
    spans: Sequence[Span], messages: Sequence[Message], found: dict[int, Span]
) -> tuple[str | None, ...]:
    """The role of the message that each token touches."""
    owners: list[str | None] = [None] * len(spans)
    for index, span in found.items():
        for token in touching(spans, [span]):
            owners[token] = messages[index]["role"]
    return tuple(owners)


def touching(spans: Sequence[Span], wanted: Sequence[Span]) -> list[int]:
    """Indices, ascending, of the spans that share a character with a wanted one; both are in order."""
    found, first = [], 0
    for index, (start, end) in enumerate(spans):
        while first < len(wanted) and wanted[first][1] <= start:
            first += 1
        if first < len(wanted) and start < end and wanted[first][0] < end:
            found.append(index)
    return found
