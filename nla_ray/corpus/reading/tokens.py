"""A document as its target reads it: token ids, where tokens stand in the text, and whose each one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from transformers import PreTrainedTokenizerBase

from nla_ray.config.reading.chats import Chats
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.files.values import is_unicode
from nla_ray.corpus.rendering.model import Owner, Rendered, RenderError, owners_of
from nla_ray.corpus.rendering.render import render
from nla_ray.tables import TEMPLATE

Span = tuple[int, int]
"""Start and end in characters."""


@dataclass(frozen=True)
class Tokens:
    """Token ids; their spans in `text`, None where the tokenizer cannot tell.

    `owners` says for each token of a chat whose it is, None for what the template adds; the whole is None for
    plain text, and where the tokenizer cannot tell. `flags` are true of the whole document: `dropped:<what>`
    for each kind of what the template left out.
    """

    ids: tuple[int, ...]
    text: str
    spans: tuple[Span, ...] | None
    owners: tuple[Owner | None, ...] | None = None
    flags: tuple[str, ...] = ()

    @cached_property
    def labels(self) -> tuple[str, ...] | None:
        """A label per token, `template` for what the template adds; None for plain text."""
        return labels_of(self.owners)

    def answered(self, ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> Tokens:
        """With generated tokens behind; in a chat they are the assistant's.

        A token's span ends where the text does that is decoded up to it.
        """
        texts = [str(tokenizer.decode(list(ids[:n]))) for n in range(len(ids) + 1)]
        ends = [len(self.text) + len(text) for text in texts]
        spans = None if self.spans is None else (*self.spans, *pairwise(ends))
        whole = replace(self, ids=(*self.ids, *ids), text=self.text + texts[-1], spans=spans)
        if self.owners is None:
            return whole
        new = Owner("assistant", 1 + max((one.message for one in self.owners if one), default=-1))
        return replace(whole, owners=(*self.owners, *[new] * len(ids)))


def tokenize(
    tokenizer: PreTrainedTokenizerBase,
    document: Document,
    *,
    chats: Chats | None = None,
    to_answer: bool = False,
) -> Tokens:
    """Tokens of a document: text as it stands; a chat by its template, which holds its special tokens.

    `to_answer`: a chat ends with what the template puts before an answer.
    Raises RenderError where the template refuses the chat, leaves out what `chats` does not allow, or writes
    what is no valid Unicode: JSON text of arguments can hide lone surrogates.
    """
    if document.chat is None:
        return Tokens(*_encode(tokenizer, str(document.text), special=True))
    chats = chats or Chats()
    rendered = render(tokenizer, document.chat, options=chats.template, now=chats.now, to_answer=to_answer)
    _require_whole(rendered, chats)
    if not is_unicode(rendered.text):
        raise RenderError("what the chat template writes is not valid Unicode (a lone surrogate)")
    ids, text, spans = _encode(tokenizer, rendered.text, special=False)
    flags = tuple(f"dropped:{kind}" for kind in rendered.dropped)
    return Tokens(ids, text, spans, None if spans is None else owners_of(spans, rendered), flags)


def labels_of(owners: Sequence[Owner | None] | None) -> tuple[str, ...] | None:
    """A label per token; None where nothing is known of them."""
    return None if owners is None else tuple(TEMPLATE if one is None else one.label for one in owners)


def _require_whole(rendered: Rendered, chats: Chats) -> None:
    """Raise RenderError naming what the template left out and the configuration does not allow."""
    lost = [
        (kind, where)
        for kind, where in zip(rendered.dropped, rendered.reasons, strict=True)
        if kind not in chats.dropped
    ]
    if lost:
        kinds = ", ".join(dict.fromkeys(kind for kind, _ in lost))
        raise RenderError(
            f"not in the text of the target's chat template: {lost[0][1]}; to read it without, allow {kinds} "
            "in corpus.chat.dropped"
        )


def _encode(
    tokenizer: PreTrainedTokenizerBase, text: str, *, special: bool
) -> tuple[tuple[int, ...], str, tuple[Span, ...] | None]:
    encoded = tokenizer(
        text, add_special_tokens=special, return_offsets_mapping=tokenizer.is_fast, verbose=False
    )
    spans = tuple(encoded["offset_mapping"]) if tokenizer.is_fast else None
    return tuple(encoded["input_ids"]), text, spans


def touching(spans: Sequence[Span], wanted: Sequence[Span]) -> list[int]:
    """Indices, ascending, of the spans that share a character with a wanted one; both are in order."""
    found, first = [], 0
    for index, (start, end) in enumerate(spans):
        while first < len(wanted) and wanted[first][1] <= start:
            first += 1
        if first < len(wanted) and start < end and wanted[first][0] < end:
            found.append(index)
    return found
