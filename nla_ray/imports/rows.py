"""Rows of the explanations table from imported results: their text is judged, the rest is as they say."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nla_ray.config.reading.importing import ImportOptions
from nla_ray.ids import digest, row_id
from nla_ray.imports.entries import Entry
from nla_ray.imports.formats.sources import Source
from nla_ray.imports.keys import UNKNOWN, doc_id_of, layer_of, too_many
from nla_ray.nla.outcomes import (
    CLOSE,
    EARLY_POSITIONS,
    OPEN,
    Outcome,
    extract,
    is_cjk,
    loop_period,
    outcome_of,
)
from nla_ray.nla.reconstruction.fidelity import cos, mse_nrm
from nla_ray.tables import EXPLANATIONS, IMPORTED
from nla_ray.text import normalise, storable

Row = dict[str, Any]

_WORDS = re.compile(r"\w+|[^\w\s]+")
_DEEPEST = 100


@dataclass(frozen=True)
class Origin:
    """Where rows come from: their run, their file, what the file and the user say of all of them."""

    run_id: str
    source: Source
    prefix: str
    common: Mapping[str, Any]
    words: Mapping[str, str]
    layers: int = 1
    """How many layers the import is of."""

    @classmethod
    def of(
        cls, run_id: str, source: Source, header: Mapping[str, Any], options: ImportOptions, layers: int = 1
    ) -> Origin:
        """A file says `layer`, `target`, `av`, `ar` of itself, or else the options do."""
        names = ("layer", "target", "av", "ar")
        return cls(
            run_id,
            source,
            prefix_of(source, header, options),
            {name: header.get(name, getattr(options, name)) for name in names},
            options.control,
            layers,
        )


def prefix_of(source: Source, header: Mapping[str, Any], options: ImportOptions) -> str:
    """What stands in front of the numbers of documents."""
    return storable(options.run_name or header.get("run_name") or source.stem)


@dataclass(frozen=True)
class Judged:
    """What the text of an answer tells; `closed` is None where its tags are gone."""

    text: str
    raw: str | None
    closed: bool | None
    outcome: Outcome
    reason: str | None


def judge_text(entry: Entry) -> Judged:
    """Explanation, whole answer and outcome of a result that has a text.

    An explanation with a tag in it is a whole answer. Without tags it counts as closed, unless the tool says
    that it found none or that the token limit ended it; an answer that the tool did not keep is no empty one.
    Loops are looked for in words, for want of tokens.
    """
    whole = entry.raw
    if whole is None and entry.text is not None and (OPEN in entry.text or CLOSE in entry.text):
        whole = entry.text
    inside, closed = ("", entry.parsed) if whole is None else extract(whole)
    given = "" if entry.text is None or entry.text == whole else entry.text.strip()
    text, cut = given or inside, entry.finish_reason == "length"
    period = loop_period(_words(text))
    counts_as_closed = not cut if closed is None else closed
    outcome = outcome_of(text, loops=period > 0, closed=counts_as_closed, cut=cut)
    if whole is None and not text and closed is False:
        outcome = "unclosed"
    reasons = {
        "empty": "no text",
        "loop": f"a block of {period} words repeats",
        "length": "cut off by the token limit",
        "unclosed": "no closing tag",
    }
    return Judged(text, whole, closed, outcome, reasons.get(outcome))


def _words(text: str) -> list[int]:
    """The words, or in Chinese, Japanese and Korean the characters, as numbers."""
    pieces = list(text) if is_cjk(text) else _WORDS.findall(text)
    numbers: dict[str, int] = {}
    return [numbers.setdefault(piece, len(numbers)) for piece in pieces]


def row_of(
    origin: Origin, unit_id: str, entry: Entry, sample: int, *, repeated: bool
) -> tuple[Row, str | None]:
    """The row of one result, and why it is no answer; its reason begins with its file and line."""
    problem = _problem(entry, sample, repeated=repeated)
    row = dict.fromkeys(EXPLANATIONS.names) | _key(origin, entry, sample, lost=problem is not None)
    row |= origin.common
    row |= {name: value for name, value in entry.columns.items() if value is not None}
    row |= {"run_id": origin.run_id, "unit_id": unit_id, "provenance": IMPORTED, "flags": _flags(entry)}
    meta = entry.meta
    if problem is not None:
        meta = entry.record.values if isinstance(entry.record.values, dict) else {}
        where = f"{origin.source.name}:{entry.record.place}"
        row |= {"outcome": "failed", "reason": storable(f"{where}: {problem}")}
    else:
        row |= _answer(entry) | _fidelity(row, entry)
    return row | {"meta": meta_json(meta)}, problem


def _problem(entry: Entry, sample: int, *, repeated: bool) -> str | None:
    if entry.problem is not None:
        return entry.problem
    if repeated:
        return "an earlier result has the same document, position, control and sample"
    return "more samples of one position than can be numbered" if too_many(sample) else None


def _key(origin: Origin, entry: Entry, sample: int, *, lost: bool) -> Row:
    """A row that is no answer has an id of its own: its key may be another one's."""
    doc_id = f"{origin.prefix}:{entry.record.place}" if entry.unreadable else doc_id_of(entry, origin.prefix)
    at = UNKNOWN if entry.position is None else entry.position
    part = (entry.record.part,) if entry.record.part else ()
    own = digest("result", origin.source.sha256, entry.record.place, *part)[:32]
    return {
        "row_id": own if lost else row_id(_vector_of(origin, entry, doc_id), at, entry.control),
        "doc_id": doc_id,
        "position": entry.position,
        "control": entry.control,
        "sample": 0 if lost else sample,
    }


def _vector_of(origin: Origin, entry: Entry, doc_id: str) -> str:
    """Where one import is of several layers, a position has a vector in each of them."""
    layer = layer_of(entry, origin.common["layer"])
    return f"{doc_id}@{layer}" if origin.layers > 1 else doc_id


def _flags(entry: Entry) -> list[str]:
    early = entry.position is not None and entry.position < EARLY_POSITIONS
    return [name for name, raised in (("early_position", early), ("special_token", entry.special)) if raised]


def _answer(entry: Entry) -> Row:
    judged = judge_text(entry)
    return {
        "outcome": judged.outcome,
        "reason": judged.reason,
        "flags": [*_flags(entry), *(("cjk",) if is_cjk(judged.text) else ())],
        "explanation": judged.text or None,
        "explanation_norm": normalise(judged.text) if judged.text else None,
        "raw_text": judged.raw,
        "finish_reason": entry.finish_reason,
        "closed": judged.closed,
    }


def _fidelity(row: Row, entry: Entry) -> Row:
    """What the file does not say of norm and fidelity but its vectors do."""
    found: dict[str, float] = {}
    own, rebuilt = entry.record.activation, entry.record.recon
    if own is not None:
        found["norm"] = float(np.linalg.norm(own.astype(np.float64)))
    if own is not None and rebuilt is not None and own.shape == rebuilt.shape and own.size:
        found |= {"cos": float(cos(own, rebuilt)), "mse_nrm": float(mse_nrm(own, rebuilt))}
    return {name: value for name, value in found.items() if row[name] is None and math.isfinite(value)}


def meta_json(meta: Mapping[str, Any]) -> str | None:
    """Values as JSON that any reader takes: no NaN, no lone surrogates, nothing endlessly nested."""
    if not meta:
        return None
    return storable(json.dumps(_plain(meta, 0), ensure_ascii=False, allow_nan=False))


def _plain(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
