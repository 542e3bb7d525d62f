"""A row of a corpus file as a document: which of its columns are text, chat, vector, id and metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from nla_ray.config.reading.corpus import FILE, Corpus
from nla_ray.corpus.chats.model import Chat, ChatError
from nla_ray.corpus.chats.read import read_chat
from nla_ray.corpus.documents.document import Document, unusable
from nla_ray.corpus.files.columns import Columns
from nla_ray.corpus.files.sources import Source
from nla_ray.corpus.files.values import is_unicode, lacking, lacks, row_id, row_meta
from nla_ray.errors import InputError
from nla_ray.ids import digest


def columns_of(corpus: Corpus, listed: str | None, source: Source) -> Columns:
    """The columns that a configuration wants of a file; with two content columns one will do."""
    content = [name for name in (corpus.text, corpus.messages) if name is not None]
    apart = {FILE, *(key for key, _ in source.partition)}
    ids = [name for name in corpus.id or () if name not in apart]
    own = [*ids, *([] if listed is None else [listed])]
    meta = [name for name in corpus.meta if name not in apart]
    if corpus.vectors is None:
        beside = [] if corpus.messages is None else [one for one in (corpus.system, corpus.tools) if one]
        return Columns([*own, *meta], needed=own, one_of=content, optional=beside, ids=ids)
    given = corpus.vectors
    own += [name for name in (given.column, given.tokens, *content) if name is not None]
    return Columns([*own, *meta], needed=own, optional=[given.layer], ids=ids, vector=given.column)


def row_document(
    row: Mapping[str, Any], at: str, corpus: Corpus, source: Source, listed: str | None
) -> Document:
    """The document of a row that stands at a place; never raises for the row's own faults."""
    if corpus.vectors is not None:
        return _vector_document(row, at, corpus, source)
    return _with_listed(_document(row, at, corpus, source), row, listed)


def _with_listed(document: Document, row: Mapping[str, Any], listed: str | None) -> Document:
    if listed is None or document.problem is not None:
        return document
    found = row.get(listed)
    if listed not in row:
        return replace(document, text=None, chat=None, problem=lacks(row, listed))
    if not isinstance(found, list) or not all(type(at) is int and at >= 0 for at in found):
        problem = f"{listed!r} holds {found!r:.80} where a list of positions, counted from 0, belongs"
        return replace(document, text=None, chat=None, problem=problem)
    return replace(document, listed=tuple(sorted(set(found))))


def _document(row: Mapping[str, Any], at: str, corpus: Corpus, source: Source) -> Document:
    meta, noted = row_meta(row, corpus, source.partition)
    content = _content(row, corpus, nulls=source.format == "jsonl")
    if corpus.id is None:
        name, wrong = content.name(), content.problem
    else:
        name, wrong = row_id(row, corpus.id, source.name)
    if wrong is not None:
        return unusable(at, wrong, meta)
    without = lacking(row, corpus)
    return Document(name, at, content.text, content.chat, meta, content.problem, noted=noted, lacking=without)


def _vector_document(row: Mapping[str, Any], at: str, corpus: Corpus, source: Source) -> Document:
    """A row of a file of vectors. Its key is the id and the position, which is `n_raw_tokens` - 1."""
    given = corpus.vectors
    if given is None:
        raise InputError(f"{at}: corpus.vectors does not name the columns")
    meta, noted = row_meta(row, corpus, source.partition)
    vector, tokens = row[given.column], row[given.tokens] if given.tokens else None
    if vector is None:
        return unusable(at, f"{given.column!r} is null", meta)
    if given.tokens and not (isinstance(tokens, int) and tokens > 0):
        return unusable(at, f"{given.tokens!r} holds {tokens!r:.80} where a number of tokens belongs", meta)
    name, wrong = digest("vector", vector.hex())[:32], None
    if corpus.id is not None:
        name, wrong = row_id(row, corpus.id, source.name)
    if wrong is not None:
        return unusable(at, wrong, meta)
    text = row.get(corpus.text) if corpus.text else None
    return Document(
        name,
        at,
        text=None if _text_problem(text, "text") else text,
        meta=meta,
        vector=vector,
        position=tokens - 1 if tokens is not None else None,
        layer=row.get(given.layer),
        noted=noted,
    )


@dataclass(frozen=True)
class _Content:
    """What a row holds to be read, or why it cannot be."""

    text: str | None = None
    chat: Chat | None = None
    problem: str | None = None

    def name(self) -> str:
        """An id that follows from the content (32 hex characters)."""
        return digest(json.dumps([self.text, None if self.chat is None else self.chat.canonical()]))[:32]


def _content(row: Mapping[str, Any], corpus: Corpus, *, nulls: bool) -> _Content:
    """A row with messages is a chat, even where it has text beside them."""
    chat = None if corpus.messages is None else row.get(corpus.messages)
    if corpus.messages is not None and (chat is not None or corpus.text is None):
        if corpus.messages not in row:
            return _Content(problem=lacks(row, corpus.messages))
        return _chat(row, chat, corpus, nulls=nulls)
    if corpus.text is None or corpus.text not in row:
        return _Content(problem=lacks(row, corpus.text))
    text = row[corpus.text]
    problem = _text_problem(text, corpus.text)
    return _Content(problem=problem) if problem else _Content(text)


def _chat(row: Mapping[str, Any], value: object, corpus: Corpus, *, nulls: bool) -> _Content:
    system, tools = (row.get(name) if name else None for name in (corpus.system, corpus.tools))
    try:
        chat = read_chat(value, system=system, tools=tools, ignore=corpus.chat.ignore, nulls=nulls)
    except ChatError as error:
        return _Content(problem=f"{corpus.messages!r}: {error}")
    return _Content(chat=chat)


def _text_problem(value: object, name: str) -> str | None:
    if not isinstance(value, str):
        return f"{name!r} holds {type(value).__name__} where text belongs"
    if not value.strip():
        return f"{name!r} is empty"
    return None if is_unicode(value) else f"{name!r} is not valid Unicode (a lone surrogate)"
