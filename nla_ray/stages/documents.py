"""Documents of a corpus from JSONL and Parquet; one that cannot be used carries its problem."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.config.decode import Corpus
from nla_ray.errors import InputError
from nla_ray.ids import digest

SUFFIXES = (".jsonl", ".parquet")
DEMO_CORPUS = "demo:corpus"

Message = Mapping[str, str]
Row = dict[str, Any] | str
"""A row of a file, or what is wrong with it."""


@dataclass(frozen=True)
class Document:
    """One document, as text or as chat messages; both are None where `problem` says why it cannot be read."""

    doc_id: str
    source: str
    text: str | None = None
    messages: tuple[Message, ...] | None = None
    meta: str | None = None
    problem: str | None = None

    def content_digest(self) -> str:
        """Hash of all that determines the document's rows (64 hex characters)."""
        return digest(json.dumps([self.doc_id, self.text, self.messages, self.meta, self.problem]))


def read_documents(corpus: Corpus) -> Iterator[Document]:
    """The documents of all files in order, at most `corpus.limit`; a repeated id is a problem.

    Raises InputError: a file is missing or unreadable as a whole, a column is not there, no document.
    """
    seen: set[str] = set()
    for label, path in corpus_files(corpus.paths).items():
        for read in _read_file(label, path, corpus):
            twice = read.doc_id in seen
            document = _unusable(read.source, f"document id {read.doc_id!r} is used twice") if twice else read
            seen.add(document.doc_id)
            yield document
            if len(seen) == corpus.limit:
                return
    if not seen:
        raise InputError(f"{', '.join(corpus.paths)}: the corpus holds no documents")


def corpus_files(paths: Iterable[str]) -> dict[str, Path]:
    """Files by the name they are reported under, folders expanded in name order.

    Raises InputError: a path does not exist, a folder without corpus files, a suffix that is not known.
    """
    return {label: file for path in paths for label, file in _expand(path).items()}


def _expand(path: str) -> dict[str, Path]:
    if path == DEMO_CORPUS:
        return {path: Path(str(files("nla_ray") / "demo" / "pair" / "corpus.jsonl"))}
    place = Path(path).expanduser()
    if place.is_dir():
        found = sorted(file for file in place.iterdir() if file.suffix in SUFFIXES)
        if not found:
            raise InputError(f"{path}: no corpus files in this folder; expected {' or '.join(SUFFIXES)}")
        return {str(file): file for file in found}
    if not place.is_file():
        raise InputError(f"{path}: no such corpus file; check corpus.paths")
    if place.suffix not in SUFFIXES:
        raise InputError(f"{path}: unknown corpus format {place.suffix!r}; expected {' or '.join(SUFFIXES)}")
    return {path: place}


def _read_file(label: str, path: Path, corpus: Corpus) -> Iterator[Document]:
    rows = _parquet_rows(path, corpus) if path.suffix == ".parquet" else _jsonl_rows(path, corpus)
    for number, row in rows:
        source = f"{label}:{number}"
        yield _unusable(source, row) if isinstance(row, str) else _document(row, source, corpus)


def _parquet_rows(path: Path, corpus: Corpus) -> Iterator[tuple[int, Row]]:
    try:
        file = pq.ParquetFile(path)
        there = file.schema_arrow.names
        _require_columns(path, corpus, there)
        wanted = [corpus.text, corpus.messages, corpus.id, *corpus.meta]
        columns = [name for name in wanted if name is not None and name in there]
        number = 0
        for batch in file.iter_batches(batch_size=1024, columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot read this Parquet file: {error}") from None


def _jsonl_rows(path: Path, corpus: Corpus) -> Iterator[tuple[int, Row]]:
    """Rows with their line numbers; the columns are checked on the first line that can be read."""
    checked = False
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                row = _json_object(line)
                if isinstance(row, dict) and not checked:
                    _require_columns(path, corpus, list(row))
                    checked = True
                yield number, row
    except OSError as error:
        raise InputError(f"{path}: cannot read this file: {error.strerror}") from None


def _json_object(line: bytes) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not a line of JSON: {error}"
    return row if isinstance(row, dict) else f"found {type(row).__name__} where an object belongs"


def _require_columns(path: Path, corpus: Corpus, there: list[str]) -> None:
    """One content column and the id must be there; rows may still lack values."""
    content = [name for name in (corpus.text, corpus.messages) if name is not None]
    wanted = [] if corpus.id is None else [corpus.id]
    if not any(name in there for name in content):
        wanted = content
    for name in wanted:
        if name not in there:
            raise InputError(f"{path}: no column {name!r}; the columns are {', '.join(there)}")


def _document(row: Mapping[str, Any], source: str, corpus: Corpus) -> Document:
    meta = {name: row[name] for name in corpus.meta if name in row}
    meta_json = json.dumps(meta, default=str) if corpus.meta else None
    text, messages, problem = _content(row, corpus)
    name = digest(json.dumps([text, messages]))[:32] if corpus.id is None else row.get(corpus.id)
    if isinstance(name, bool) or not isinstance(name, str | int) or _text_problem(str(name), "id"):
        return _unusable(source, f"{corpus.id!r} holds {name!r:.80} where an id belongs", meta_json)
    if problem and corpus.id is None:
        return _unusable(source, problem, meta_json)
    document = Document(str(name), source, meta=meta_json, problem=problem)
    return document if problem else replace(document, text=text, messages=messages)


def _content(
    row: Mapping[str, Any], corpus: Corpus
) -> tuple[str | None, tuple[Message, ...] | None, str | None]:
    """Text, messages, problem; a row with messages is a chat, even where it has text beside them."""
    chat = row.get(corpus.messages) if corpus.messages is not None else None
    if chat is not None or corpus.text is None:
        problem = _messages_problem(chat)
        return None, None if problem else _plain_messages(chat), problem
    text = row.get(corpus.text)
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
