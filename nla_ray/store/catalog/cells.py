"""Which run is that of a cell now: the latest that was committed for it, or assigned to it since.

A cell is named by all labels of `CELL`, and has a run of explanations and an audit. One run may be that of
several cells, for labels are no part of what it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from nla_ray.errors import ConfigError
from nla_ray.store.catalog.index import Assignment, Known, known_runs
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import cell_key, cell_of
from nla_ray.store.runs.manifest import Manifest
from nla_ray.store.upkeep.ended import require_open

CELL = ("sweep", "week", "model", "corpus", "layer")
"""Labels that name a cell of a sweep."""
OF_CELLS = ("explanations", "rates")
"""Tables of which a cell has a run."""


@dataclass(frozen=True)
class Called:
    """A run under one set of labels, and which later run has its place in that cell."""

    run_id: str
    labels: Mapping[str, str]
    superseded_by: str | None = None

    def labelled(self, labels: Mapping[str, str]) -> bool:
        """Whether all these labels are among its own."""
        return labels.items() <= self.labels.items()


def called(known: Known, gone: Container[str] = ()) -> dict[str, list[Called]]:
    """What every run is called by, the latest last; of a cell that it was given twice, once.

    `gone` are runs without their rows, which are those of no cell: a cell that was given one while it was
    retired has the run that it had.

    The order is that of commits and assignments, not of clocks; of two that did not know each other the
    greater run id is the later one. What was committed without labels that name a whole cell stands for
    itself: it is superseded by nobody, whatever cells it is given.
    """
    tables = {one.run_id: one.table_name for one in known.entries}
    there = (one for one in _assignments(known) if one.run_id not in gone)
    every = sorted(there, key=lambda one: (one.order, one.run_id))
    latest = {cell: one for one in every if (cell := _cell(one, tables[one.run_id]))}
    found = defaultdict[str, dict[tuple[object, ...], Called]](dict)
    for one in every:
        cell = _cell(one, tables[one.run_id])
        by = latest[cell].run_id if cell else one.run_id
        name: tuple[object, ...] = cell or tuple(sorted(one.labels.items()))
        found[one.run_id].pop(name, None)
        found[one.run_id][name] = Called(one.run_id, one.labels, None if by == one.run_id else by)
    return {run_id: list(cells.values()) for run_id, cells in found.items()}


def superseded_runs(named: Mapping[str, list[Called]]) -> dict[str, str]:
    """Runs that no cell needs any more, and by which run each was superseded last."""
    return {
        run_id: by
        for run_id, cells in named.items()
        if (by := cells[-1].superseded_by) and all(one.superseded_by for one in cells)
    }


def assign(store: Store, committed: Manifest, labels: Mapping[str, str]) -> None:
    """Make a committed run that of the cell with these labels, unless it is; other labels change nothing.

    Raises ConfigError for a label that cannot be a piece of a key, InputError where the run was retired
    meanwhile: `collect.remove` looks at assignments after it has said so.
    """
    if not labels.keys() >= set(CELL):
        return
    known, run_id = known_runs(store), committed.run_id
    if any(one.labels == labels and not one.superseded_by for one in called(known).get(run_id, ())):
        return
    key = cell_key(labels, known.next_order(), run_id)
    if cell_of(key) is None:
        raise ConfigError(
            f"{store.url}: run {run_id} cannot be that of {dict(labels)}: a label is up to 128 letters, "
            "digits, '.', '_' and '-', a layer is a number"
        )
    store.put_new(key, b"{}")
    require_open(store, run_id)


def _assignments(known: Known) -> Iterator[Assignment]:
    for one in known.entries:
        yield Assignment(one.run_id, one.labels, one.commit_order)
    yield from known.assigned


def _cell(one: Assignment, table: str) -> tuple[str, ...]:
    """What names the cell; nothing where it is of none."""
    whole = table in OF_CELLS and one.labels.keys() >= set(CELL)
    return (table, *(one.labels[label] for label in CELL)) if whole else ()
