"""The rows of an export: committed ones of chosen runs, `fve_nrm` filled in, in one order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa

import nla_ray
from nla_ray.errors import InputError, NoFileError
from nla_ray.exports.record import TABULAR, Choice, ExportedRun, Request
from nla_ray.store import connect, open_store
from nla_ray.store.runs.manifest import committed_runs
from nla_ray.store.runs.plan import some_of
from nla_ray.store.sql.committed import LARGE
from nla_ray.store.sql.fence import closed
from nla_ray.store.sql.request import Limits
from nla_ray.store.sql.request import Request as Question
from nla_ray.tables import SCHEMAS

EXPLANATIONS, DOCUMENTS, ACTIVATIONS = "explanations", "documents", "activations"
BATCH_ROWS = 2048
MEMORY = "4GB"
"""Rows that are sorted take this much; the rest of them waits in temporary files."""

_KEYS = {DOCUMENTS: "doc_id", ACTIVATIONS: "row_id"}
_ORDERS = {
    EXPLANATIONS: "run_id, doc_id, position NULLS FIRST, control, row_id, sample",
    DOCUMENTS: "run_id, doc_id, unit_id, source",
    ACTIVATIONS: "run_id, doc_id, n_raw_tokens NULLS FIRST, row_id, unit_id",
}


@dataclass(frozen=True)
class Selection:
    """Rows to export. `picked` is a view of the explanations that the condition leaves."""

    connection: duckdb.DuckDBPyConnection
    request: Request

    def read(self, sql: str, **parameters: object) -> pa.RecordBatchReader:
        """The answer of a SELECT, in batches."""
        return self.connection.sql(sql, params=parameters).to_arrow_reader(BATCH_ROWS)

    def table(self, name: str) -> Iterator[pa.RecordBatch]:
        """The rows of a whole table, sorted, with exactly the columns of its schema.

        Below a null lies what the memory held before; taking the rows puts zeros there, so that the same rows
        are the same bytes.
        """
        schema = SCHEMAS[name]
        for batch in self.read(f"{_rows_of(name, self.request.where)} ORDER BY {_ORDERS[name]}"):
            yield batch.select(schema.names).cast(schema).take(pa.array(range(len(batch))))

    def left_out(self, reasons: Mapping[str, str]) -> dict[str, int]:
        """How many rows of `picked` each of these conditions takes away, the first that applies.

        Raises InputError where none is left.
        """
        cases = " ".join(f"WHEN {condition} THEN '{reason}'" for reason, condition in reasons.items())
        why = f"CASE {cases} END" if cases else "NULL"
        found = self.connection.execute(
            f"SELECT {why} AS why, count(*) FROM picked GROUP BY why ORDER BY why"
        ).fetchall()
        counts = {reason: number for reason, number in found if reason is not None}
        if len(counts) == len(found):
            gone = ", ".join(f"{number} {reason}" for reason, number in counts.items())
            raise InputError(f"--format {self.request.format}: has no place for any of the rows: {gone}")
        return counts


@contextmanager
def selected(tables: str, choice: Choice) -> Iterator[Selection]:
    """What `choice` means of the tables at a folder or `s3://bucket/prefix`.

    Raises InputError: nothing is committed, an unknown run, a condition that is none; also for what goes
    wrong while its rows are read.
    """
    if choice.where is not None:
        require_condition(choice.where)
    wanted = wanted_tables(choice)
    connection = connect(
        tables, runs=chosen_runs(tables, choice.runs), without=[name for name in LARGE if name not in wanted]
    )
    with TemporaryDirectory(prefix="nla-ray-export-") as spill, explained(tables):
        connection.execute("SET temp_directory = $spill", {"spill": spill})
        connection.execute("SET memory_limit = $memory", {"memory": MEMORY})
        rows = connection.view("all_explanations")
        (rows if choice.where is None else rows.filter(choice.where)).create_view("picked")
        yield Selection(connection, _request(connection, tables, choice, wanted))
        connection.close()


def wanted_tables(choice: Choice) -> tuple[str, ...]:
    """Tables that the format takes, if there are such rows."""
    if choice.format not in TABULAR:
        return (EXPLANATIONS,)
    return (EXPLANATIONS, DOCUMENTS, *([ACTIVATIONS] if choice.activations else []))


def chosen_runs(tables: str, asked: Collection[str]) -> list[str] | None:
    """Ids of the committed runs that are asked for by id or beginning; None for all."""
    names = committed_runs(open_store(tables)) if asked else []
    return [_run(name, names) for name in asked] if names else None


def _run(asked: str, names: list[str]) -> str:
    found = [asked] if asked in names else [name for name in names if name.startswith(asked)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"--runs {asked}: begins the ids of {len(found)} runs ({some_of(found, 3)})")
    raise NoFileError(
        f'--runs {asked}: no committed run has this id; list them with nla-ray sql TABLES "FROM runs"'
    )


def require_condition(where: str) -> None:
    """Raise InputError for what is no condition on a row of `all_explanations`.

    It is tried on empty tables, behind the fence: a condition reads no file and changes nothing.
    """
    nowhere = closed(Question("", {name: [] for name in SCHEMAS}, [], [], Limits()))
    rows = nowhere.view("all_explanations")
    try:
        rows.filter(where).fetchall()
        kind = str(rows.project(where).types[0])
    except (duckdb.Error, OSError) as error:
        raise InputError(f"--where: {where!r} is no condition on a row: {_first_line(error)}") from None
    if kind != "BOOLEAN":
        raise InputError(f"--where: {where!r} is {kind} and no condition; compare it with something")


def _rows_of(table: str, where: str | None) -> str:
    """A table's rows; where there is a condition, those that picked explanations belong to."""
    if table == EXPLANATIONS:
        return "FROM picked"
    return f"FROM {table}" + ("" if where is None else f" SEMI JOIN picked USING (run_id, {_KEYS[table]})")


def _request(
    connection: duckdb.DuckDBPyConnection, tables: str, choice: Choice, wanted: Collection[str]
) -> Request:
    """The request, with those of the wanted tables that have rows."""
    runs = connection.execute(
        """SELECT run_id, manifest_sha256, rows, quarantined, finished_at FROM runs
        WHERE table_name = 'explanations' ORDER BY run_id"""
    ).fetchall()
    there = [
        name for name in wanted if connection.execute(f"{_rows_of(name, choice.where)} LIMIT 1").fetchall()
    ]
    if EXPLANATIONS not in there:
        asked = "" if choice.where is None else f" with {choice.where}"
        raise InputError(
            f"{tables}: no row{asked} in {len(runs)} runs of explanations; there is nothing to export"
        )
    if choice.activations and ACTIVATIONS not in there:
        raise InputError(f"{tables}: no vectors were kept for these rows; leave --activations out")
    return Request(
        nla_ray=nla_ray.__version__,
        format=choice.format,
        delta=choice.delta,
        tables=tuple(there),
        where=choice.where,
        runs=tuple(
            ExportedRun(
                run_id=run_id,
                manifest_sha256=sha256,
                rows=rows,
                quarantined=aside,
                finished_at=finished and finished.replace(tzinfo=UTC).isoformat(),
            )
            for run_id, sha256, rows, aside, finished in runs
        ),
    )


@contextmanager
def explained(name: str) -> Iterator[None]:
    """What DuckDB and Arrow raise while rows are read, as an InputError of one line."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, MemoryError) as error:
        raise InputError(f"{name}: cannot read the rows: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return str(error).split("\n\n")[0]
