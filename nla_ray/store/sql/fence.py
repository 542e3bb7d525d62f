"""The process that answers an analyst's SELECT: it reads the tables' files, writes none, and is sure to end.

`main` takes a request as JSON on its standard input; it answers with an Arrow IPC stream on its standard
output, or with one line on its standard error. It is started by `fenced`; the other side is `store.query`.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import duckdb
import pyarrow as pa

from nla_ray.errors import InputError
from nla_ray.store.parquet import OFFLINE
from nla_ray.store.sql.readonly import SCHEME, ReadOnlyFiles
from nla_ray.store.sql.request import Limits, Request
from nla_ray.store.sql.views import add_views

BATCH_ROWS = 2048
SLACK_BYTES = 512 << 20
"""Address space beside DuckDB's memory: threads, the allocators' reserves, a batch on its way out."""
SLACK_SECONDS = 5
MESSAGE_LENGTH = 1000


def main() -> None:
    """Answer the request on standard input and leave at once: there is nothing to tidy up."""
    code, out = 0, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with suppress(BrokenPipeError):
        try:
            answer(Request.from_json(sys.stdin.buffer.read()), out)
        except InputError as error:
            code = 1
            sys.stderr.write(f"{str(error)[:MESSAGE_LENGTH]}\n")
            sys.stderr.flush()
        out.flush()
    os._exit(code)


def answer(request: Request, out: BinaryIO) -> None:
    """Write the answer. Raises InputError where there is none and where it passes a limit."""
    with explained(request.limits):
        connection = closed(request)
        bound(request.limits)
        send(connection, request, out)


def send(connection: duckdb.DuckDBPyConnection, request: Request, out: BinaryIO) -> None:
    """Write the answer of a connection as an Arrow IPC stream."""
    reader = connection.sql(one_select(connection, request.sql)).to_arrow_reader(BATCH_ROWS)
    with pa.ipc.new_stream(out, reader.schema) as stream:
        _copy(reader, stream, request.limits)


@contextmanager
def explained(limits: Limits) -> Iterator[None]:
    """What DuckDB and Arrow raise, as an InputError of one line."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (duckdb.Error, pa.ArrowException, MemoryError, OSError) as error:
        if isinstance(error, MemoryError) or "Out of Memory" in str(error):
            memory = _size(limits.memory)
            raise InputError(f"sql: needs more than {memory} of memory; allow more with --memory") from None
        raise InputError(f"sql: {_message(error)}") from None


def closed(request: Request) -> duckdb.DuckDBPyConnection:
    """The connection of `nla_ray.store.connect`, which reads the files of the request and has no way out."""
    paths = {
        f"{table}/{number}": Path(path)
        for table, files in request.files.items()
        for number, path in enumerate(files)
    }
    names = {
        table: [f"{SCHEME}://{table}/{number}" for number in range(len(files))]
        for table, files in request.files.items()
    }
    connection = duckdb.connect(config=OFFLINE)
    connection.register_filesystem(ReadOnlyFiles(paths))
    add_views(connection, names, request.runs, request.cells)
    connection.execute(
        "SET allowed_paths = $urls", {"urls": [url for urls in names.values() for url in urls]}
    )
    connection.execute(f"SET memory_limit = '{request.limits.memory}B'")
    connection.execute(f"SET threads = {request.limits.threads}")
    connection.execute(CLOSED)
    return connection


CLOSED = """
SET temp_directory = '';
SET python_enable_replacements = false;
SET disabled_filesystems = 'LocalFileSystem';
SET enable_external_access = false;
SET lock_configuration = true;
"""


def bound(limits: Limits) -> None:
    """Bound this process; none of it can be taken back."""
    _limit(resource.RLIMIT_CPU, int(limits.seconds * limits.threads) + SLACK_SECONDS)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    if sys.platform == "linux":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _limit(resource.RLIMIT_AS, used + limits.memory + SLACK_BYTES)


def _limit(kind: int, most: int) -> None:
    """Lower one limit of this process for good; for CPU, a signal comes a second before the end."""
    _, hard = resource.getrlimit(kind)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (max(least - 1, 0), least))


def one_select(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    """The one SELECT in `sql`, parsed. Raises InputError for none, several or another kind of statement."""
    statements = connection.extract_statements(sql)
    kinds = [statement.type.name for statement in statements]
    # DuckDB 1 takes such a PIVOT apart, into statements without a text of their own.
    if kinds == ["MULTI"] or not all(statement.query for statement in statements):
        raise InputError("sql: PIVOT has to name its values here: PIVOT ... ON x IN ('a', 'b') USING ...")
    if not kinds:
        raise InputError("sql: is empty; write one SELECT, such as FROM runs")
    if kinds != ["SELECT"]:
        found = ", ".join(_OTHERWISE.get(kind, kind) for kind in kinds)
        more = "name a file with -o" if kinds == ["COPY"] else "use nla_ray.store.connect for more"
        raise InputError(f"sql: found {found} where exactly one SELECT belongs; {more}")
    return statements[0]


_OTHERWISE = {"LOAD": "LOAD or INSTALL"}
"""What DuckDB's parser calls by one name."""


def _copy(reader: pa.RecordBatchReader, stream: pa.RecordBatchWriter, limits: Limits) -> None:
    """Hand the answer on, as long as it is within its limits."""
    rows = size = 0
    for batch in reader:
        room = limits.max_rows - rows
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if size > limits.max_bytes:
            raise InputError(
                f"sql: the answer has more than {_size(limits.max_bytes)}; allow more with --max-bytes"
            )
        stream.write_batch(batch.slice(0, room))
        if rows > limits.max_rows:
            raise InputError(
                f"sql: the answer has more than {limits.max_rows} rows; allow more with --max-rows"
            )


def _size(number: int) -> str:
    from pydantic import ByteSize

    return ByteSize(number).human_readable(decimal=True)


def _message(error: Exception) -> str:
    """What DuckDB says, without the drawing that follows it."""
    if isinstance(error, duckdb.PermissionException) or "PermissionError" in str(error):
        return "a SELECT reads the tables and no other file, and writes none"
    said = str(error).split("\n\n")[0]
    if isinstance(error, duckdb.CatalogException) and "Table with name" in said:
        return said.partition("\n")[0] + " SHOW TABLES lists those that do."
    return said
