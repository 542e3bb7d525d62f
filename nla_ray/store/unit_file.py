"""One unit's Parquet file: its bytes, and what its footer says about where it belongs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.errors import InputError
from nla_ray.store.objects import Store

TEXT_COLUMNS = frozenset({"explanation", "explanation_norm", "raw_text", "meta", "reason"})
"""Columns whose values hardly repeat: a dictionary would only cost."""

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


def to_bytes(table: pa.Table, facts: Mapping[str, str]) -> bytes:
    """The table as a Parquet file in memory, with `facts` in its metadata. Equal input gives equal bytes."""
    marked = {f"{_PREFIX}{name}": value for name, value in facts.items()}
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **marked})
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=3,
        row_group_size=ROW_GROUP,
        use_dictionary=[name for name in table.schema.names if name not in TEXT_COLUMNS],
        write_page_checksum=True,
    )
    return cast(bytes, sink.getvalue().to_pybytes())


def unit_facts(
    plan_sha256: str, run_id: str, unit_id: str, quarantined: Sequence[QuarantinedRow]
) -> dict[str, str]:
    """Metadata of a unit file. Quarantined rows travel in it, so that a unit is one object."""
    aside = json.dumps([asdict(row) for row in quarantined], sort_keys=True)
    return {"plan": plan_sha256, "run": run_id, "unit": unit_id, "quarantine": aside}


def read_footer(store: Store, key: str) -> Footer:
    """The footer of a unit file, without reading its rows. Raises InputError, FileNotFoundError."""
    tail = store.tail(key, _TAIL)
    needed = int.from_bytes(tail[-8:-4], "little") + 8
    if len(tail) < needed and tail[-4:] == b"PAR1":
        tail = store.tail(key, needed)
    try:
        metadata = pq.read_metadata(pa.BufferReader(tail))
        facts = metadata.metadata or {}
        plan, run_id, unit_id, aside = (
            facts[f"{_PREFIX}{name}".encode()].decode() for name in ("plan", "run", "unit", "quarantine")
        )
        rows = tuple(QuarantinedRow(**row) for row in json.loads(aside))
    except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
        kind = type(error).__name__
        raise InputError(
            f"{store.url}/{key}: is not a unit's Parquet file ({kind}); move it elsewhere"
        ) from None
    return Footer(plan, run_id, unit_id, metadata.num_rows, rows)
