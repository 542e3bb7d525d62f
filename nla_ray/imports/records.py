"""The results in a file, one after the other, whatever its format; what cannot be read keeps its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from nla_ray.errors import InputError
from nla_ray.imports import parquet, transcripts
from nla_ray.imports.sources import Source
from nla_ray.nla.outcomes import storable
from nla_ray.store.places.files import opened

_SAID = {"run_name": str, "layer": int, "target": str, "av": str, "ar": str, "fve_baseline": float}


@dataclass(frozen=True)
class Record:
    """One result: its line or row number from 1; its values, or why there are none; vectors if asked for."""

    place: int
    values: dict[str, Any] | str
    activation: np.ndarray | None = None
    recon: np.ndarray | None = None


def header_of(source: Source) -> dict[str, Any]:
    """What a file says of all its rows: `run_name`, `layer`, `target`, `av`, `ar`, `fve_baseline`."""
    with opened(source.path) as file:
        if source.format == "transcript":
            said: dict[str, Any] = transcripts.header(_lines(file))
        elif source.format == "json":
            said = _whole(source, file)
        else:
            said = {}
    found = {key: said[key] for key, kind in _SAID.items() if type(said.get(key)) is kind}
    if not 0 <= found.get("layer", 0) < 2**15:
        del found["layer"]
    return {key: storable(value) if isinstance(value, str) else value for key, value in found.items()}


def records_of(source: Source, *, vectors: bool) -> Iterator[Record]:
    """The results of a file in their order; vectors only where asked for and there.

    Raises InputError for a file that cannot be read as a whole.
    """
    with opened(source.path) as file:
        if source.format == "parquet":
            for place, values, activation, recon in parquet.rows(source.path, file, vectors=vectors):
                yield Record(place, values, activation, recon)
        elif source.format == "json":
            for place, value in enumerate(_whole(source, file)["explanations"], start=1):
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


def _whole(source: Source, file: BinaryIO) -> dict[str, Any]:
    try:
        value = json.load(file)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source.path}: cannot read this JSON file: {error}") from None
    if not isinstance(value, dict) or not isinstance(value.get("explanations"), list):
        raise InputError(f"{source.path}: expected a JSON object with a list `explanations`")
    return value


def _parsed(line: bytes) -> dict[str, Any] | str:
    try:
        return _object(json.loads(line))
    except (ValueError, RecursionError) as error:
        return f"not a line of JSON: {error}"


def _object(value: object) -> dict[str, Any] | str:
    return value if isinstance(value, dict) else f"found {type(value).__name__} where an object belongs"
