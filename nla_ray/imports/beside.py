"""Rows of the tables beside explanations, where a file has what they need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

from nla_ray.imports.entries import Entry
from nla_ray.imports.rows import Origin, Row
from nla_ray.tables import REAL

_LOST = "\ufffd"


def document_row(origin: Origin, unit_id: str, entries: Iterable[Entry]) -> Row | None:
    """The document of a transcript, put together from its tokens.

    None where a position is missing, or a token is only a part of a character.
    """
    by_position: dict[int, Entry] = {}
    for entry in entries:
        if entry.position is not None:
            by_position.setdefault(entry.position, entry)
    read = [by_position.get(position) for position in range(len(by_position))]
    tokens = [entry.columns["token"] for entry in read if entry is not None and entry.columns["token"]]
    if not tokens or len(tokens) < len(read) or any(_LOST in token for token in tokens):
        return None
    roles = [entry.columns["role"] for entry in read if entry is not None]
    return {
        "run_id": origin.run_id,
        "unit_id": unit_id,
        "doc_id": origin.prefix,
        "source": origin.source.name,
        "text": "".join(tokens),
        "token_ends": list(accumulate(map(len, tokens))),
        "roles": roles,
        "response_start": next((at for at, role in enumerate(roles) if role is not None), None),
        "n_tokens": len(tokens),
        "truncated": False,
        "left_out_before": 0,
        "left_out_after": 0,
        "flags": [],
    }


def activation_rows(made: Sequence[tuple[Entry, Row, bool]]) -> list[Row]:
    """The vectors of results that are about a position's own vector; the first result of each one counts.

    A row without a vector, or whose layer is not known, has none here.
    """
    return [
        {
            "run_id": row["run_id"],
            "unit_id": row["unit_id"],
            "row_id": row["row_id"],
            "doc_id": row["doc_id"],
            "n_raw_tokens": None if entry.position is None else entry.position + 1,
            "activation_layer": row["layer"],
            "activation_vector": entry.record.activation,
        }
        for entry, row, first in made
        if first and entry.record.activation is not None and row["layer"] is not None and _is_real(row)
    ]


def _is_real(row: Row) -> bool:
    return bool(row["control"] == REAL and row["outcome"] != "failed")
