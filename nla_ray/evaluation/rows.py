"""The decoded rows as arrays, in an order that depends on their keys alone; what kind of token each is at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Objects = npt.NDArray[np.object_]

UNKNOWN = -1
"""The position of a vector whose place in its document is not known."""

MARKED = frozenset({"special_token", "template_token"})

_COLUMNS = """SELECT unit_id, doc_id, row_id, position, control, sample, outcome, flags, explanation,
       n_tokens, norm::DOUBLE AS norm, cos::DOUBLE AS cos, mse_nrm::DOUBLE AS mse_nrm, meta
FROM all_explanations WHERE run_id = $run ORDER BY doc_id, position, row_id, sample"""


@dataclass(frozen=True)
class Rows:
    """One entry per row [rows]; numbers are NaN where they are not known."""

    document: Ints
    """Index of the document."""
    row_id: Objects
    position: Ints
    control: Objects
    sample: Ints
    outcome: Objects
    flags: Objects
    """Tuples."""
    text: Objects
    """The explanation; "" where there is none."""
    tokens: Ints
    """Tokens generated."""
    norm: Floats
    cos: Floats
    mse: Floats
    kind: Objects
    """Class of the token at the position."""
    meta: Objects
    """JSON or None."""

    def __len__(self) -> int:
        return len(self.row_id)

    def take(self, where: Mask | Ints) -> Rows:
        """The rows of a mask, or with these indices."""
        return Rows(**{field.name: getattr(self, field.name)[where] for field in fields(self)})

    def of(self, control: str) -> Rows:
        """The rows of one control."""
        return self.take(self.control == control)

    def readable(self) -> Mask:
        """Where there is a text and a fidelity."""
        return np.asarray(np.isfinite(self.cos) & (self.text != ""), np.bool_)


def read_rows(connection: duckdb.DuckDBPyConnection, run: str) -> tuple[Rows, tuple[str, ...]]:
    """The rows of a run, and the ids of its documents in the order of their indices."""
    table = connection.sql(_COLUMNS, params={"run": run}).to_arrow_table()
    column = {name: table[name].to_pylist() for name in table.column_names}
    ids = tuple(sorted(set(column["doc_id"])))
    index = {doc_id: at for at, doc_id in enumerate(ids)}
    return Rows(
        document=np.array([index[doc_id] for doc_id in column["doc_id"]], np.int64),
        row_id=_objects(column["row_id"]),
        position=np.array([UNKNOWN if at is None else at for at in column["position"]], np.int64),
        control=_objects(column["control"]),
        sample=np.array(column["sample"], np.int64),
        outcome=_objects(column["outcome"]),
        flags=_objects([tuple(flags) for flags in column["flags"]]),
        text=_objects([text or "" for text in column["explanation"]]),
        tokens=np.array([n or 0 for n in column["n_tokens"]], np.int64),
        norm=np.array(column["norm"], np.float64),
        cos=np.array(column["cos"], np.float64),
        mse=np.array(column["mse_nrm"], np.float64),
        kind=_objects(_kinds(column, read_texts(connection, run))),
        meta=_objects(column["meta"]),
    ), ids


def read_vectors(connection: duckdb.DuckDBPyConnection, run: str) -> dict[str, npt.NDArray[np.float32]]:
    """The vectors [d] of a run by the row id of the real rows about them, in the order of the ids."""
    table = connection.sql(
        "SELECT row_id, activation_vector FROM activations WHERE run_id = $run ORDER BY row_id",
        params={"run": run},
    ).to_arrow_table()
    ids = table["row_id"].to_pylist()
    if not ids:
        return {}
    flat = np.concatenate(
        [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table["activation_vector"].chunks]
    )
    return dict(zip(ids, flat.reshape(len(ids), -1), strict=True))


def read_texts(
    connection: duckdb.DuckDBPyConnection, run: str
) -> dict[tuple[str, str], tuple[str, list[int]]]:
    """Text and ends of tokens by unit and document, where both are known."""
    found = connection.execute(
        """SELECT unit_id, doc_id, text, token_ends FROM documents
           WHERE run_id = $run AND text IS NOT NULL AND token_ends IS NOT NULL""",
        {"run": run},
    ).fetchall()
    return {(unit, doc): (text, ends) for unit, doc, text, ends in found}


def _kinds(
    column: Mapping[str, list[Any]], texts: Mapping[tuple[str, str], tuple[str, list[int]]]
) -> list[str]:
    keys = zip(column["unit_id"], column["doc_id"], column["position"], column["flags"], strict=True)
    made = []
    for unit, doc, position, flags in keys:
        text, ends = texts.get((unit, doc), ("", []))
        if MARKED & set(flags):
            made.append("special or template")
        elif position is None or not 0 <= position < len(ends):
            made.append("not known")
        else:
            made.append(token_class(text, ends[position - 1] if position else 0, ends[position]))
    return made


def token_class(text: str, start: int, end: int) -> str:
    """Class of the token `text[start:end]`: by its letters, and by what stands before it."""
    token = text[start:end]
    core = token.strip()
    if not token:
        return "part of a character"
    if not core:
        return "space"
    if not any(char.isalnum() for char in core):
        return "punctuation"
    if not any(char.isalpha() for char in core):
        return "number"
    inside = token[0].isalnum() and start > 0 and text[start - 1].isalnum()
    return "word, later part" if inside else "word, first part"


def _objects(values: list[Any]) -> Objects:
    made = np.empty(len(values), object)
    made[:] = values
    return made
