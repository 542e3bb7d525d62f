"""Files of results in pieces of bounded size: counted once, then made into rows piece by piece."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nla_ray.config.reading.importing import ImportOptions
from nla_ray.errors import InputError
from nla_ray.ids import digest
from nla_ray.imports.beside import activation_rows, document_row
from nla_ray.imports.entries import Entry, entry_of
from nla_ray.imports.formats.records import Record, header_of, records_of
from nla_ray.imports.formats.sources import Source
from nla_ray.imports.keys import Samples, group_of, layer_of, number_samples
from nla_ray.imports.rows import Origin, Row, prefix_of, row_of
from nla_ray.imports.template import Headers
from nla_ray.tables import ACTIVATIONS, DOCUMENTS, EXPLANATIONS, table_of

PIECE_ROWS, PIECE_VECTORS = 50_000, 4_096
"""Results in one unit, and in one that keeps their vectors."""

_TICK, _SLICE = 1_000, 1_024

Tick = Callable[[int], None]
"""Is told how many results were looked at since it was told before."""


@dataclass(frozen=True)
class Survey:
    """An import before its rows are made: what each file says of itself and holds, and all samples."""

    headers: tuple[Mapping[str, Any], ...]
    rows: tuple[int, ...]
    samples: Samples
    layers: int
    """How many layers the results are about."""


@dataclass(frozen=True)
class Piece:
    """Results `start` to `start + rows` of a file; `offset` is where the file begins among all."""

    unit_id: str
    start: int
    rows: int
    offset: int


@dataclass(frozen=True)
class Made:
    """The tables of one piece, and what is in them."""

    table: pa.Table
    sides: Mapping[str, pa.Table]
    tally: Mapping[str, Any]


def survey(sources: Sequence[Source], options: ImportOptions, tick: Tick) -> Survey:
    """Read every file once, for its results' keys.

    Raises InputError: no results, ambiguous names, or something that is no result.
    """
    headers = [header_of(source) for source in sources]
    _require_own_names(sources, headers, options)
    groups, stated, rows, layers = array("Q"), array("i"), list[int](), set[int | None]()
    for source, header in zip(sources, headers, strict=True):
        prefix, before = prefix_of(source, header, options), len(groups)
        layer = header.get("layer", options.layer)
        for entry in _results(source, options):
            groups.append(group_of(entry, prefix, layer))
            layers.add(layer_of(entry, layer))
            stated.append(-1 if entry.sample is None else entry.sample)
            if len(groups) % _TICK == 0:
                tick(_TICK)
        rows.append(len(groups) - before)
        if not rows[-1]:
            raise InputError(f"{source.path}: holds no results; there is nothing to import")
    samples = number_samples(np.frombuffer(groups, dtype=np.uint64), np.frombuffer(stated, dtype=np.int32))
    return Survey(tuple(headers), tuple(rows), samples, max(len(layers), 1))


def _results(source: Source, options: ImportOptions) -> Iterator[Entry]:
    for record in records_of(source, vectors=False):
        entry = entry_of(record, options.control)
        if entry.foreign is not None:
            raise InputError(f"{source.path}:{record.place}: {entry.foreign}")
        yield entry


def _require_own_names(
    sources: Sequence[Source], headers: Sequence[Mapping[str, Any]], options: ImportOptions
) -> None:
    """Two files of one name would mix their documents; a run's name says that this is meant."""
    named: dict[str, Source] = {}
    for source, header in zip(sources, headers, strict=True):
        if options.run_name or header.get("run_name"):
            continue
        twin = named.setdefault(source.stem, source)
        if twin is not source:
            raise InputError(
                f"{twin.path} and {source.path}: have one name, which names their documents; import them one "
                "by one, rename one, or give --run-name if they are parts of one run"
            )


def pieces_of(source: Source, rows: int, offset: int, options: ImportOptions, run_id: str) -> list[Piece]:
    """The pieces of a file, which are its units."""
    keeps = options.activations and source.format == "parquet"
    size = PIECE_VECTORS if keeps else PIECE_ROWS
    return [
        Piece(digest("piece", run_id, source.sha256, start)[:32], start, min(size, rows - start), offset)
        for start in range(0, rows, size)
    ]


def made_of(
    origin: Origin,
    pieces: Sequence[Piece],
    wanted: frozenset[str],
    samples: Samples,
    sides: Sequence[str],
    tick: Tick,
) -> Iterator[tuple[Piece, Made]]:
    """The wanted pieces of one file as tables, in order; the file is read to the last wanted piece.

    Raises InputError where it no longer holds what was counted.
    """
    records, headers = records_of(origin.source, vectors=True), Headers()
    last = max((at for at, piece in enumerate(pieces) if piece.unit_id in wanted), default=-1)
    for piece in pieces[: last + 1]:
        some = islice(records, piece.rows)
        if piece.unit_id in wanted:
            counted = _Counted(some, tick)
            made = _make(origin, piece, counted, headers, samples, sides)
            counted.require(origin.source, piece.rows)
            yield piece, made
        else:
            for record in some:
                headers.flag(entry_of(record, origin.words))


class _Counted:
    """Records that are counted as they pass."""

    def __init__(self, records: Iterator[Record], tick: Tick) -> None:
        self._records, self._tick, self._n = records, tick, 0

    def __iter__(self) -> Iterator[Record]:
        for record in self._records:
            self._n += 1
            if self._n % _TICK == 0:
                self._tick(_TICK)
            yield record
        self._tick(self._n % _TICK)

    def require(self, source: Source, rows: int) -> None:
        """Raise InputError unless there were so many."""
        if self._n != rows:
            raise InputError(f"{source.path}: has changed since it was counted; import it again")


def _make(
    origin: Origin,
    piece: Piece,
    records: Iterable[Record],
    headers: Headers,
    samples: Samples,
    sides: Sequence[str],
) -> Made:
    """The tables of a piece, made slice by slice: records with vectors are large."""
    tables, problems, read = [EXPLANATIONS.empty_table()], list[str](), list[Entry]()
    vectors = [ACTIVATIONS.empty_table()]
    index = piece.offset + piece.start
    passing = iter(records)
    while entries := [entry_of(record, origin.words) for record in islice(passing, _SLICE)]:
        made = list[tuple[Entry, Row, bool]]()
        for at, entry in enumerate(entries, start=index):
            sample, repeated = int(samples.sample[at]), bool(samples.repeated[at])
            row, problem = row_of(origin, piece.unit_id, entry, sample, repeated=repeated)
            flag = headers.flag(entry)
            row["flags"] += [flag] if flag and flag not in row["flags"] else []
            made.append((entry, row, bool(samples.first[at])))
            problems += [problem] if problem else []
        tables.append(table_of((row for _, row, _ in made), EXPLANATIONS))
        if "activations" in sides:
            vectors.append(table_of(activation_rows(made), ACTIVATIONS))
        if origin.source.format == "transcript":
            read += entries
        index += len(entries)
    table, beside = pa.concat_tables(tables), {"activations": pa.concat_tables(vectors)}
    beside["documents"] = table_of(_documents(origin, piece, read), DOCUMENTS)
    kept = {side: beside[side] for side in sides}
    return Made(table, kept, tally_of(table, kept, problems))


def _documents(origin: Origin, piece: Piece, entries: Sequence[Entry]) -> list[Row]:
    row = None if piece.start else document_row(origin, piece.unit_id, entries)
    return [] if row is None else [row]


def tally_of(table: pa.Table, kept: Mapping[str, pa.Table], problems: Sequence[str]) -> dict[str, Any]:
    """How many rows have which outcome, flag and control, what is beside them, why some are no answers."""
    return {
        "rows": table.num_rows,
        "outcomes": dict(Counter(table["outcome"].to_pylist())),
        "flags": dict(Counter(pc.list_flatten(table["flags"]).to_pylist())),
        "controls": dict(Counter(table["control"].to_pylist())),
        "problems": dict(Counter(problems).most_common(20)),
        "kept": {side: rows.num_rows for side, rows in kept.items()},
    }
