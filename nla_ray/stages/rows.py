"""Rows of the explanations table from what the models said."""

from __future__ import annotations

import json
from dataclasses import dataclass

from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.reading.reader import UNKNOWN, Reading
from nla_ray.corpus.redaction.keep import UNSAID, Keeper, Kept
from nla_ray.ids import digest
from nla_ray.nla.outcomes import Explanation
from nla_ray.stages.controls import Query
from nla_ray.tables import DECODED, REAL
from nla_ray.text import normalise

Row = dict[str, object]


@dataclass(frozen=True)
class Identity:
    """What all rows of a run have in common; `recipe` is what its unit ids follow from."""

    run_id: str
    recipe: str
    layer: int
    seed: int
    target: str | None
    av: str
    ar: str | None


@dataclass(frozen=True)
class Read:
    """What is known of a position before anything is said; `document` is its index in the unit."""

    reading: Reading
    document: int
    token: str | None
    norm: float
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """Fidelity of one explanation to the position's own vector."""

    cos: float
    mse_nrm: float


def explained_row(
    identity: Identity,
    unit_id: str,
    read: Read,
    query: Query,
    said: Explanation,
    sample: int,
    score: Score | None,
) -> Row:
    """The row of one answer; `fve_nrm` is left to whoever knows the baseline."""
    document, position, ids = read.reading.document, query.place.position, read.reading.token_ids
    row = _common(identity, unit_id) | {
        "row_id": query.row_id,
        "doc_id": document.doc_id,
        "position": None if position == UNKNOWN else position,
        "token_id": ids[position] if ids else None,
        "token": read.token,
        "role": read.reading.labels[position] if read.reading.labels else None,
        "doc_tokens": len(ids) or None,
        "control": query.control,
        "control_source": query.source,
        "sample": sample,
        "outcome": said.outcome,
        "reason": said.reason,
        "flags": [*read.flags, *said.flags],
        "explanation": said.text or None,
        "explanation_norm": normalise(said.text) if said.text else None,
        "raw_text": None if said.outcome == "failed" else said.raw_text,
        "finish_reason": said.finish_reason,
        "closed": said.closed,
        "n_tokens": said.n_tokens,
        "norm": read.norm,
        "meta": meta_of(read.reading),
    }
    return row | _scores(score)


def unread_row(identity: Identity, unit_id: str, reading: Reading) -> Row:
    """The row of a document that has no position to explain, with the reason."""
    document = reading.document
    return (
        _common(identity, unit_id)
        | dict.fromkeys(("position", "token_id", "token", "role", "control_source", "norm"), None)
        | dict.fromkeys(("explanation", "explanation_norm", "raw_text"), None)
        | {
            "row_id": document_row_id(document),
            "doc_id": document.doc_id,
            "doc_tokens": len(reading.token_ids) or None,
            "control": REAL,
            "sample": 0,
            "outcome": "failed",
            "reason": reading.problem,
            "flags": list(reading.flags),
            "finish_reason": "failed",
            "closed": False,
            "n_tokens": 0,
            "meta": meta_of(reading),
        }
        | _scores(None)
    )


def kept_row(row: Row, reading: Reading, keeper: Keeper, kept: Kept) -> Row:
    """The row with what of it may be stored; `failed`, without a text, where that could not be found out."""
    if keeper.everything:
        return row
    row = row | {"meta": kept.meta} | _token(row, reading, keeper, kept)
    return keeper.row(row) if kept.problem is None else row | UNSAID | {"reason": kept.problem}


def _token(row: Row, reading: Reading, keeper: Keeper, kept: Kept) -> Row:
    position, token = row["position"], _text(row["token"])
    if isinstance(position, int) and token is not None:
        token = keeper.token(reading, kept, position, token)
    return {"token": token, "token_id": None if token is None else row["token_id"]}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def document_row_id(document: Document) -> str:
    """Id of the one row of a document that has no position (32 hex characters).

    A document without an id goes by its place in the corpus, which may be another one's id.
    """
    if document.doc_id == document.source:
        return digest("place", document.source)[:32]
    at = () if document.position is None else (document.position,)
    return digest("document", document.doc_id, *at)[:32]


def meta_of(reading: Reading) -> str | None:
    """Columns of the corpus as JSON; with the target's answer and its first position, if it gave one."""
    if reading.response is None:
        return reading.document.meta
    said = {"response": reading.response, "response_start": reading.response_start}
    return json.dumps(json.loads(reading.document.meta or "{}") | said)


def _common(identity: Identity, unit_id: str) -> Row:
    return {
        "run_id": identity.run_id,
        "unit_id": unit_id,
        "layer": identity.layer,
        "seed": identity.seed,
        "target": identity.target,
        "av": identity.av,
        "ar": identity.ar,
        "provenance": DECODED,
    }


def _scores(score: Score | None) -> Row:
    if score is None:
        return {"cos": None, "mse_nrm": None, "fve_nrm": None}
    return {"cos": score.cos, "mse_nrm": score.mse_nrm, "fve_nrm": None}
