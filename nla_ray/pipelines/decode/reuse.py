"""Before a decode works: units that other runs in the same place made already are taken from there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from nla_ray.corpus.documents.pieces import read_unit
from nla_ray.corpus.reading.reader import Reading, VectorReader
from nla_ray.pipelines.decode.planning import Decode
from nla_ray.stages.units.tally import reused_tally
from nla_ray.stages.units.work import Task
from nla_ray.stages.write import by_document
from nla_ray.store.catalog.files import FileRecord
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.manifest import get_manifest
from nla_ray.store.runs.reuse import Held, copied, copy_unit, find_held
from nla_ray.store.runs.run import Run
from nla_ray.store.runs.units import RunRef, done_units


def written(ready: Decode, store: Store) -> frozenset[str]:
    """Ids of a decode's units that are written already: of a committed run all, for it may be compacted."""
    if get_manifest(store, ready.plan.run_id) is not None:
        return frozenset(ready.plan.units)
    return done_units(store, RunRef.of(ready.plan))


def held_units(ready: Decode, store: Store) -> Counter[str]:
    """How many of the units that are not written another run holds, by its id; nothing is written."""
    missing = ready.plan.units.keys() - written(ready, store)
    return Counter(held.run_id for held in find_held(store, ready.plan, missing).values())


class Reuse:
    """The units of a run that can be taken from others, found once; `before` are its other written ones."""

    def __init__(self, run: Run, ready: Decode) -> None:
        self._run, self._ready = run, ready
        missing = set(run.missing())
        self.before = len(run.plan.units) - len(missing)
        self.held = find_held(run.store, run.plan, missing)
        self._tasks = {task.unit_id: task for task in ready.tasks if task.unit_id in self.held}

    def files(self) -> Iterator[FileRecord | None]:
        """Take them, in the order of the corpus; None for one that is damaged and must be made after all."""
        held = [self.held[unit_id] for unit_id in self._tasks]
        for _, file in copied(self._run.store, held, self._copy):
            yield file

    def _copy(self, held: Held) -> FileRecord:
        task = self._tasks[held.file.unit_id]

        def says(name: str, table: pa.Table) -> Mapping[str, object]:
            return self._says(task, name, table)

        return copy_unit(self._run.store, self._run.ref, held, says, reused_tally)

    def _says(self, task: Task, name: str, table: pa.Table) -> Mapping[str, object]:
        """What differs between runs that have equal units: their names, and where the documents are."""
        identity = self._ready.identity
        named: dict[str, Any] = {"run_id": identity.run_id}
        if name == "documents":
            places = self._places(task)
            return named | {"source": [places[doc_id] for doc_id in table["doc_id"].to_pylist()]}
        return named | {"target": identity.target, "av": identity.av, "ar": identity.ar}

    def _places(self, task: Task) -> dict[str, str]:
        """Where each document of a unit is in this run's corpus, which must be read for it."""
        config = self._ready.config
        documents = read_unit(task.source, config.corpus, listed=config.positions.column)
        if config.corpus.vectors is None:
            readings = [Reading(document) for document in documents]
        else:
            sizes = self._ready.sidecar.d_model, self._ready.identity.layer
            reader = VectorReader(None, d_model=sizes[0], layer=sizes[1])
            readings = [reader.read(document) for document in documents]
        return {doc_id: documents[at].source for doc_id, at in by_document(readings).items()}
