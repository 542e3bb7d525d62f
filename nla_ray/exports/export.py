"""Export committed tables to a place: selected, made in one of the formats, written once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from nla_ray.errors import ConfigError
from nla_ray.exports import scout, workspacebench
from nla_ray.exports.csv import csv_files
from nla_ray.exports.datasets import dataset_files
from nla_ray.exports.parquet import parquet_files
from nla_ray.exports.place import Made, Place, look
from nla_ray.exports.record import TABULAR, Choice, Format, Record
from nla_ray.exports.selection import Selection, selected
from nla_ray.store import open_store

_MAKERS: Mapping[Format, Callable[[Selection], Iterator[Made]]] = {
    "parquet": parquet_files,
    "csv": csv_files,
    "datasets": dataset_files,
    "workspacebench": workspacebench.readout_files,
    "scout": scout.scan_files,
}
_LEFT_OUT: Mapping[Format, Mapping[str, str]] = {
    "workspacebench": workspacebench.LEFT_OUT,
    "scout": scout.LEFT_OUT,
}


@dataclass(frozen=True)
class Exported:
    """A finished export and where it is; `before` where it was there already."""

    record: Record
    place: str
    before: bool


def export_tables(tables: str, to: str, choice: Choice) -> Exported:
    """Export the committed tables at `tables` to `to`; both are a folder or `s3://bucket/prefix`.

    The same export into the same place is taken up where it was left, or found to be done. Raises NlaError.
    """
    _require_fitting(choice)
    store = open_store(to)
    there = look(store)
    with selected(tables, choice) as selection:
        request = selection.request
        left_out = selection.left_out(_LEFT_OUT.get(choice.format, {}))
        place = Place.claim(store, request, there)
        done = place.finished()
        if done is not None:
            return Exported(done, store.url, before=True)
        files = tuple(place.put(made) for made in _MAKERS[choice.format](selection))
        record = Record(**dict(request), left_out=left_out, files=files)
        place.finish(record)
    return Exported(record, store.url, before=False)


def _require_fitting(choice: Choice) -> None:
    if choice.delta and choice.format != "parquet":
        raise ConfigError(f"--delta: is a log over Parquet files; --format {choice.format} has none")
    if choice.activations and choice.format not in TABULAR:
        raise ConfigError(
            f"--activations: --format {choice.format} has no place for vectors; take {', '.join(TABULAR)}"
        )
