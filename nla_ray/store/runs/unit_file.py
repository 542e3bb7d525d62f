"""A Parquet file of a unit: its bytes, and what its footer says about where it belongs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from nla_ray.errors import EngineError, InputError
from nla_ray.store.places.objects import Store

TEXT_COLUMNS = frozenset({"explanation", "explanation_norm", "raw_text", "meta", "reason", "text"})
"""Columns whose values hardly repeat: a dictionary would only cost."""

ENCODINGS = {
    "activation_vector": ("activation_vector.list.element", "BYTE_STREAM_SPLIT"),
    "token_ends": ("token_ends.list.element", "DELTA_BINARY_PACKED"),
}
"""Columns of numbers that compress better so: vectors that were bfloat16 by 23 %, ends of tokens by half."""

ROW_GROUP = 65_536
_TAIL = 65_536
_PREFIX = "nla_ray."


@dataclass(frozen=True)
class QuarantinedRow:
    """A planned row that no worker could make, and why."""

    row_id: str
    sample: int
    doc_id: str
    position: int | None
    control: str
    reason: str


@dataclass(frozen=True)
class Footer:
    """What a unit file says about itself."""

    plan_sha256: str
    run_id: str
    unit_id: str
    rows: int
    quarantined: tuple[QuarantinedRow, ...]
    planned: int | None
    """Rows that the writer had planned; None in a side table's file."""
    tally: dict[str, JsonValue]
    """What the writer counted and measured."""

    @property
    def whole(self) -> bool:
        """Whether it holds what its writer had planned."""
        return self.planned in (None, self.rows + len(self.quarantined))


def to_bytes(table: pa.Table, facts: Mapping[str, str]) -> bytes:
    """The table as a Parquet file in memory, with `facts` in its metadata. Equal input gives equal bytes."""
    sink = pa.BufferOutputStream()
    names = table.schema.names
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=[name for name in names if name not in TEXT_COLUMNS and name not in ENCODINGS],
        column_encoding=dict(ENCODINGS[name] for name in names if name in ENCODINGS) or None,
        write_page_checksum=True,
    ) as writer:
        writer.write_table(table, row_group_size=ROW_GROUP)
        writer.add_key_value_metadata({f"{_PREFIX}{name}": value for name, value in facts.items()})
    return cast(bytes, sink.getvalue().to_pybytes())


def unit_facts(
    plan_sha256: str,
    run_id: str,
    unit_id: str,
    quarantined: Sequence[QuarantinedRow] = (),
    *,
    planned: int | None = None,
    tally: Mapping[str, JsonValue] | None = None,
) -> dict[str, str]:
    """Metadata of a unit's file. Quarantined rows and tally travel in it, so that a unit is one commit.

    Raises EngineError for a tally that is not JSON.
    """
    aside = json.dumps([asdict(row) for row in quarantined], sort_keys=True)
    try:
        counted = json.dumps(dict(tally or {}), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise EngineError(f"unit {unit_id}: its tally is not JSON: {error}") from None
    facts = {"plan": plan_sha256, "run": run_id, "unit": unit_id, "quarantine": aside, "tally": counted}
    return facts | ({} if planned is None else {"planned": str(planned)})


def read_footer(store: Store, key: str) -> Footer:
    """The footer of a unit file, without reading its rows. Raises InputError, FileNotFoundError."""
    tail = store.tail(key, _TAIL)
    needed = int.from_bytes(tail[-8:-4], "little") + 8
    if len(tail) < needed and tail[-4:] == b"PAR1":
        tail = store.tail(key, needed)
    return parse_footer(f"{store.url}/{key}", tail)


def parse_footer(where: str, tail: bytes) -> Footer:
    """The footer at the end of a unit file's bytes. Raises InputError."""
    try:
        metadata = pq.read_metadata(pa.BufferReader(tail))
        facts = {name.decode(): value.decode() for name, value in (metadata.metadata or {}).items()}
        plan, run_id, unit_id, aside, tally = (
            facts[_PREFIX + name] for name in ("plan", "run", "unit", "quarantine", "tally")
        )
        rows = tuple(QuarantinedRow(**row) for row in json.loads(aside))
        counted, planned = dict(json.loads(tally)), facts.get(f"{_PREFIX}planned")
        return Footer(
            plan, run_id, unit_id, metadata.num_rows, rows, None if planned is None else int(planned), counted
        )
    except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
        kind = type(error).__name__
        raise InputError(f"{where}: is not a unit's Parquet file ({kind}); move it elsewhere") from None
