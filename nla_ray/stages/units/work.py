"""A unit on its way through the stages: what is asked for, what is known so far, what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.documents.pieces import UnitSource
from nla_ray.corpus.reading.reader import Reading
from nla_ray.ids import digest
from nla_ray.nla.outcomes import Explanation
from nla_ray.stages.controls import Place
from nla_ray.stages.rows import Read, Score
from nla_ray.stages.units.tally import Tally
from nla_ray.store.catalog.files import FileRecord


@dataclass(frozen=True)
class Task:
    """One unit that is to be made; it holds where the documents are, not the documents.

    `planned` rows, None where the target's answers decide. `skip` are documents, by their index in the unit,
    that no worker survives, each with the reason: their rows go to the quarantine. `only` makes it a trial:
    these documents alone are tried and nothing is written. `run` tells apart several runs that share workers;
    units of one number in `together` are of the same documents and go through one worker one after the other,
    and each bears its `share` of the pass over the target that serves them.
    """

    unit_id: str
    source: UnitSource
    documents: int
    planned: int | None = None
    skip: Mapping[int, str] = field(default_factory=dict)
    only: frozenset[int] | None = None
    run: str = ""
    together: int | None = None
    share: float = 1.0

    def wants(self, document: int) -> bool:
        """Whether a document of the unit is to be worked on."""
        return document not in self.skip and (self.only is None or document in self.only)

    def trial(self, only: Sequence[int]) -> Task:
        """The same unit with these documents alone."""
        return replace(self, only=frozenset(only))


@dataclass
class Work:
    """A unit between two stages; lists run over the places of its readings, or over rows.

    `vectors` [n, d] are NaN for documents that are left out. `said` and `scores` are of the wanted rows,
    query by query and within one sample by sample.
    """

    task: Task
    readings: Sequence[Reading]
    vectors: np.ndarray
    reads: Sequence[Read]
    tally: Tally
    said: Sequence[Explanation] = ()
    scores: Sequence[Score | None] = ()

    def wanted(self, place: Place) -> bool:
        """Whether a place's document is to be worked on."""
        return self.task.wants(self.reads[place.index].document)


@dataclass(frozen=True)
class Done:
    """A unit that is written (`file` is None for a trial, which only shows that it can be made).

    `made` here, or found written when its turn came; what it cost is in the tally of who made it.
    """

    task: Task
    file: FileRecord | None
    tally: Tally
    made: bool = True


@dataclass(frozen=True)
class Failed:
    """A unit whose attempt raised: why, and the error itself where it is one that ends the run."""

    task: Task
    reason: str
    fatal: Exception | None = None


Result = Done | Failed


def places_of(readings: Sequence[Reading]) -> list[Place]:
    """Every chosen position of the readings, numbered in order."""
    return [
        Place(readings[document].document.doc_id, position, index)
        for index, (document, position) in enumerate(where(readings))
    ]


def where(readings: Sequence[Reading]) -> Iterator[tuple[int, int]]:
    """(index of the reading, position) of every place."""
    for document, reading in enumerate(readings):
        for position in reading.positions if reading.problem is None else ():
            yield document, position


def unit_id_of(recipe: str, documents: Sequence[Document]) -> str:
    """Hash of the recipe and of the documents' content (32 hex characters)."""
    return unit_id_by(recipe, [document.content_digest() for document in documents])


def unit_id_by(recipe: str, digests: Sequence[str]) -> str:
    """The same by the digests of the documents' content."""
    return digest("unit", recipe, *digests)[:32]
