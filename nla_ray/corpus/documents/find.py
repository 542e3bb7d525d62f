"""The documents of a corpus, each with its place; one that cannot be used carries its problem."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from nla_ray.config.reading.corpus import FILE, Corpus
from nla_ray.corpus.documents.document import Document, unusable
from nla_ray.corpus.documents.rows import columns_of, row_document
from nla_ray.corpus.files.checked import checked
from nla_ray.corpus.files.formats import rows_of
from nla_ray.corpus.files.places import Place
from nla_ray.corpus.files.sources import Source, corpus_files
from nla_ray.corpus.transcripts.documents import transcript_documents
from nla_ray.errors import InputError


@dataclass(frozen=True)
class Found:
    """A document of a corpus and where it is; `holder` is the place of an earlier one with its id.

    `read` is the document taken by itself.
    """

    source: Source
    place: Place
    document: Document
    read: Document
    holder: str | None = None


def read_documents(corpus: Corpus, *, listed: str | None = None) -> Iterator[Document]:
    """The documents of `find_documents` alone."""
    return (found.document for found in find_documents(corpus, listed=listed))


def find_documents(corpus: Corpus, *, listed: str | None = None, whole: bool = False) -> Iterator[Found]:
    """The documents of all files in order, at most `corpus.limit`; a repeated id is a problem.

    `listed` is the column with a document's own list of positions; `whole`: they will all be read. Raises
    InputError: a file is missing or unreadable as a whole, a column is not there, no document.
    """
    sources = corpus_files(corpus)
    seen: dict[bytes, int] = {}
    every = (
        (number, stamped, place, document)
        for number, source in enumerate(sources)
        for stamped, place, document in checked_documents(
            source, corpus, listed, whole=whole and corpus.limit is None
        )
    )
    for number, stamped, place, read in islice(every, corpus.limit):
        here, holder = place.number * len(sources) + number, None
        first = seen.setdefault(key_of(read), here)
        document = read
        if first != here:
            holder = sources[first % len(sources)].at(first // len(sources))
            document = used_twice(read, corpus, holder)
            seen.setdefault(key_of(document), here)
        yield Found(stamped, place, document, read, holder)
    if not seen:
        raise no_documents(corpus)


def no_documents(corpus: Corpus) -> InputError:
    """What is wrong with a corpus without a document."""
    return InputError(f"{', '.join(corpus.paths)}: the corpus holds no documents")


def checked_documents(
    source: Source, corpus: Corpus, listed: str | None, *, whole: bool
) -> Iterator[tuple[Source, Place, Document]]:
    """The documents of one file whose bytes are sure, and the file as it was."""
    with checked(source, whole=whole) as (stamped, here):
        for place, document in file_documents(here, corpus, listed):
            yield stamped, place, document


def file_documents(
    source: Source, corpus: Corpus, listed: str | None, start: Place | None = None
) -> Iterator[tuple[Place, Document]]:
    """The documents of one file with their places, from `start` on or all of them, each taken by itself.

    Raises InputError as `find_documents` does.
    """
    if corpus.transcripts is not None:
        yield from transcript_documents(source, corpus, start)
        return
    columns = columns_of(corpus, listed, source)
    for place, row in rows_of(source, columns, text_per=corpus.text_per, start=start):
        at = source.at(place.number)
        own = {} if isinstance(row, str) else row
        twice = [key for key, value in source.partition if key in own and str(own[key]) != value]
        if isinstance(row, str):
            yield place, unusable(at, row)
        elif twice:
            said = (
                f"{twice[0]!r} holds {own[twice[0]]!r:.80}, and its folder says otherwise: rename one of them"
            )
            yield place, unusable(at, said)
        else:
            yield place, row_document({**row, **dict(source.partition)}, at, corpus, source, listed)


def used_twice(document: Document, corpus: Corpus, holder: str) -> Document:
    """What becomes of a document whose id another one had before."""
    at = "" if document.position is None else f" at position {document.position}"
    problem = f"document id {document.doc_id!r}{at} is used by {holder}"
    if corpus.transcripts is not None:
        problem += "; to keep both, name one folder above both files"
    elif corpus.id is None:
        problem += ", for the content is the same; to keep both, name a column of ids in corpus.id"
    else:
        other_file = holder.rpartition(":")[0] != document.source.rpartition(":")[0]
        more = json.dumps(FILE) if other_file and FILE not in corpus.id else "ANOTHER_COLUMN"
        problem += f"; to keep both, take more for the id: corpus.id: [{', '.join((more, *corpus.id))}]"
    return unusable(document.source, problem)


def key_of(document: Document) -> bytes:
    """What must not be used twice (16 bytes): it tells the rows of a document from those of all others."""
    key = f"{document.position} {document.doc_id}".encode(errors="surrogatepass")
    return hashlib.blake2b(key, digest_size=16).digest()
