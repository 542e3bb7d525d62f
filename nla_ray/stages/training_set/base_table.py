"""The end of an extraction for training: a unit's vectors with their texts, written once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from nla_ray.config.reading.corpus import Corpus
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.reading.reader import UNKNOWN, Reading
from nla_ray.likeness import content_key, signature
from nla_ray.stages.stage import Stage
from nla_ray.stages.units.work import Done, Work, where
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.units import RunRef, write_unit
from nla_ray.tables.training import base

TAIL_TOKENS = 4
SHOWN_PROBLEMS = 3


@dataclass(frozen=True)
class Content:
    """By what a document's copies are found; None where its text is not known."""

    key: str | None = None
    signature: bytes | None = None


class BaseStage(Stage):
    """Writes the rows of a unit; a document or a vector that cannot be used is counted, with a reason."""

    name = "write"

    def __init__(self, corpus: Corpus, layer: int, d_model: int, store: Store, ref: RunRef) -> None:
        self._corpus, self._layer = corpus, layer
        self._schema = base(d_model)
        self._store, self._ref = store, ref

    def __call__(self, work: Work) -> Done:
        """Write all rows of a unit; a trial is not written."""
        if work.task.only is not None:
            return Done(work.task, None, work.tally)
        with work.tally.timed("write"):
            usable = self._usable(work)
            table = self._table(work, usable)
        problems = list(problems_of(work, usable))
        work.tally.vectors = table.num_rows
        facts = {
            **work.tally.as_json(),
            "unusable": len(problems),
            "problems": problems[:SHOWN_PROBLEMS],
        }
        file = write_unit(self._store, self._ref, work.task.unit_id, table, planned=None, tally=facts)
        return Done(work.task, file, work.tally)

    def _usable(self, work: Work) -> np.ndarray:
        """Which vectors [n] are finite, not zero, and of a document that was worked on."""
        wanted = np.array([work.task.wants(read.document) for read in work.reads], bool)
        with np.errstate(invalid="ignore", over="ignore"):
            norms = np.linalg.norm(work.vectors.astype(np.float64), axis=1)
        usable: np.ndarray = wanted & np.isfinite(norms) & (norms > 0)
        return usable

    def _table(self, work: Work, usable: np.ndarray) -> pa.Table:
        contents = [content_of(reading, self._corpus) for reading in work.readings]
        rows = [
            self._row(work.readings[document], position, contents[document], work.reads[index].token)
            for index, (document, position) in enumerate(where(work.readings))
            if usable[index]
        ]
        flat = pa.array(np.ascontiguousarray(work.vectors[usable], np.float32).ravel())
        names = [name for name in self._schema.names if name != "activation_vector"]
        columns = {
            name: pa.array([row[name] for row in rows], self._schema.field(name).type) for name in names
        }
        kind = self._schema.field("activation_vector").type
        columns["activation_vector"] = pa.FixedSizeListArray.from_arrays(flat, type=kind)
        return pa.table(columns, schema=self._schema)

    def _row(self, reading: Reading, position: int, content: Content, token: str | None) -> dict[str, object]:
        return {
            "doc_id": reading.document.doc_id,
            "n_raw_tokens": None if position == UNKNOWN else position + 1,
            "detokenized_text_truncated": text_until(reading, position),
            "activation_layer": self._layer,
            "token": token,
            "tail": tail_of(reading, position),
            "meta": reading.document.meta,
            "content": content.key,
            "likeness": content.signature,
        }


def text_until(reading: Reading, position: int) -> str | None:
    """The text that the target had read at a position; of a vector all of its text."""
    if reading.text is None or reading.token_ends is None or position == UNKNOWN:
        return reading.text
    return reading.text[: reading.token_ends[position]]


def tail_of(reading: Reading, position: int) -> list[str] | None:
    """The last `TAIL_TOKENS` tokens up to a position, as far as they are of the same span."""
    if reading.text is None or reading.token_ends is None or position == UNKNOWN:
        return None
    first = max(0, position + 1 - TAIL_TOKENS)
    if (owners := reading.owners) is not None:
        own = owners[position]
        first = next((at + 1 for at in range(position, first - 1, -1) if owners[at] != own), first)
    ends = (0, *reading.token_ends)
    return [reading.text[ends[at] : ends[at + 1]] for at in range(first, position + 1)]


def content_of(reading: Reading, corpus: Corpus) -> Content:
    """What a document is compared by: its whole text.

    A vector has its document's text up to a position; the longest of them is known when all are there.
    """
    text = document_text(reading.document)
    if text is None or not text.strip() or corpus.vectors is not None:
        return Content()
    return Content(content_key(text), signature(text))


def document_text(document: Document) -> str | None:
    """The text of a document; of a chat what is said in it, by whom."""
    return document.text if document.chat is None else document.chat.words()


def problems_of(work: Work, usable: Sequence[bool] | np.ndarray) -> Iterator[str]:
    """Why documents have no rows, and vectors none."""
    for index, reading in enumerate(work.readings):
        reason = reading.problem if work.task.wants(index) else work.task.skip.get(index)
        if reason is not None:
            yield f"{reading.document.source}: {json.dumps(reason, ensure_ascii=False)[1:-1]:.200}"
    for index, read in enumerate(work.reads):
        if not usable[index] and work.task.wants(read.document):
            yield f"{read.reading.document.source}: a vector that is zero or not finite"
