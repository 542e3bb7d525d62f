"""Units of a corpus as small descriptions from which any worker reads the same documents again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, islice

from nla_ray.config.corpus import Corpus
from nla_ray.corpus.document import Document
from nla_ray.corpus.documents import Found, file_documents, find_documents, used_twice
from nla_ray.corpus.files.places import Place
from nla_ray.corpus.files.sources import Source
from nla_ray.errors import InputError


@dataclass(frozen=True)
class Piece:
    """Consecutive documents of one file.

    `first` is the line or row number of the first one, from 1; `offset` and `skip` say how to get there (see
    `Place`). `twice` are the indices among them whose id was used before, each with the place that holds it:
    only who read all that lies before can know.
    """

    source: Source
    first: int
    offset: int
    skip: int
    documents: int
    twice: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class UnitSource:
    """What a worker needs to read one unit."""

    pieces: tuple[Piece, ...]

    def repeated(self) -> frozenset[int]:
        """The documents of the unit whose id was used before, by their index."""
        ends = accumulate(piece.documents for piece in self.pieces)
        ended = zip(ends, self.pieces, strict=True)
        return frozenset(end - piece.documents + at for end, piece in ended for at, _ in piece.twice)


def units_of(corpus: Corpus, *, listed: str | None = None) -> Iterator[tuple[UnitSource, list[Document]]]:
    """The corpus cut into units of `corpus.unit_documents` documents, in order; one pass over every file.

    Raises InputError as `find_documents` does.
    """
    found = find_documents(corpus, listed=listed)
    while unit := list(islice(found, corpus.unit_documents)):
        pieces = tuple(_piece(list(part)) for _, part in groupby(unit, key=lambda one: one.source))
        yield UnitSource(pieces), [one.document for one in unit]


def read_unit(source: UnitSource, corpus: Corpus, *, listed: str | None = None) -> list[Document]:
    """Exactly the documents that `units_of` yielded with this description.

    Raises InputError where they are not there any more. That the documents found are the same ones is for
    the caller to compare, by their digests.
    """
    return [document for piece in source.pieces for document in _read_piece(piece, corpus, listed)]


def _piece(part: Sequence[Found]) -> Piece:
    place = part[0].place
    twice = tuple((index, one.holder) for index, one in enumerate(part) if one.holder is not None)
    return Piece(part[0].source, place.number, place.offset, place.skip, len(part), twice)


def _read_piece(piece: Piece, corpus: Corpus, listed: str | None) -> list[Document]:
    start = Place(piece.first, piece.offset, piece.skip)
    documents = file_documents(piece.source, corpus, listed, start)
    try:
        found = [document for _, document in islice(documents, piece.documents)]
        if len(found) < piece.documents:
            raise InputError(
                f"{piece.source.label}: {piece.documents} documents from line or row {piece.first} on were "
                f"planned, {len(found)} are there"
            )
    except InputError as error:
        raise InputError(
            f"{error}; the file was read when the run was planned: the corpus changed since, "
            "or this machine does not see the same files"
        ) from None
    for at, holder in piece.twice:
        found[at] = used_twice(found[at], corpus, holder)
    return found
