"""A unit of activations to their explanations: the rows of its base table that are to be explained."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.providers.provider import Place, Provider, Said
from nla_ray.stages.stage import Stage
from nla_ray.stages.units.tally import Tally
from nla_ray.stages.units.work import Done, Task
from nla_ray.store.places.files import opened
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.units import RunRef, write_unit
from nla_ray.tables.training import EXPLAINED

SPLITS_KEY = "splits.parquet"
COLUMNS = ["doc_id", "n_raw_tokens", "detokenized_text_truncated", "token", "tail", "meta"]


class ExplainStage(Stage):
    """Asks a provider about the rows of a unit whose documents are in the splits that need explanations."""

    name = "explain"

    def __init__(
        self, provider: Provider, splits: Collection[str], store: Store, base: RunRef, ref: RunRef
    ) -> None:
        self._provider, self._splits = provider, frozenset(splits)
        self._store, self._base, self._ref = store, base, ref

    def setup(self) -> None:
        """Open the provider, and read which document is in which split."""
        self._provider.setup()
        self._split_of = read_splits(self._store)

    def __call__(self, task: Task) -> Done:
        """Explain and write. Raises NlaError, BudgetError; answers that came by then are kept."""
        tally = Tally()
        with tally.timed("explain"):
            rows, places = self._wanted(task)
            said = dict(self._provider.explain(places, task.unit_id))
        table = pa.table(
            {
                "row": pa.array(rows, pa.int32()),
                "api_explanation": pa.array([said[at].text for at in range(len(rows))], pa.string()),
                "reason": pa.array([said[at].reason for at in range(len(rows))], pa.string()),
            },
            schema=EXPLAINED,
        )
        tally.vectors = len(rows)
        counts = counts_of([said[at] for at in range(len(rows))])
        tally.generated = counts["tokens"]
        file = write_unit(self._store, self._ref, task.unit_id, table, planned=None, tally=counts)
        return Done(task, file, tally)

    def _wanted(self, task: Task) -> tuple[list[int], list[Place]]:
        table = read_unit_table(self._store, self._base, task.unit_id, COLUMNS)
        found = [
            (index, row)
            for index, row in enumerate(table.to_pylist())
            if self._split_of[row["doc_id"]] in self._splits
        ]
        return [index for index, _ in found], [place_of(row) for _, row in found]


def place_of(row: Mapping[str, Any]) -> Place:
    """A row of a base table, as a provider sees it."""
    tokens = row["n_raw_tokens"]
    return Place(
        row["doc_id"],
        None if tokens is None else tokens - 1,
        row["detokenized_text_truncated"],
        row["token"],
        row["tail"],
        json.loads(row["meta"] or "{}"),
    )


def counts_of(said: Sequence[Said]) -> dict[str, Any]:
    """What became of a unit's rows, and what was paid."""
    dropped = Counter(one.reason for one in said if one.text is None)
    return {
        "explained": sum(one.text is not None for one in said),
        "dropped": {str(reason): count for reason, count in dropped.items()},
        "requests": sum(one.requests for one in said),
        "tokens": sum(one.tokens for one in said),
        "asked_again": sum(one.again for one in said),
    }


def read_unit_table(
    store: Store, ref: RunRef, unit_id: str, columns: Sequence[str] | None = None
) -> pa.Table:
    """A unit's table, or some of its columns: then no others are fetched."""
    key = ref.key(unit_id)
    if columns is None:
        return pq.read_table(pa.BufferReader(store.get(key)))
    with opened(store.place(key)) as file:
        return pq.ParquetFile(file).read(columns=columns)


def read_splits(store: Store) -> dict[str, str]:
    """The split of every document by its id."""
    table = pq.read_table(pa.BufferReader(store.get(SPLITS_KEY)), columns=["doc_id", "split"])
    return dict(zip(table["doc_id"].to_pylist(), table["split"].to_pylist(), strict=True))
