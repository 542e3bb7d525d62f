"""One SELECT of an analyst over committed tables, answered by a process that can change nothing."""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from nla_ray.errors import InputError
from nla_ray.store.sql.committed import LARGE, committed
from nla_ray.store.sql.request import Limits, Request

BUFFER = 1 << 20
GRACE_S = 5.0
_KEPT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZ")
_SPARE = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2"}
"""Allocators that do not reserve address space, which is bounded."""


@dataclass(frozen=True)
class Answer:
    """Columns of an answer, and its rows as they come; what goes wrong on the way is an InputError."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


@contextmanager
def query(
    path: str | Path,
    sql: str,
    limits: Limits | None = None,
    *,
    runs: Collection[str] | None = None,
    labels: Mapping[str, str] = {},
) -> Iterator[Answer]:
    """Answer one SELECT over the tables at a folder or `s3://bucket/prefix`; runs are chosen as by `connect`.

    The process that answers can read the verified files of the tables and nothing else; it ends with the
    context, or at a limit. Raises InputError for anything but one SELECT, for one that DuckDB refuses, and at
    each limit.
    """
    limits = limits or Limits()
    with _process() as process:
        _send(process, request_of(path, sql, limits, runs=runs, labels=labels))
        pipe = _Pipe(_piped(process.stdout).fileno(), limits.seconds)
        with _explained(process, limits):
            stream = pa.ipc.open_stream(io.BufferedReader(pipe, BUFFER))
        yield Answer(stream.schema, _batches(stream, process, limits))


def request_of(
    path: str | Path,
    sql: str,
    limits: Limits,
    *,
    runs: Collection[str] | None = None,
    labels: Mapping[str, str] = {},
) -> Request:
    """The question with all that its process has to know, files verified. Raises as `connect` does.

    Large tables that the question does not name are not fetched.
    """
    without = [
        table for table, needing in LARGE.items() if not any(name in sql.casefold() for name in needing)
    ]
    found = committed(path, runs=runs, labels=labels, without=without)
    files = {table: [str(path.absolute()) for path in paths] for table, paths in found.files.items()}
    return Request(sql, files, found.runs, found.cells, limits)


def _batches(
    stream: pa.RecordBatchReader, process: subprocess.Popen[bytes], limits: Limits
) -> Iterator[pa.RecordBatch]:
    with _explained(process, limits):
        yield from stream
        if process.wait() != 0:
            raise pa.ArrowInvalid("the stream ended early")


@contextmanager
def _process() -> Iterator[subprocess.Popen[bytes]]:
    """The process, which does not outlive the context."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    search = os.pathsep.join(entry for entry in sys.path if entry)
    with subprocess.Popen(
        [sys.executable, "-P", "-S", "-m", "nla_ray.store.sql.fenced"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**kept, **_SPARE, "PYTHONPATH": search},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _send(process: subprocess.Popen[bytes], request: Request) -> None:
    with suppress(BrokenPipeError), _piped(process.stdin) as pipe:
        pipe.write(request.to_json())


class _Pipe(io.RawIOBase):
    """The answer, and the seconds left to wait for it; the time that its reader takes does not count."""

    def __init__(self, descriptor: int, seconds: float) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._left = seconds
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for bytes and read some. Raises TimeoutError once the seconds are over."""
        began = time.monotonic()
        ready = self._poll.poll(max(0.0, self._left) * 1000)
        self._left -= time.monotonic() - began
        if not ready:
            raise TimeoutError
        return os.readv(self._descriptor, [buffer])


@contextmanager
def _explained(process: subprocess.Popen[bytes], limits: Limits) -> Iterator[None]:
    """Say why the stream broke off: what the process said, or what ended it."""
    late = f"sql: no answer within {limits.seconds:g} s; allow more with --timeout"
    try:
        yield
    except TimeoutError:
        raise InputError(late) from None
    except (pa.ArrowException, OSError):
        code = _code(process)
        said = _piped(process.stderr).read().decode(errors="replace").strip()
        if code == -signal.SIGXCPU:
            raise InputError(late) from None
        if code == 1 and said:
            raise InputError(said.splitlines()[-1]) from None
        raise InputError(
            f"sql: its process ended with code {code}, most likely out of memory; allow more with --memory"
        ) from None


def _code(process: subprocess.Popen[bytes]) -> int:
    """How the process ended; it is ended where it has not."""
    with suppress(subprocess.TimeoutExpired):
        return process.wait(GRACE_S)
    process.kill()
    return process.wait()


def _piped(pipe: IO[bytes] | None) -> IO[bytes]:
    """The pipe that was asked for."""
    if pipe is None:
        raise ValueError("the process was started without this pipe")
    return pipe
