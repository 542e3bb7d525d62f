"""A Parquet file of a unit: its bytes, and what its footer says about where it belongs."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TypeVar, cast

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from nla_ray.errors import DamagedTablesError, EngineError
from nla_ray.store.places.objects import Store

T = TypeVar("T")

TEXT_COLUMNS = frozenset({"explanation", "explanation_norm", "raw_text", "meta", "reason", "text"})
"""Columns whose values hardly repeat: a dictionary would only cost."""

ENCODINGS = {
    "activation_vector": ("activation_vector.list.element", "BYTE_STREAM_SPLIT"),
    "token_ends": ("token_ends.list.element", "DELTA_BINARY_PACKED"),
}
"""Columns of numbers that compress better so: vectors that were bfloat16 by 23 %, ends of tokens by half."""

ROW_GROUP = 65_536
_TAIL = 65_536
_TRIES = 3
_PREFIX = "nla_ray."
_BLANK = b"0" * 64


class DamagedError(DamagedTablesError):
    """A unit's file is not as its writer wrote it."""


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
class SideFile:
    """A unit's file in a table beside it, as it was when the unit's own file was written."""

    sha256: str
    bytes: int
    rows: int


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
    sides: dict[str, SideFile] = field(default_factory=dict)
    """The unit's file in each table beside it."""
    seal: str = ""
    """Hex sha256 of the file's bytes with 64 zeros in the place of this text."""

    @property
    def whole(self) -> bool:
        """Whether it holds what its writer had planned."""
        return self.planned in (None, self.rows + len(self.quarantined))


def to_bytes(table: pa.Table, facts: Mapping[str, str]) -> bytes:
    """The table as a Parquet file in memory, with `facts` in its metadata. Equal input gives equal bytes.

    Its footer has a seal, which says later whether every byte, its own too, is as it was written: the
    checksums of Parquet cover pages only, and a digest taken later is one of what is there then.
    """
    sink, mark = pa.BufferOutputStream(), secrets.token_hex(32)
    with unit_writer(sink, table.schema, {**facts, "seal": mark}) as writer:
        writer.write_table(table, row_group_size=ROW_GROUP)
    before, _, after = cast(bytes, sink.getvalue().to_pybytes()).rpartition(mark.encode())
    return b"".join((before, _seal(before, after).encode(), after))


def unit_writer(sink: pa.NativeFile, schema: pa.Schema, facts: Mapping[str, str]) -> pq.ParquetWriter:
    """A writer of rows with this schema, and with `facts` in the metadata of its file."""
    names = schema.names
    writer = pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=[name for name in names if name not in TEXT_COLUMNS and name not in ENCODINGS],
        column_encoding=dict(ENCODINGS[name] for name in names if name in ENCODINGS) or None,
        write_page_checksum=True,
    )
    writer.add_key_value_metadata({f"{_PREFIX}{name}": value for name, value in facts.items()})
    return writer


def _seal(before: bytes, after: bytes) -> str:
    found = hashlib.sha256(before)
    found.update(_BLANK)
    found.update(after)
    return found.hexdigest()


def unit_facts(
    plan_sha256: str,
    run_id: str,
    unit_id: str,
    quarantined: Sequence[QuarantinedRow] = (),
    *,
    planned: int | None = None,
    tally: Mapping[str, JsonValue] | None = None,
    sides: Mapping[str, SideFile] | None = None,
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
    beside = {name: asdict(side) for name, side in (sides or {}).items()}
    facts |= {"sides": json.dumps(beside, sort_keys=True)} if beside else {}
    return facts | ({} if planned is None else {"planned": str(planned)})


def read_footer(store: Store, key: str) -> Footer:
    """The footer of a unit file, without reading its rows. Raises DamagedError, FileNotFoundError."""
    return _again(lambda: _footer(store, key))


def _again(read: Callable[[], T]) -> T:
    """What reading gives; an answer may have been spoilt on its way, so what is damaged is read again."""
    for _ in range(_TRIES - 1):
        with suppress(DamagedError):
            return read()
    return read()


def _footer(store: Store, key: str) -> Footer:
    tail = store.tail(key, _TAIL)
    needed = int.from_bytes(tail[-8:-4], "little") + 8
    if len(tail) < needed and tail[-4:] == b"PAR1":
        tail = store.tail(key, needed)
    return _parsed(tail, f"{store.url}/{key}")


def read_whole(store: Store, key: str) -> tuple[Footer, bytes]:
    """The footer and all bytes of a unit file. Raises DamagedError unless they are those that were written.

    Raises FileNotFoundError where it is not there.
    """
    return _again(lambda: _whole(store, key))


def _whole(store: Store, key: str) -> tuple[Footer, bytes]:
    data, name = store.get(key), f"{store.url}/{key}"
    footer = _parsed(data, name)
    before, _, after = data.rpartition(footer.seal.encode() or _BLANK)
    if _seal(before, after) != footer.seal:
        raise DamagedError(f"{name}: was changed after it was written (its seal does not fit)")
    return footer, data


def _parsed(tail: bytes, name: str) -> Footer:
    try:
        metadata = pq.read_metadata(pa.BufferReader(tail))
        facts = {name.decode(): value.decode() for name, value in (metadata.metadata or {}).items()}
        plan, run_id, unit_id, aside, tally = (
            facts[_PREFIX + name] for name in ("plan", "run", "unit", "quarantine", "tally")
        )
        planned = facts.get(f"{_PREFIX}planned")
        return Footer(
            plan,
            run_id,
            unit_id,
            metadata.num_rows,
            tuple(QuarantinedRow(**row) for row in json.loads(aside)),
            None if planned is None else int(planned),
            dict(json.loads(tally)),
            {name: SideFile(**side) for name, side in json.loads(facts.get(f"{_PREFIX}sides", "{}")).items()},
            facts.get(f"{_PREFIX}seal", ""),
        )
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        kind = type(error).__name__
        raise DamagedError(f"{name}: is not a unit's Parquet file ({kind}); move it elsewhere") from None
