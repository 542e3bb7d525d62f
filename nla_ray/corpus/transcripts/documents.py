"""The documents of a file that is whole transcripts: what the file is, and each transcript of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.files.parquet import open_parquet
from nla_ray.corpus.files.places import Place
from nla_ray.corpus.files.sources import Source
from nla_ray.corpus.files.values import lacking, meta_json
from nla_ray.corpus.transcripts.kinds import Kind, kind_of
from nla_ray.corpus.transcripts.model import Transcript
from nla_ray.corpus.transcripts.read import transcripts_of
from nla_ray.errors import InputError
from nla_ray.store.places.files import opened

_HEAD = 64 << 10
_NOTES = {
    ("system_prompt", "not recorded"): "its system prompt and tools are not recorded: the model saw more",
    ("compacted", True): "its context was compacted on the way: earlier turns saw other messages",
}
"""What metadata of a transcript means for what its target saw."""
_KNOWN = "an Inspect log, a Scout table, an ATIF trajectory or a session of Claude Code"


def transcript_documents(
    source: Source, corpus: Corpus, start: Place | None
) -> Iterator[tuple[Place, Document]]:
    """The transcripts of a file as documents, from `start` on or all of them; an id is file and key.

    Raises InputError: the file is no transcript of the kind that is wanted, or cannot be read as a whole.
    """
    with opened(source.place, twice=source.stamp is None) as file:
        kind = _wanted(source, file, corpus)
        found = transcripts_of(file, kind, source.label, ignore=corpus.chat.ignore)
        for number, one in enumerate(found, start=1):
            if start is None or number >= start.number:
                yield Place(number, 0, number - 1), _document(one, source, number, corpus, kind)


def _document(one: Transcript, source: Source, number: int, corpus: Corpus, kind: Kind) -> Document:
    wanted = [name for name in one.meta if not corpus.meta or "*" in corpus.meta or name in corpus.meta]
    meta, noted = meta_json({name: one.meta[name] for name in wanted}) if wanted else (None, ())
    return Document(
        f"{source.name}:{one.key}",
        source.at(number),
        chat=None if one.chat is None else replace(one.chat, shape=kind),
        meta=meta,
        problem=one.problem,
        lacking=lacking(one.meta, corpus),
        noted=(*noted, *(note for (name, value), note in _NOTES.items() if one.meta.get(name) == value)),
    )


def _wanted(source: Source, file: BinaryIO, corpus: Corpus) -> Kind:
    """What the file is. Raises InputError where it is nothing that is known, or not what was asked for."""
    head = file.read(_HEAD)
    file.seek(0)
    kind = kind_of(source.label, head, _columns(file, source.label, head))
    file.seek(0)
    asked = "auto" if corpus.transcripts is None else corpus.transcripts.kind
    if kind is None:
        raise InputError(f"{source.label}: it is not {_KNOWN}; name files of rows without corpus.transcripts")
    if asked not in ("auto", kind, kind.partition("-")[0]):
        raise InputError(f"{source.label}: it is {kind}, corpus.transcripts.kind is {asked}; give it auto")
    return kind


def _columns(file: BinaryIO, label: str, head: bytes) -> list[str]:
    """Columns of a Parquet file, none of any other."""
    return list(open_parquet(file, label).schema_arrow.names) if head.startswith(b"PAR1") else []
