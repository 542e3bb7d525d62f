"""The last stage: the rows of a unit become its tables, written once into the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa

from nla_ray.config.decode import Baseline, DecodeConfig
from nla_ray.corpus.reading.reader import UNKNOWN, Reading
from nla_ray.corpus.redaction.keep import Keeper, Kept
from nla_ray.ids import row_id
from nla_ray.stages.controls import Mixer
from nla_ray.stages.rows import (
    Identity,
    Row,
    document_row_id,
    explained_row,
    kept_row,
    meta_of,
    unread_row,
)
from nla_ray.stages.stage import Stage
from nla_ray.stages.units.work import Done, Work, places_of
from nla_ray.stages.verbalize import queries_of
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.unit_file import QuarantinedRow
from nla_ray.store.runs.units import RunRef, write_unit
from nla_ray.tables import ACTIVATIONS, DOCUMENTS, EXPLANATIONS, REAL, table_of

ORDER = [(name, "ascending") for name in ("doc_id", "position", "control", "sample")]
"""Rows of one document lie together: it is found without reading the others."""


class WriteStage(Stage):
    """Writes a finished unit and says so; a trial is not written.

    `fve_nrm` is filled in where the run's denominator is known beforehand; else the views do it.
    """

    name = "write"

    def __init__(
        self, config: DecodeConfig, identity: Identity, store: Store, ref: RunRef, baseline: Baseline | None
    ) -> None:
        self._config, self._identity = config, identity
        self._store, self._ref, self._baseline = store, ref, baseline

    def setup(self) -> None:
        """Find what decides what is stored. Raises ConfigError."""
        self._keeper = keeper_of(self._config)

    def __call__(self, work: Work) -> Done:
        """Write all rows of a unit. Raises EngineError where they are not those that were planned."""
        task, tally = work.task, work.tally
        if task.only is not None:
            return Done(task, None, tally)
        with tally.timed("write"):
            kept = self._kept(work.readings)
            table = table_of(self._rows(work, kept), EXPLANATIONS).sort_by(ORDER)
            sides = {"documents": self._documents(work, kept), "activations": self._activations(work)}
            self._count(work, table)
        file = write_unit(
            self._store,
            self._ref,
            task.unit_id,
            table,
            planned=planned_rows(self._config, work.readings) if task.planned is None else task.planned,
            quarantined=list(left_out_rows(self._config, work, self._keeper)),
            sides={name: side for name, side in sides.items() if name in self._config.keep},
            tally=tally.as_json(),
        )
        return Done(task, file, tally)

    def _kept(self, readings: Sequence[Reading]) -> list[Kept]:
        """What may be stored of each reading; the windows of a document are around all of its positions."""
        positions: dict[str, set[int]] = {}
        for one in readings:
            positions.setdefault(one.document.doc_id, set()).update(one.positions)
        return [self._keeper.document(one, positions[one.document.doc_id], meta_of(one)) for one in readings]

    def _rows(self, work: Work, kept: Sequence[Kept]) -> Iterator[Row]:
        unit_id, samples = work.task.unit_id, self._config.sampling.samples
        for index, reading in enumerate(work.readings):
            if reading.problem is not None and work.task.wants(index):
                row = unread_row(self._identity, unit_id, reading)
                yield kept_row(row, reading, self._keeper, kept[index])
        queries = queries_of(self._config, work)
        for index, (said, score) in enumerate(zip(work.said, work.scores, strict=True)):
            query = queries[index // samples]
            read = work.reads[query.place.index]
            row = explained_row(self._identity, unit_id, read, query, said, index % samples, score)
            if score is not None and self._baseline is not None:
                row["fve_nrm"] = 1.0 - score.mse_nrm / self._baseline.value
            yield kept_row(row, read.reading, self._keeper, kept[read.document])

    def _count(self, work: Work, table: pa.Table) -> None:
        columns = (table[name].to_pylist() for name in ("control", "outcome", "cos"))
        for control, outcome, cos in zip(*columns, strict=True):
            work.tally.outcomes.setdefault(control, Counter())[outcome] += 1
            if cos is not None:
                n, total = work.tally.cosines.get(control, (0, 0.0))
                work.tally.cosines[control] = (n + 1, total + cos)

    def _documents(self, work: Work, kept: Sequence[Kept]) -> pa.Table:
        """What of that which the target read may be stored."""
        chosen = {doc_id: (work.readings[at], kept[at]) for doc_id, at in by_document(work.readings).items()}
        rows = [
            {
                "run_id": self._identity.run_id,
                "unit_id": work.task.unit_id,
                "doc_id": doc_id,
                "source": reading.document.source,
                "text": stored.text,
                "token_ends": stored.token_ends,
                "roles": reading.labels,
                "response_start": reading.response_start,
                "n_tokens": len(reading.token_ids),
                "truncated": reading.truncated,
                "left_out_before": reading.left_out[0],
                "left_out_after": reading.left_out[1],
                "flags": reading.flags,
            }
            for doc_id, (reading, stored) in chosen.items()
        ]
        return table_of(rows, DOCUMENTS).sort_by("doc_id")

    def _activations(self, work: Work) -> pa.Table:
        """The vectors of the places that were worked on."""
        rows = [
            {
                "run_id": self._identity.run_id,
                "unit_id": work.task.unit_id,
                "row_id": row_id(place.doc_id, place.position, REAL),
                "doc_id": place.doc_id,
                "n_raw_tokens": None if place.position == UNKNOWN else place.position + 1,
                "activation_layer": self._identity.layer,
                "activation_vector": work.vectors[place.index],
            }
            for place in places_of(work.readings)
            if work.wanted(place) and "activations" in self._config.keep
        ]
        return table_of(rows, ACTIVATIONS)


def by_document(readings: Sequence[Reading]) -> dict[str, int]:
    """Which reading stands for each document: of several vectors of one the longest text."""
    found: dict[str, int] = {}
    for at, reading in enumerate(readings):
        before = found.get(reading.document.doc_id)
        if before is None or len(reading.text or "") > len(readings[before].text or ""):
            found[reading.document.doc_id] = at
    return found


def planned_rows(config: DecodeConfig, readings: Sequence[Reading]) -> int:
    """How many rows a unit's readings lead to: one per query and sample, one per document without a place."""
    mixer = Mixer(places_of(readings), config.controls, config.seed)
    return sum(map(placeless, readings)) + sum(1 for _ in mixer.planned()) * config.sampling.samples


def keeper_of(config: DecodeConfig) -> Keeper:
    """What decides what is stored. Raises ConfigError."""
    return Keeper(config.store_text, config.text_window, config.redact)


def left_out_rows(config: DecodeConfig, work: Work, keeper: Keeper) -> Iterator[QuarantinedRow]:
    """The planned rows of the documents that no worker survived, each with its document's reason."""
    reasons = {index: keeper.reason(why) for index, why in work.task.skip.items()}
    for index, reason in reasons.items():
        if placeless(work.readings[index]):
            document = work.readings[index].document
            yield QuarantinedRow(document_row_id(document), 0, document.doc_id, None, REAL, reason)
    for planned in Mixer(places_of(work.readings), config.controls, config.seed).planned():
        why = reasons.get(work.reads[planned.place.index].document)
        if why is None:
            continue
        doc_id, position = planned.place.doc_id, planned.place.position
        at = None if position == UNKNOWN else position
        for sample in range(config.sampling.samples):
            yield QuarantinedRow(planned.row_id, sample, doc_id, at, planned.control, why)


def placeless(reading: Reading) -> bool:
    """Whether a document has no position to explain, and so one row of its own."""
    return reading.problem is not None or not (reading.positions or reading.passed_over)
