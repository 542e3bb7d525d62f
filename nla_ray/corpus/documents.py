"""Documents of a corpus; one that cannot be used carries its problem."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from nla_ray.config.corpus import FILE, Corpus
from nla_ray.corpus.files.columns import Columns
from nla_ray.corpus.files.formats import rows_of
from nla_ray.corpus.files.places import Place
from nla_ray.corpus.files.sources import DEMO_CORPUS, Source, corpus_files
from nla_ray.corpus.values import lacks, row_id, row_meta
from nla_ray.errors import InputError
from nla_ray.ids import digest

__all__ = ["DEMO_CORPUS", "Document", "Message", "read_documents"]

Message = Mapping[str, str]


@dataclass(frozen=True)
class Document:
    """One document, as text or as chat messages; both are None where `problem` says why it cannot be read.

    `listed` are the positions that the corpus itself names. A vector that was extracted before is a document
    of its own: `vector` is little-endian float32, `position` the token that it stands for (documents with the
    same id are told apart by it), `layer` its K where known. `noted` is what in `meta` is not as it was.
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
    noted: tuple[str, ...] = ()

    def content_digest(self) -> str:
        """Hash of all that determines the document's rows (64 hex characters)."""
        content: list[object] = [self.doc_id, self.text, self.messages, self.meta, self.problem]
        if self.vector is not None or self.position is not None:
            vector = None if self.vector is None else digest(self.vector.hex())
            content += ["vector", self.position, self.layer, vector]
        return digest(json.dumps(content if self.listed is None else [*content, "listed", self.listed]))


@dataclass(frozen=True)
class Found:
    """A document of a corpus and where it is; `holder` is the place of an earlier one with its id."""

    source: Source
    place: Place
    document: Document
    holder: str | None = None


def read_documents(corpus: Corpus, *, listed: str | None = None) -> Iterator[Document]:
    """The documents of `find_documents` alone."""
    return (found.document for found in find_documents(corpus, listed=listed))


def find_documents(corpus: Corpus, *, listed: str | None = None) -> Iterator[Found]:
    """The documents of all files in order, at most `corpus.limit`; a repeated id is a problem.

    `listed` is the column with a document's own list of positions. Raises InputError: a file is missing or
    unreadable as a whole, a column is not there, no document.
    """
    sources = corpus_files(corpus.paths, partitions=corpus.partitions)
    seen: dict[bytes, int] = {}
    every = (
        (number, place, document)
        for number, source in enumerate(sources)
        for place, document in file_documents(source, corpus, listed)
    )
    for number, place, read in islice(every, corpus.limit):
        here, holder = place.number * len(sources) + number, None
        first = seen.setdefault(_key(read), here)
        document = read
        if first != here:
            holder = f"{sources[first % len(sources)].label}:{first // len(sources)}"
            document = used_twice(read, corpus, holder)
            seen.setdefault(_key(document), here)
        yield Found(sources[number], place, document, holder)
    if not seen:
        raise InputError(f"{', '.join(corpus.paths)}: the corpus holds no documents")


def file_documents(
    source: Source, corpus: Corpus, listed: str | None, start: Place | None = None
) -> Iterator[tuple[Place, Document]]:
    """The documents of one file with their places, from `start` on or all of them, each taken by itself.

    Raises InputError as `find_documents` does.
    """
    columns = columns_of(corpus, listed, source)
    for place, row in rows_of(source, columns, text_per=corpus.text_per, start=start):
        at = f"{source.label}:{place.number}"
        if isinstance(row, str):
            yield place, _unusable(at, row)
            continue
        row.update(source.partition)
        if corpus.vectors is not None:
            yield place, vector_document(row, at, corpus, source)
        else:
            yield place, _with_listed(_document(row, at, corpus, source), row, listed)


def used_twice(document: Document, corpus: Corpus, holder: str) -> Document:
    """What becomes of a document whose id another one had before."""
    at = "" if document.position is None else f" at position {document.position}"
    problem = f"document id {document.doc_id!r}{at} is used by {holder}"
    if corpus.id is None:
        problem += ", for the content is the same; to keep both, name a column of ids in corpus.id"
    else:
        other_file = holder.rpartition(":")[0] != document.source.rpartition(":")[0]
        more = json.dumps(FILE) if other_file and FILE not in corpus.id else "ANOTHER_COLUMN"
        problem += f"; to keep both, take more for the id: corpus.id: [{', '.join((more, *corpus.id))}]"
    return _unusable(document.source, problem)


def _key(document: Document) -> bytes:
    """What must not be used twice, in the fewest bytes: every key of a corpus is held while it is read."""
    key = f"{document.position} {document.doc_id}".encode(errors="surrogatepass")
    return hashlib.blake2b(key, digest_size=15).digest()


def columns_of(corpus: Corpus, listed: str | None, source: Source) -> Columns:
    """The columns that a configuration wants of a file; with two content columns one will do."""
    content = [name for name in (corpus.text, corpus.messages) if name is not None]
    apart = {FILE, *(key for key, _ in source.partition)}
    ids = [name for name in corpus.id or () if name not in apart]
    own = [*ids, *([] if listed is None else [listed])]
    meta = [name for name in corpus.meta if name not in apart]
    if corpus.vectors is None:
        return Columns([*own, *meta], needed=own, one_of=content, ids=ids)
    given = corpus.vectors
    own += [name for name in (given.column, given.tokens, *content) if name is not None]
    return Columns([*own, *meta], needed=own, optional=[given.layer], ids=ids, vector=given.column)


def _with_listed(document: Document, row: Mapping[str, Any], listed: str | None) -> Document:
    if listed is None or document.problem is not None:
        return document
    found = row.get(listed)
    if listed not in row:
        return replace(document, text=None, messages=None, problem=lacks(row, listed))
    if not isinstance(found, list) or not all(type(at) is int and at >= 0 for at in found):
        problem = f"{listed!r} holds {found!r:.80} where a list of positions, counted from 0, belongs"
        return replace(document, text=None, messages=None, problem=problem)
    return replace(document, listed=tuple(sorted(set(found))))


def _document(row: Mapping[str, Any], at: str, corpus: Corpus, source: Source) -> Document:
    meta, noted = row_meta(row, corpus, source.partition)
    text, messages, problem = _content(row, corpus)
    if corpus.id is None:
        name, wrong = digest(json.dumps([text, messages]))[:32], problem
    else:
        name, wrong = row_id(row, corpus.id, source.name)
    if wrong is not None:
        return _unusable(at, wrong, meta)
    document = Document(name, at, meta=meta, problem=problem, noted=noted)
    return document if problem else replace(document, text=text, messages=messages)


def vector_document(row: Mapping[str, Any], at: str, corpus: Corpus, source: Source) -> Document:
    """A row of a file of vectors. Its key is the id and the position, which is `n_raw_tokens` - 1."""
    given = corpus.vectors
    if given is None:
        raise InputError(f"{at}: corpus.vectors does not name the columns")
    meta, noted = row_meta(row, corpus, source.partition)
    vector, tokens = row[given.column], row[given.tokens] if given.tokens else None
    if vector is None:
        return _unusable(at, f"{given.column!r} is null", meta)
    if given.tokens and not (isinstance(tokens, int) and tokens > 0):
        return _unusable(at, f"{given.tokens!r} holds {tokens!r:.80} where a number of tokens belongs", meta)
    name, wrong = digest("vector", vector.hex())[:32], None
    if corpus.id is not None:
        name, wrong = row_id(row, corpus.id, source.name)
    if wrong is not None:
        return _unusable(at, wrong, meta)
    text = row.get(corpus.text) if corpus.text else None
    text = None if _text_problem(text, "text") else text
    position, layer = tokens - 1 if tokens is not None else None, row.get(given.layer)
    return Document(
        name, at, text=text, meta=meta, vector=vector, position=position, layer=layer, noted=noted
    )


def _content(
    row: Mapping[str, Any], corpus: Corpus
) -> tuple[str | None, tuple[Message, ...] | None, str | None]:
    """Text, messages, problem; a row with messages is a chat, even where it has text beside them."""
    chat = row.get(corpus.messages) if corpus.messages is not None else None
    if chat is not None or corpus.text is None:
        problem = lacks(row, corpus.messages) if corpus.messages not in row else _messages_problem(chat)
        return None, None if problem else _plain_messages(chat), problem
    text = row.get(corpus.text)
    if corpus.text not in row:
        return None, None, lacks(row, corpus.text)
    problem = _text_problem(text, corpus.text)
    return None if problem else text, None, problem


def _plain_messages(chat: Any) -> tuple[Message, ...]:
    return tuple({"role": message["role"], "content": message["content"]} for message in chat)


def _unusable(source: str, problem: str, meta: str | None = None) -> Document:
    """A document that is known only by its place in the corpus."""
    return Document(source, source, meta=meta, problem=problem)


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
