"""Controls: what is injected instead of a position's own vector, chosen by keys alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nla_ray.config.decode import Controls
from nla_ray.ids import digest, row_id
from nla_ray.tables import CONTROLS, REAL


@dataclass(frozen=True)
class Place:
    """A position of a document, and the index of its own vector among the unit's."""

    doc_id: str
    position: int
    index: int


@dataclass(frozen=True)
class Query:
    """One vector to explain: whose position, under which control; for `none` it is not injected."""

    place: Place
    control: str
    row_id: str
    vector: np.ndarray
    injected: bool = True
    source: str | None = None


class Mixer:
    """Draws the controls of one unit from its places and their own vectors [n, d]."""

    def __init__(self, places: Sequence[Place], vectors: np.ndarray, shares: Controls, seed: int) -> None:
        self._places = places
        self._vectors = vectors
        self._shares = shares
        self._seed = seed
        self._mean = mean_vector(vectors)

    def queries(self) -> Iterator[Query]:
        """Each place's own vector, then the controls that its key draws.

        Where there is nothing to inject (no other document for `shuffled`, no finite vector for `mean`), the
        row of that control is left out.
        """
        for place in self._places:
            row = row_id(place.doc_id, place.position, REAL)
            yield Query(place, REAL, row, self._vectors[place.index])
            for control in CONTROLS:
                row = row_id(place.doc_id, place.position, control)
                if self._number(row, "share") / 2.0**64 < getattr(self._shares, control):
                    query = self._controlled(control, row, place)
                    if query is not None:
                        yield query

    def _controlled(self, control: str, row: str, place: Place) -> Query | None:
        own = self._vectors[place.index]
        match control:
            case "shuffled":
                donor = self._donor(place, self._number(row, "donor"))
                if donor is None:
                    return None
                source = row_id(donor.doc_id, donor.position, REAL)
                return Query(place, control, row, self._vectors[donor.index], source=source)
            case "random":
                return Query(place, control, row, gaussian(own, self._number(row, "gaussian")))
            case "mean":
                return None if self._mean is None else Query(place, control, row, self._mean)
            case _:
                return Query(place, control, row, own, injected=False)

    def _donor(self, place: Place, key: int) -> Place | None:
        """A place of another document: the first one at or after a keyed start."""
        n = len(self._places)
        rotated = (self._places[(key + step) % n] for step in range(n))
        return next((other for other in rotated if other.doc_id != place.doc_id), None)

    def _number(self, row: str, purpose: str) -> int:
        """64 bits that depend on the purpose, the seed and the row alone."""
        return int(digest(purpose, self._seed, row)[:16], 16)


def mean_vector(vectors: np.ndarray) -> np.ndarray | None:
    """Mean [d] of the finite rows of `vectors` [n, d] in float32; None where there are none."""
    finite = vectors[np.isfinite(vectors).all(axis=1)]
    return np.asarray(finite.mean(axis=0, dtype=np.float64), np.float32) if len(finite) else None


def gaussian(like: np.ndarray, key: int) -> np.ndarray:
    """A Gaussian vector [d] with the L2 norm of `like`, a function of `key`; float32."""
    noise = np.random.default_rng(key).standard_normal(like.shape[0])
    return np.asarray(noise * (np.linalg.norm(like.astype(np.float64)) / np.linalg.norm(noise)), np.float32)
