"""The pieces of a whole corpus in order, on the disk of who plans, with the ids that are used twice."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.documents.document import Document, unusable
from nla_ray.corpus.documents.find import key_of, used_twice
from nla_ray.corpus.documents.twice import Twice
from nla_ray.corpus.files.sources import Source
from nla_ray.pipelines.decode.pieces.examples import Example
from nla_ray.pipelines.decode.pieces.piece import PIECE, Piece

_UNREAD: dict[str, Any] = {
    "noted": [],
    "shape": None,
    "placeless": True,
    "places": 0,
    "controls": 0,
    "shuffled": 0,
    "tokens": 0,
    "left_out": 0,
    "truncated": False,
    "windowed": False,
}
"""What is known of a document that is not read."""


@dataclass(frozen=True)
class Rows:
    """Consecutive documents of one file: the columns of their piece as lists, as the corpus makes of them.

    `alone` are the digests of the documents taken by themselves; `twice` those whose id was used before, by
    their index, each with the place that holds it.
    """

    source: Source
    columns: Mapping[str, list[Any]]
    alone: Sequence[bytes]
    twice: Mapping[int, str]

    def __len__(self) -> int:
        """How many documents."""
        return len(self.alone)


class Pile:
    """Takes the pieces of at most `corpus.limit` documents.

    In memory are one piece while it is added, later a row group of it, and what repeats.
    """

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        """`folder` is where the pieces are put."""
        self._corpus, self._folder, self._twice = corpus, folder, Twice()
        self._pieces: list[Piece] = []
        self._starts = [0]

    def __enter__(self) -> Self:
        """Nothing is taken before it is needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Forget the ids."""
        self._twice.__exit__()

    @property
    def documents(self) -> int:
        """How many there are."""
        return self._starts[-1]

    @property
    def full(self) -> bool:
        """Whether no more documents are wanted."""
        return self.documents == self._corpus.limit

    def add(self, content: bytes) -> Piece:
        """The piece of the next file."""
        path = self._folder / str(len(self._pieces))
        path.write_bytes(content)
        piece, n = Piece(path), 0
        most = None if self._corpus.limit is None else self._corpus.limit - self.documents
        for batch in piece.batches(["key"], most):
            self._twice.add(batch["key"])
            n += len(batch["key"])
        self._pieces.append(piece)
        self._starts.append(self.documents + n)
        return piece

    def rows(self) -> Iterator[Rows]:
        """All documents in order. An id that was used before makes a document one that cannot be used."""
        repeated = self._repeated
        for piece, (start, end) in zip(self._pieces, pairwise(self._starts), strict=True):
            at_first = start
            for columns in piece.batches(PIECE.names, end - start):
                n = len(columns["digest"])
                numbers = range(at_first, at_first + n) if repeated else ()
                twice = {at - at_first: repeated[at] for at in numbers if at in repeated}
                yield self._settled(piece.head.source, columns, twice)
                at_first += n

    def examples(self, documents: int) -> list[Example]:
        """Those of the first documents that have some."""
        repeated = self._repeated
        every = [
            one.examples
            for piece, start in zip(self._pieces, self._starts, strict=False)
            for one in piece.head.shown
            if start + one.document < self.documents and start + one.document not in repeated
        ]
        return [example for examples in every[:documents] for example in examples]

    def _settled(self, source: Source, columns: dict[str, list[Any]], twice: Mapping[int, str]) -> Rows:
        alone = list(columns["digest"]) if twice else columns["digest"]
        for at, holder in twice.items():
            doc_id = columns["doc_id"][at].decode(errors="surrogatepass")
            place = source.at(columns["number"][at])
            read = Document(doc_id, place, position=columns["position"][at])
            document = used_twice(read, self._corpus, holder)
            columns["digest"][at] = bytes.fromhex(document.content_digest())
            columns["problem"][at] = str(document.problem).encode(errors="surrogatepass")
            for name, value in _UNREAD.items():
                columns[name][at] = value
        return Rows(source, columns, alone, twice)

    @cached_property
    def _repeated(self) -> Mapping[int, str]:
        """Documents of which an earlier one has the id, by their numbers in the corpus, with its place."""
        found = self._twice.found(lambda new: [key_of(unusable(at, "")) for at in self._places(new)])
        return dict(zip(found, self._places(list(found.values())), strict=True))

    def _places(self, documents: Sequence[int]) -> list[str]:
        """What documents are called by their places."""
        places: dict[int, str] = {}
        of: dict[int, list[int]] = {}
        for document in set(documents):
            of.setdefault(bisect_right(self._starts, document) - 1, []).append(document)
        for index, some in of.items():
            numbers = self._pieces[index].numbers()
            source, start = self._pieces[index].head.source, self._starts[index]
            places |= {document: source.at(int(numbers[document - start])) for document in some}
        return [places[document] for document in documents]
