"""Units of a corpus as small descriptions from which any worker reads the same documents again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, islice

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.documents.cut import Cut
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.documents.find import Found, file_documents, find_documents, used_twice
from nla_ray.corpus.files.checked import require_unchanged
from nla_ray.corpus.files.places import Place
from nla_ray.corpus.files.sources import Source
from nla_ray.errors import InputError, UnreachableError

WAITS = (0.1, 0.4, 1.6, 3.2, 0.0)
"""Seconds after each try to read a unit as it was planned."""


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
    """The corpus cut into units as `corpus.units` says, in order; one pass over every file.

    Raises InputError as `find_documents` does.
    """
    found = find_documents(corpus, listed=listed, whole=True)
    cut, unit = Cut(corpus.units, corpus.unit_documents), list[Found]()
    for one in found:
        unit.append(one)
        if cut.after(one.read.content_digest() if cut.looks else ""):
            yield _unit(unit)
            unit = []
    if unit:
        yield _unit(unit)


def _unit(found: Sequence[Found]) -> tuple[UnitSource, list[Document]]:
    pieces = tuple(_piece(list(part)) for _, part in groupby(found, key=lambda one: one.source))
    return UnitSource(pieces), [one.document for one in found]


def read_unit(
    source: UnitSource,
    corpus: Corpus,
    *,
    listed: str | None = None,
    planned: Callable[[Sequence[Document]], bool] = lambda _: True,
) -> list[Document]:
    """Exactly the documents that `units_of` yielded with this description; `planned` says whether they are.

    What is not as planned is read again, and with more care, for bytes may be changed on their way. Raises
    InputError where the corpus has changed since, UnreachableError where it has not and still cannot be read
    as planned.
    """
    for tries, wait in enumerate(WAITS):
        try:
            documents = [
                one for piece in source.pieces for one in _read_piece(piece, corpus, listed, sure=tries > 0)
            ]
        except UnreachableError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever changed bytes lead to, others may not)
            why = str(error) or type(error).__name__
        else:
            if planned(documents):
                return documents
            why = f"{source.pieces[0].source.label}: holds other documents than were planned"
        for piece in source.pieces:
            require_unchanged(piece.source, why)
        time.sleep(wait)
    raise UnreachableError.at(
        source.pieces[0].source.label,
        f"it has not changed since the run was planned, and {len(WAITS)} tries gave something else ({why})",
    )


def _piece(part: Sequence[Found]) -> Piece:
    place = part[0].place
    twice = tuple((index, one.holder) for index, one in enumerate(part) if one.holder is not None)
    return Piece(part[0].source, place.number, place.offset, place.skip, len(part), twice)


def _read_piece(piece: Piece, corpus: Corpus, listed: str | None, *, sure: bool) -> list[Document]:
    source = replace(piece.source, stamp=None) if sure else piece.source
    documents = file_documents(source, corpus, listed, Place(piece.first, piece.offset, piece.skip))
    found = [document for _, document in islice(documents, piece.documents)]
    if len(found) < piece.documents:
        raise InputError(
            f"{piece.source.label}: {piece.documents} documents from line or row {piece.first} on were "
            f"planned, {len(found)} are there"
        )
    for at, holder in piece.twice:
        found[at] = used_twice(found[at], corpus, holder)
    return found
