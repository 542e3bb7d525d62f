"""The results in a file, one after the other, whatever its format; what cannot be read keeps its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np

from nla_ray.errors import InputError
from nla_ray.imports.formats import parquet, transcripts
from nla_ray.imports.formats.sources import Source
from nla_ray.imports.shapes import LISTS, in_our_words, results_in
from nla_ray.store.places.files import opened
from nla_ray.text import storable

_SAID = {"run_name": str, "layer": int, "target": str, "av": str, "ar": str, "fve_baseline": float}


@dataclass(frozen=True)
class Record:
    """One result: its line or row number from 1; its values, or why there are none; vectors if asked for."""

    place: int
    values: dict[str, Any] | str
    activation: np.ndarray | None = None
    recon: np.ndarray | None = None
    part: int = 0
    """Which of the results in one line or row it is."""


def header_of(source: Source) -> dict[str, Any]:
    """What a file says of all its rows: `run_name`, `layer`, `target`, `av`, `ar`, `fve_baseline`.

    `layer_index` is Neuronpedia's name for the layer.
    """
    with opened(source.path) as file:
        if source.format == "transcript":
            said: dict[str, Any] = transcripts.header(_lines(file))
        elif source.format == "json":
            whole = _whole(source, file)
            said = {"layer": whole.get("layer_index"), **whole} if isinstance(whole, dict) else {}
        else:
            said = {}
    found = {key: said[key] for key, kind in _SAID.items() if type(said.get(key)) is kind}
    if not 0 <= found.get("layer", 0) < 2**15:
        del found["layer"]
    return {key: storable(value) if isinstance(value, str) else value for key, value in found.items()}


def records_of(source: Source, *, vectors: bool) -> Iterator[Record]:
    """The results of a file in their order, under our names; vectors only where asked for and there.

    Raises InputError for a file that cannot be read as a whole.
    """
    for record in _rows_of(source, vectors=vectors):
        if isinstance(record.values, str):
            yield record
            continue
        for part, values in enumerate(in_our_words(record.values)):
            yield replace(record, values=values, part=part)


def _rows_of(source: Source, *, vectors: bool) -> Iterator[Record]:
    with opened(source.path) as file:
        if source.format == "parquet":
            for place, values, activation, recon in parquet.rows(source.path, file, vectors=vectors):
                yield Record(place, values, activation, recon)
        elif source.format == "json":
            for place, value in enumerate(results_in(_whole(source, file)) or (), start=1):
                yield Record(place, _object(value))
        elif source.format == "transcript":
            for place, row in transcripts.rows(_lines(file)):
                yield Record(place, row)
        else:
            for place, line in enumerate(file, start=1):
                if line.strip():
                    yield Record(place, _parsed(line))


def _lines(file: BinaryIO) -> Iterator[str]:
    """Lines of text; bytes that are not UTF-8 become replacement characters."""
    for line in file:
        yield line.decode("utf-8-sig", "replace").rstrip("\r\n")


def _whole(source: Source, file: BinaryIO) -> dict[str, Any] | list[Any]:
    try:
        value: dict[str, Any] | list[Any] = json.load(file)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source.path}: cannot read this JSON file: {error}") from None
    if results_in(value) is None:
        keys = ", ".join(f"`{key}`" for key in LISTS)
        raise InputError(f"{source.path}: expected a list of JSON objects, or an object with one in {keys}")
    return value


def _parsed(line: bytes) -> dict[str, Any] | str:
    try:
        return _object(json.loads(line))
    except (ValueError, RecursionError) as error:
        return f"not a line of JSON: {error}"


def _object(value: object) -> dict[str, Any] | str:
    return value if isinstance(value, dict) else f"found {type(value).__name__} where an object belongs"
