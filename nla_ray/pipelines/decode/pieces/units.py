"""The documents of a corpus, known by a few numbers each, cut into units with the rows that they lead to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nla_ray.config.decode import DecodeConfig
from nla_ray.corpus.documents.cut import Cut
from nla_ray.corpus.documents.pieces import Piece, UnitSource
from nla_ray.corpus.files.sources import Source
from nla_ray.errors import ConfigError
from nla_ray.pipelines.decode.pieces.pile import Rows
from nla_ray.stages.units.work import Task, unit_id_by

UNIT_BYTES = 1 << 30
"""Vectors of one unit: they are held in memory, and cross the object store where pools differ."""


@dataclass
class _Part:
    """Documents of one file in the unit that is open; `at` is the place of the first."""

    source: Source
    at: tuple[int, int, int]
    documents: int = 0
    twice: list[tuple[int, str]] = field(default_factory=list)


@dataclass
class _Open:
    """The unit that is being filled; `named` are at most two ids of its documents that have vectors."""

    parts: list[_Part] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    placeless: int = 0
    places: int = 0
    controls: int = 0
    shuffled: int = 0
    named: set[bytes] = field(default_factory=set)

    def take(self, rows: Rows, start: int, end: int) -> None:
        """Some documents of a file, in order."""
        columns = rows.columns
        if not self.parts or self.parts[-1].source is not rows.source:
            place = (columns["number"][start], columns["offset"][start], columns["skip"][start])
            self.parts.append(_Part(rows.source, place))
        part = self.parts[-1]
        before = part.documents - start
        part.twice += [(before + at, rows.twice[at]) for at in range(start, end) if at in rows.twice]
        part.documents += end - start
        self.digests += [digest.hex() for digest in columns["digest"][start:end]]
        places = columns["places"][start:end]
        self.placeless += sum(columns["placeless"][start:end])
        self.places += sum(places)
        self.controls += sum(columns["controls"][start:end])
        self.shuffled += sum(columns["shuffled"][start:end])
        for doc_id, count in zip(columns["doc_id"][start:end], places, strict=True):
            if len(self.named) > 1:
                break
            if count:
                self.named.add(doc_id)


class Units:
    """Takes documents in order; gives the units that they fill."""

    def __init__(self, config: DecodeConfig, recipe: str, *, d_model: int) -> None:
        self._config, self._recipe, self._d_model = config, recipe, d_model
        self._cut = Cut(config.corpus.units, config.corpus.unit_documents)
        self._open = _Open()

    def take(self, rows: Rows) -> Iterator[Task]:
        """The units that end with one of these documents. Raises ConfigError for one that is too large."""
        start, looks = 0, self._cut.looks
        for at, digest in enumerate(rows.alone):
            if self._cut.after(digest.hex() if looks else ""):
                self._open.take(rows, start, at + 1)
                start = at + 1
                yield self._close()
        if start < len(rows):
            self._open.take(rows, start, len(rows))

    def end(self) -> Iterator[Task]:
        """The last unit, where there are documents left."""
        if self._open.digests:
            yield self._close()

    def _close(self) -> Task:
        done, self._open = self._open, _Open()
        self._require_room(done.places)
        parts = (Piece(one.source, *one.at, one.documents, tuple(one.twice)) for one in done.parts)
        unit_id, documents = unit_id_by(self._recipe, done.digests), len(done.digests)
        return Task(unit_id, UnitSource(tuple(parts)), documents, self._planned(done))

    def _planned(self, unit: _Open) -> int | None:
        """Rows of a unit, as `planned_rows` counts them; None where the target's answers decide."""
        if self._config.continuation is not None:
            return None
        shuffled = unit.shuffled if len(unit.named) > 1 else 0
        vectors = unit.places + unit.controls + shuffled
        return unit.placeless + vectors * self._config.sampling.samples

    def _require_room(self, places: int) -> None:
        if places * self._d_model * 4 > UNIT_BYTES:
            raise ConfigError(
                f"corpus.unit_documents: a unit would have {places} vectors of {self._d_model} values, over "
                f"{UNIT_BYTES >> 30} GiB; take fewer documents a unit or fewer positions"
            )
