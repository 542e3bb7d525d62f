"""Equal exposure: the same number of positions and samples of every document, drawn by a hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from nla_ray.audit.inference.clusters import Ints
from nla_ray.config.detectors.model import Recurrence

Mask = npt.NDArray[np.bool_]

LOW = 0.1
"""Of a side's documents (and places) this share at most has fewer positions (samples) than are drawn."""


@dataclass(frozen=True, eq=False)
class Reads:
    """Rows that can be evidence; arrays are [rows], ordered by document, then by the hash of the place."""

    document: Ints
    """Which document of the population."""
    place: Ints
    """Which place; numbered over all documents in the same order, from 0."""
    documents: int
    """How many there are, with those that have no row here."""

    @cached_property
    def samples(self) -> Ints:
        """Rows of each place."""
        return np.bincount(self.place) if len(self.place) else np.empty(0, np.int64)

    @cached_property
    def some(self) -> Mask:
        """Which documents have any row [documents]."""
        return np.bincount(self.document, minlength=self.documents) > 0

    @cached_property
    def first(self) -> Ints:
        """The first row of each place."""
        return np.flatnonzero(np.diff(self.place, prepend=-1))

    @cached_property
    def owners(self) -> Ints:
        """The document of each place."""
        return self.document[self.first]

    @cached_property
    def ordinals(self) -> Ints:
        """How many places of the same document come before each place."""
        return np.arange(len(self.owners)) - np.searchsorted(self.owners, self.owners)


@dataclass(frozen=True, eq=False)
class Readings:
    """Documents of one population as comparisons count them; arrays are [documents]."""

    doc_ids: npt.NDArray[np.str_]
    family: Ints
    """Which family each belongs to."""
    stratum: npt.NDArray[np.str_]
    """What each is compared within; empty: not known."""
    pair: npt.NDArray[np.str_]
    """By what benign documents belong to audited ones; empty where nothing says so."""
    reads: Mapping[str, Reads]
    """By detector; several have the same one."""
    hits: Mapping[str, Ints]
    """By detector the rows that are evidence, as indices into its reads; no entry: none."""

    def __len__(self) -> int:
        return len(self.doc_ids)


def joined(several: Sequence[Readings]) -> Readings:
    """Several populations as one; their families and documents stay apart."""
    documents = np.cumsum([0, *(len(one) for one in several)])
    names = several[0].reads
    rows = {name: np.cumsum([0, *(len(one.reads[name].document) for one in several)]) for name in names}
    return Readings(
        doc_ids=np.concatenate([one.doc_ids for one in several]),
        family=np.concatenate([one.family + at for one, at in zip(several, documents, strict=False)]),
        stratum=np.concatenate([one.stratum for one in several]),
        pair=np.concatenate([one.pair for one in several]),
        reads={name: _joined([one.reads[name] for one in several]) for name in names},
        hits={
            name: np.concatenate(
                [one.hits.get(name, _NONE) + at for one, at in zip(several, rows[name], strict=False)]
            )
            for name in names
        },
    )


_NONE = np.empty(0, np.int64)


def _joined(several: Sequence[Reads]) -> Reads:
    documents = np.cumsum([0, *(one.documents for one in several)])
    places = np.cumsum([0, *(int(one.place.max(initial=-1)) + 1 for one in several)])
    return Reads(
        document=np.concatenate([one.document + at for one, at in zip(several, documents, strict=False)]),
        place=np.concatenate([one.place + at for one, at in zip(several, places, strict=False)]),
        documents=int(documents[-1]),
    )


@dataclass(frozen=True)
class Exposure:
    """What is drawn of each document."""

    positions: int
    samples: int


def common(sides: Sequence[tuple[Reads, Ints]], rule: Recurrence) -> Exposure:
    """The exposure that nearly all documents of every side have, each side with the documents that count."""
    samples = min(_low(reads.samples[_among(of, reads)]) for reads, of in sides)
    if rule.over == "samples":
        samples = max(min(samples, rule.n or samples), rule.k)
    samples = max(samples, 1)
    positions = min(_low(_places(reads, samples)[of]) for reads, of in sides)
    if rule.over == "positions":
        positions = max(min(positions, rule.n or positions), rule.k)
    if rule.over == "rows":
        most = positions if rule.n is None else min(positions, rule.n // samples)
        positions = max(most, -(-rule.k // samples))
    return Exposure(max(positions, 1), samples)


def drawable(reads: Reads, exposure: Exposure) -> Mask:
    """Which documents [documents] have as much."""
    return _places(reads, exposure.samples) >= exposure.positions


def draw(readings: Readings, detector: str, rule: Recurrence, exposure: Exposure) -> Mask:
    """Which documents [documents] meet the rule on the positions and samples that are drawn of them."""
    reads, rows = readings.reads[detector], readings.hits.get(detector, _NONE)
    at = reads.place[rows]
    some = _drawn(reads, exposure)[at] & (rows - reads.first[at] < exposure.samples)
    hits = np.bincount(at[some], minlength=len(reads.first))
    places = np.flatnonzero(hits)
    times = hits[places]
    weights = {"positions": np.ones_like(times), "rows": times, "samples": times >= rule.k}[rule.over]
    strength = np.bincount(reads.owners[places], weights=weights, minlength=reads.documents)
    return np.asarray(strength >= (1 if rule.over == "samples" else rule.k))


@lru_cache(maxsize=4)
def _drawn(reads: Reads, exposure: Exposure) -> Mask:
    """Which places are drawn; the same for all detectors that share the rows."""
    owners, enough = reads.owners, reads.samples >= exposure.samples
    before = np.concatenate([[0], np.cumsum(enough)])
    rank = before[:-1] - before[np.arange(len(owners)) - reads.ordinals]
    return np.asarray(enough & (rank < exposure.positions))


def _among(documents: Ints, reads: Reads) -> Mask:
    """Which places are of these documents."""
    among = np.zeros(reads.documents, np.bool_)
    among[documents] = True
    return among[reads.owners]


def _places(reads: Reads, samples: int) -> Ints:
    """How many places of each document have enough samples."""
    return np.bincount(reads.owners[reads.samples >= samples], minlength=reads.documents)


def _low(counts: Ints) -> int:
    some = counts[counts > 0]
    return int(np.partition(some, at := int(LOW * (len(some) - 1)))[at]) if len(some) else 0
