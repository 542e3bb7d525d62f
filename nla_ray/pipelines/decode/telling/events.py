"""What befalls a run while it is made, as JSON lines beside its tables: one part about every minute."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from nla_ray.errors import Exit, InputError, NlaError
from nla_ray.pipelines.decode.isolate import Stream
from nla_ray.runtime.sharing.shared import StoppedError
from nla_ray.stages.units.work import Done, Failed, Result, Task
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import events_key
from nla_ray.text import masked

PART_S = 60.0
"""A driver that is killed takes with it the events of so many seconds, for on S3 nothing can be added to."""


class Events:
    """The events of one attempt to make a run; `labels` are those of its plan.

    A place that cannot be written to costs events, never the run. Nothing secret is in them; `hidden` takes
    out of reasons what must not be stored.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        labels: Mapping[str, str] | None = None,
        hidden: Callable[[str], str] = str,
    ) -> None:
        self._hidden = hidden
        self._store, self._about = store, {"run": run_id} | dict(labels or {})
        self._attempt = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
        self._lines: list[str] = []
        self._parts = 0
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._write_on, daemon=True)
        self._tried = set[str]()

    def __enter__(self) -> Self:
        """Begin to write."""
        self._thread.start()
        return self

    def __exit__(self, _: object, error: BaseException | None, trace: TracebackType | None) -> None:
        """Say how the attempt ended, where it did not by itself, and write what is left."""
        if isinstance(error, KeyboardInterrupt | StoppedError):
            self.add("interrupted")
        elif isinstance(error, NlaError):
            self.add("error", message=self._hidden(str(error)), exit_code=int(error.exit_code))
        elif error is not None:
            self.add("error", message=type(error).__name__, exit_code=int(Exit.CRASH))
        self._ended.set()
        self._thread.join()
        self._write()

    def add(self, event: str, **facts: object) -> None:
        """Something happened now."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now} | self._about | {"event": event} | facts, ensure_ascii=False)
        with self._lock:
            self._lines.append(masked(line))

    def through(self, stream: Stream) -> Stream:
        """The same stream of units, each of its results an event; what is sent again is said too."""

        def watched(tasks: Sequence[Task]) -> Iterator[Result]:
            for task in tasks:
                self._sent(task)
            for result in stream(tasks):
                self._came(result)
                yield result

        return watched

    def _sent(self, task: Task) -> None:
        if task.only is not None:
            self.add("isolated", unit=task.unit_id, documents=sorted(task.only))
        elif task.unit_id in self._tried:
            self.add("retried", unit=task.unit_id, left_out=len(task.skip))
        self._tried.add(task.unit_id)

    def _came(self, result: Result) -> None:
        if isinstance(result, Failed):
            self.add("failed", unit=result.task.unit_id, reason=self._hidden(result.reason))
        elif isinstance(result, Done) and result.file is not None:
            self.add("done", unit=result.task.unit_id, rows=result.file.rows)

    def _write_on(self) -> None:
        while not self._ended.wait(PART_S):
            self._write()

    def _write(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, []
        if not lines:
            return
        key = events_key(self._about["run"], f"{self._attempt}-{self._parts:05}")
        try:
            self._store.put_new(key, "".join(f"{line}\n" for line in lines).encode())
        except InputError:
            with self._lock:
                self._lines = lines + self._lines
        self._parts += 1
