"""Documents of a corpus from JSONL and Parquet; what cannot be used is a document with its problem, never an error."""

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


@dataclass(frozen=True)
class Document:
    """One document, as text or as chat messages; `problem` says why it cannot be read, and then both are None."""

    doc_id: str
    source: str
    text: str | None = None
    messages: tuple[Message, ...] | None = None
    meta: str | None = None
    problem: str | None = None

    def content_digest(self) -> str:
        """Hash of all that determines the document's rows (64 hex characters)."""
        return digest(
            self.doc_id, json.dumps([self.text, self.messages, self.meta, self.problem], default=dict)
        )


def read_documents(corpus: Corpus) -> Iterator[Document]:
    """The documents of all files in order, at most `corpus.limit`; a repeated id is a problem.

    Raises InputError: a file is missing or unreadable as a whole, a column is in none of its rows, no document.
    """
    seen: set[str] = set()
    for path in corpus_files(corpus.paths):
        for document in _read_file(path, corpus):
            if document.doc_id in seen:
                document = _problem(document.source, f"document id {document.doc_id!r} is used twice")
            seen.add(document.doc_id)
            yield document
            if len(seen) == corpus.limit:
                return
    if not seen:
        raise InputError(f"{', '.join(corpus.paths)}: the corpus holds no documents")


def corpus_files(paths: Iterable[str]) -> list[Path]:
    """Files named by the paths, folders expanded in name order.

    Raises InputError: a path does not exist, a folder without corpus files, a suffix that is not known.
    """
    return [file for path in paths for file in _expand(path)]


def _expand(path: str) -> list[Path]:
    if path == DEMO_CORPUS:
        return [Path(str(files("nla_ray") / "demo" / "pair" / "corpus.jsonl"))]
    place = Path(path).expanduser()
    if place.is_dir():
        found = sorted(file for file in place.iterdir() if file.suffix in SUFFIXES)
        if not found:
            raise InputError(f"{path}: no corpus files in this folder; expected {' or '.join(SUFFIXES)}")
        return found
    if not place.is_file():
        raise InputError(f"{path}: no such corpus file; check corpus.paths")
    if place.suffix not in SUFFIXES:
        raise InputError(f"{path}: unknown corpus format {place.suffix!r}; expected {' or '.join(SUFFIXES)}")
    return [place]


def _read_file(path: Path, corpus: Corpus) -> Iterator[Document]:
    rows = _parquet_rows(path, corpus) if path.suffix == ".parquet" else _jsonl_rows(path, corpus)
    for number, row in rows:
        source = f"{path.name}:{number}"
        yield _problem(source, row) if isinstance(row, str) else _document(row, source, corpus)


def _columns(corpus: Corpus) -> list[str]:
    content = corpus.text if corpus.text is not None else corpus.messages
    return [name for name in (content, corpus.id, *corpus.meta) if name is not None]


def _parquet_rows(path: Path, corpus: Corpus) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        file = pq.ParquetFile(path)
        _require_columns(path, _columns(corpus), file.schema_arrow.names)
        number = 0
        for batch in file.iter_batches(batch_size=1024, columns=_columns(corpus)):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot read this Parquet file: {error}") from None


def _jsonl_rows(path: Path, corpus: Corpus) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Rows with their line numbers; a string instead of a row says what is wrong with the line."""
    checked = False
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                row = _json_object(line)
                if isinstance(row, dict) and not checked:
                    _require_columns(path, _columns(corpus), list(row))
                    checked = True
                yield number, row
    except OSError as error:
        raise InputError(f"{path}: cannot read this file: {error.strerror}") from None


def _json_object(line: bytes) -> dict[str, Any] | str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not a line of JSON: {error}"
    return row if isinstance(row, dict) else f"found {type(row).__name__} where an object belongs"


def _require_columns(path: Path, wanted: list[str], there: list[str]) -> None:
    for name in wanted:
        if name not in there:
            raise InputError(f"{path}: no column {name!r}; the columns are {', '.join(there)}")


def _document(row: Mapping[str, Any], source: str, corpus: Corpus) -> Document:
    meta = {name: row.get(name) for name in corpus.meta}
    document = Document("", source, meta=json.dumps(meta, default=str) if meta else None)
    if corpus.text is not None:
        value = row.get(corpus.text)
        document = replace(document, text=value, problem=_text_problem(value, corpus.text))
    else:
        value = row.get(str(corpus.messages))
        problem = _messages_problem(value)
        messages = None if problem else tuple({"role": m["role"], "content": m["content"]} for m in value)
        document = replace(document, messages=messages, problem=problem)
    name = digest(value)[:32] if corpus.id is None else row.get(corpus.id)
    if isinstance(name, bool) or not isinstance(name, str | int) or _text_problem(str(name), "id"):
        return _problem(source, f"column {corpus.id!r} holds {name!r:.80} where an id belongs", document.meta)
    if document.problem:
        return replace(document, doc_id=str(name), text=None)
    return replace(document, doc_id=str(name))


def _problem(source: str, problem: str, meta: str | None = None) -> Document:
    """A document that is known only by its place in the corpus."""
    return Document(source, source, meta=meta, problem=problem)


def _text_problem(value: object, column: str) -> str | None:
    if not isinstance(value, str):
        return f"column {column!r} holds {type(value).__name__} where text belongs"
    if not value.strip():
        return f"column {column!r} is empty"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"column {column!r} is not valid Unicode (a lone surrogate)"
    return None


def _messages_problem(value: object) -> str | None:
    if not isinstance(value, list) or not value:
        return f"found {type(value).__name__} where a list of messages belongs" if value else "no messages"
    for number, message in enumerate(value):
        if not isinstance(message, Mapping):
            return f"message {number} is {type(message).__name__}; it needs role and content"
        for key in ("role", "content"):
            if (problem := _text_problem(message.get(key), key)) is not None:
                return f"message {number}: {problem}"
    return None
