"""Controls: what is injected instead of a position's own vector, chosen by keys alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nla_ray.config.decode import Controls
from nla_ray.ids import Beginning, row_id
from nla_ray.tables import CONTROLS, REAL


@dataclass(frozen=True)
class Place:
    """A position of a document, and the index of its own vector among the unit's."""

    doc_id: str
    position: int
    index: int


@dataclass(frozen=True)
class Planned:
    """A row before any vector is known: whose place, which control, and for `shuffled` whose vector."""

    place: Place
    control: str
    row_id: str
    donor: Place | None = None


@dataclass(frozen=True)
class Query:
    """One vector [d] to explain: whose position, under which control; for `none` it is not injected."""

    place: Place
    control: str
    row_id: str
    vector: np.ndarray
    injected: bool = True
    source: str | None = None


class Mixer:
    """Draws the controls of one unit from its places; which rows there are depends on keys alone."""

    def __init__(self, places: Sequence[Place], shares: Controls, seed: int) -> None:
        self._places = places
        every = [(control, getattr(shares, control)) for control in CONTROLS]
        self._shares = [(control, share) for control, share in every if share > 0]
        self._keys = {purpose: Beginning(purpose, seed) for purpose in ("share", "donor", "gaussian")}

    def planned(self) -> Iterator[Planned]:
        """Each place's own row, then the controls that its key draws.

        `shuffled` needs a place of another document; where there is none its row is left out.
        """
        for place in self._places:
            yield Planned(place, REAL, row_id(place.doc_id, place.position, REAL))
            for control, row in self.drawn(place):
                donor = self._donor(place, self._number(row, "donor")) if control == "shuffled" else None
                if donor is not None or control != "shuffled":
                    yield Planned(place, control, row, donor)

    def drawn(self, place: Place) -> Iterator[tuple[str, str]]:
        """The controls that a place's key draws, each with its row id; it knows no other place."""
        for control, share in self._shares:
            row = row_id(place.doc_id, place.position, control)
            if self._number(row, "share") / 2.0**64 < share:
                yield control, row

    def queries(self, vectors: np.ndarray) -> Iterator[Query]:
        """The planned rows with what is injected for each, of the places' own vectors [n, d].

        A place whose vector is not finite, as those of a document in quarantine, lends it to nobody: the next
        one does, so that every other row is as it would be without the fault. Where there is no next one, the
        row fails.
        """
        mean, sound = mean_vector(vectors), np.isfinite(vectors).all(axis=1)
        for planned in self.planned():
            place, own = planned.place, vectors[planned.place.index]
            source = None
            match planned.control:
                case "shuffled":
                    donor = self._donor(place, self._number(planned.row_id, "donor"), sound)
                    own = np.full_like(mean, np.nan) if donor is None else vectors[donor.index]
                    source = None if donor is None else row_id(donor.doc_id, donor.position, REAL)
                case "random":
                    own = gaussian(own, self._number(planned.row_id, "gaussian"))
                case "mean":
                    own = mean
            yield Query(place, planned.control, planned.row_id, own, planned.control != "none", source)

    def _donor(self, place: Place, key: int, sound: np.ndarray | None = None) -> Place | None:
        """A place of another document: the first one at or after a keyed start, of the `sound` [n] ones."""
        n = len(self._places)
        rotated = (self._places[(key + step) % n] for step in range(n))
        fits = (one for one in rotated if one.doc_id != place.doc_id)
        return next((one for one in fits if sound is None or sound[one.index]), None)

    def _number(self, row: str, purpose: str) -> int:
        """64 bits that depend on the purpose, the seed and the row alone."""
        return int(self._keys[purpose].digest(row)[:16], 16)


def mean_vector(vectors: np.ndarray) -> np.ndarray:
    """Mean [d] of the finite rows of `vectors` [n, d] in float32; NaN where there are none."""
    finite = vectors[np.isfinite(vectors).all(axis=1)]
    if not len(finite):
        return np.full(vectors.shape[1], np.nan, np.float32)
    return np.asarray(finite.mean(axis=0, dtype=np.float64), np.float32)


def gaussian(like: np.ndarray, key: int) -> np.ndarray:
    """A Gaussian vector [d] with the L2 norm of `like`, a function of `key`; float32."""
    noise = np.random.default_rng(key).standard_normal(like.shape[0])
    return np.asarray(noise * (np.linalg.norm(like.astype(np.float64)) / np.linalg.norm(noise)), np.float32)
