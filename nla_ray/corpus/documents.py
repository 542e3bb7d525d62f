"""Documents of a corpus; one that cannot be used carries its problem."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from nla_ray.config.corpus import Corpus
from nla_ray.corpus.files.formats import Columns, Place, rows_of
from nla_ray.corpus.files.sources import DEMO_CORPUS, Source, corpus_files
from nla_ray.errors import InputError
from nla_ray.ids import digest

__all__ = ["DEMO_CORPUS", "Document", "Message", "read_documents"]

Message = Mapping[str, str]


@dataclass(frozen=True)
class Document:
    """One document, as text or as chat messages; both are None where `problem` says why it cannot be read.

    `listed` are the positions that the corpus itself names. A vector that was extracted before is a document
    of its own: `vector` is little-endian float32, `position` the token that it stands for (documents with the
    same id are told apart by it), `layer` its K where known.
    """

    doc_id: str
    source: str
    text: str | None = None
    messages: tuple[Message, ...] | None = None
    meta: str | None = None
    problem: str | None = None
    listed: tuple[int, ...] | None = None
    vector: bytes | None = None
    position: int | None = None
    layer: int | None = None

    def content_digest(self) -> str:
        """Hash of all that determines the document's rows (64 hex characters)."""
        content: list[object] = [self.doc_id, self.text, self.messages, self.meta, self.problem]
        if self.vector is not None or self.position is not None:
            vector = None if self.vector is None else digest(self.vector.hex())
            content += ["vector", self.position, self.layer, vector]
        return digest(json.dumps(content if self.listed is None else [*content, "listed", self.listed]))


@dataclass(frozen=True)
class Found:
    """A document of a corpus and where it is; `twice` where its id was used before."""

    source: Source
    place: Place
    document: Document
    twice: bool


def read_documents(corpus: Corpus, *, listed: str | None = None) -> Iterator[Document]:
    """The documents of `find_documents` alone."""
    return (found.document for found in find_documents(corpus, listed=listed))


def find_documents(corpus: Corpus, *, listed: str | None = None) -> Iterator[Found]:
    """The documents of all files in order, at most `corpus.limit`; a repeated id is a problem.

    `listed` is the column with a document's own list of positions. Raises InputError: a file is missing or
    unreadable as a whole, a column is not there, no document.
    """
    seen: set[bytes] = set()
    every = (
        (source, place, document)
        for source in corpus_files(corpus.paths)
        for place, document in file_documents(source, corpus, listed)
    )
    for source, place, read in islice(every, corpus.limit):
        key = _key(read)
        twice = key in seen
        document = used_twice(read, corpus) if twice else read
        seen.add(_key(document) if twice else key)
        yield Found(source, place, document, twice)
    if not seen:
        raise InputError(f"{', '.join(corpus.paths)}: the corpus holds no documents")


def file_documents(
    source: Source, corpus: Corpus, listed: str | None, start: Place | None = None
) -> Iterator[tuple[Place, Document]]:
    """The documents of one file with their places, from `start` on or all of them, each taken by itself.

    Raises InputError as `find_documents` does.
    """
    columns = columns_of(corpus, listed)
    for place, row in rows_of(source, columns, text_per=corpus.text_per, start=start):
        at = f"{source.label}:{place.number}"
        if isinstance(row, str):
            yield place, _unusable(at, row)
        elif corpus.vectors is not None:
            yield place, vector_document(row, at, corpus)
        else:
            yield place, _with_listed(_document(row, at, corpus), row, listed)


def used_twice(document: Document, corpus: Corpus) -> Document:
    """What becomes of a document whose id another one had before."""
    at = "" if document.position is None else f" at position {document.position}"
    problem = f"document id {document.doc_id!r}{at} is used twice"
    if corpus.id is None:
        problem += ": the content is that of an earlier one; to keep both, name a column of ids in corpus.id"
    return _unusable(document.source, problem)


def _key(document: Document) -> bytes:
    """What must not be used twice, in the fewest bytes: every key of a corpus is held while it is read."""
    key = f"{document.position} {document.doc_id}".encode(errors="surrogatepass")
    return hashlib.blake2b(key, digest_size=15).digest()


def columns_of(corpus: Corpus, listed: str | None) -> Columns:
    """The columns that a configuration wants of each file; with two content columns one will do."""
    content = [name for name in (corpus.text, corpus.messages) if name is not None]
    own = [name for name in (corpus.id, listed) if name is not None]
    if corpus.vectors is None:
        return Columns([*own, *corpus.meta], needed=own, one_of=content)
    given = corpus.vectors
    own += [name for name in (given.column, given.tokens, *content) if name is not None]
    return Columns([*own, *corpus.meta], needed=own, optional=[given.layer], vector=given.column)


def _with_listed(document: Document, row: Mapping[str, Any], listed: str | None) -> Document:
    if listed is None or document.problem is not None:
        return document
    found = row.get(listed)
    if listed not in row:
        return replace(document, text=None, messages=None, problem=_lacks(row, listed))
    if not isinstance(found, list) or not all(type(at) is int and at >= 0 for at in found):
        problem = f"{listed!r} holds {found!r:.80} where a list of positions, counted from 0, belongs"
        return replace(document, text=None, messages=None, problem=problem)
    return replace(document, listed=tuple(sorted(set(found))))


def _document(row: Mapping[str, Any], source: str, corpus: Corpus) -> Document:
    meta_json = _meta(row, corpus)
    text, messages, problem = _content(row, corpus)
    if corpus.id is not None and corpus.id not in row:
        return _unusable(source, _lacks(row, corpus.id), meta_json)
    name = digest(json.dumps([text, messages]))[:32] if corpus.id is None else row.get(corpus.id)
    if not _is_id(name):
        return _unusable(source, f"{corpus.id!r} holds {name!r:.80} where an id belongs", meta_json)
    if problem and corpus.id is None:
        return _unusable(source, problem, meta_json)
    document = Document(str(name), source, meta=meta_json, problem=problem)
    return document if problem else replace(document, text=text, messages=messages)


def vector_document(row: Mapping[str, Any], source: str, corpus: Corpus) -> Document:
    """A row of a file of vectors. Its key is the id and the position, which is `n_raw_tokens` - 1."""
    given, meta = corpus.vectors, _meta(row, corpus)
    if given is None:
        raise InputError(f"{source}: corpus.vectors does not name the columns")
    vector, tokens = row[given.column], row[given.tokens] if given.tokens else None
    if vector is None:
        return _unusable(source, f"{given.column!r} is null", meta)
    if given.tokens and not (isinstance(tokens, int) and tokens > 0):
        return _unusable(
            source, f"{given.tokens!r} holds {tokens!r:.80} where a number of tokens belongs", meta
        )
    name = digest("vector", vector.hex())[:32] if corpus.id is None else row.get(corpus.id)
    if not _is_id(name):
        return _unusable(source, f"{corpus.id!r} holds {name!r:.80} where an id belongs", meta)
    text = row.get(corpus.text) if corpus.text else None
    text = None if _text_problem(text, "text") else text
    position, layer = tokens - 1 if tokens is not None else None, row.get(given.layer)
    return Document(str(name), source, text=text, meta=meta, vector=vector, position=position, layer=layer)


def _is_id(name: object) -> bool:
    return isinstance(name, str | int) and not isinstance(name, bool) and not _text_problem(str(name), "id")


def _meta(row: Mapping[str, Any], corpus: Corpus) -> str | None:
    """The columns that are carried along, as JSON; the text of a vector is one of them.

    What our own tables carried along before, in `meta`, is carried on under its own names.
    """
    given = corpus.vectors
    used = (
        {corpus.id, corpus.text, corpus.messages}
        if given is None
        else {corpus.id, given.column, given.tokens}
    )
    named = [name for name in corpus.meta if name != "*"]
    named += [name for name in row if name not in used] if "*" in corpus.meta else []
    if given is not None and corpus.text:
        named.append(corpus.text)
    if not named:
        return None
    values = {name: row[name] for name in dict.fromkeys(named) if name in row}
    if given is not None and (carried := _object(values.get("meta"))) is not None:
        del values["meta"]
        values |= carried
    # One lone surrogate would make every question about the whole column fail.
    return json.dumps(values, default=str, ensure_ascii=False).encode(errors="replace").decode()


def _object(value: object) -> dict[str, Any] | None:
    """The object that a JSON text holds; None for anything else."""
    try:
        found = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _content(
    row: Mapping[str, Any], corpus: Corpus
) -> tuple[str | None, tuple[Message, ...] | None, str | None]:
    """Text, messages, problem; a row with messages is a chat, even where it has text beside them."""
    chat = row.get(corpus.messages) if corpus.messages is not None else None
    if chat is not None or corpus.text is None:
        problem = _lacks(row, corpus.messages) if corpus.messages not in row else _messages_problem(chat)
        return None, None if problem else _plain_messages(chat), problem
    text = row.get(corpus.text)
    if corpus.text not in row:
        return None, None, _lacks(row, corpus.text)
    problem = _text_problem(text, corpus.text)
    return None if problem else text, None, problem


def _plain_messages(chat: Any) -> tuple[Message, ...]:
    return tuple({"role": message["role"], "content": message["content"]} for message in chat)


def _unusable(source: str, problem: str, meta: str | None = None) -> Document:
    """A document that is known only by its place in the corpus."""
    return Document(source, source, meta=meta, problem=problem)


def _lacks(row: Mapping[str, Any], name: str | None) -> str:
    keys = ", ".join(map(repr, row)) or "none"
    return f"has no {name!r}; its keys are {keys:.200}"


def _text_problem(value: object, name: str, *, may_be_empty: bool = False) -> str | None:
    if not isinstance(value, str):
        return f"{name!r} holds {type(value).__name__} where text belongs"
    if not may_be_empty and not value.strip():
        return f"{name!r} is empty"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"{name!r} is not valid Unicode (a lone surrogate)"
    return None


def _messages_problem(chat: object) -> str | None:
    if not isinstance(chat, list):
        return f"found {type(chat).__name__} where a list of messages belongs"
    if not chat:
        return "an empty list of messages"
    for number, message in enumerate(chat):
        if not isinstance(message, Mapping):
            return f"message {number} is {type(message).__name__}; it needs role and content"
        for key in ("role", "content"):
            problem = _text_problem(message.get(key), key, may_be_empty=key == "content")
            if problem is not None:
                return f"message {number}: {problem}"
    return None
