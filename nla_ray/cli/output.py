"""What commands share when they print: untrusted text made harmless, and progress."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Column

from nla_ray.text import masked, printable

if TYPE_CHECKING:
    from nla_ray.config.reading.corpus import Corpus
    from nla_ray.pipelines.decode.run import Progress
    from nla_ray.pipelines.decode.telling.meter import Report

PLAIN_INTERVAL_S = 30.0
SHORT_ID = 8


def say_what_is_not_read(corpus: Corpus, console: Console, *, quiet: bool = False) -> None:
    """A line for each reason why something beside the files of a corpus is not read; none if `quiet`.

    Raises InputError where there is no file.
    """
    from nla_ray.corpus.files.sources import find_files

    left_out = find_files(corpus).left_out()
    for line in () if quiet else left_out:
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def stoppable(output: str) -> Iterator[None]:
    """Where the block is interrupted, a line says what stays and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        said = f"stopped; what is written stays in {output}; run the same command again to go on"
        typer.echo(printable(said), err=True)
        raise


@contextmanager
def progress(console: Console) -> Iterator[Report]:
    """A bar on a terminal; elsewhere a line at every change of what is done, and one each 30 s."""
    if not console.is_terminal:
        with _Lines(console) as lines:
            yield lines
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[speed]}", table_column=Column()),  # wraps where the others would be cut
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("reading the corpus", total=None, count="", speed="")

        def report(now: Progress) -> None:
            of, count, speed = now.of_units or None, _count(now), _speed(now)
            bar.update(task, description=now.doing, completed=now.units, total=of, count=count, speed=speed)

        yield report


class Steady(ABC):
    """Lines of a log; a thread says the last again where nothing was said for an interval."""

    def __init__(self, console: Console) -> None:
        self._console, self._at = console, time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _out(self, line: str) -> None:
        self._at = time.monotonic()
        self._console.out(line, highlight=False)

    def _beat(self) -> None:
        while not self._ended.wait(min(1.0, PLAIN_INTERVAL_S)):
            if time.monotonic() - self._at >= PLAIN_INTERVAL_S:
                self.repeat()

    @abstractmethod
    def repeat(self) -> None:
        """Say the last again, if anything was said."""


class _Lines(Steady):
    """Progress of a run, whose units may take longer than the interval."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._now: Progress | None = None

    def __call__(self, now: Progress) -> None:
        before, self._now = self._now, now
        finished = bool(now.of_units) and now.units >= now.of_units
        if before is None or now.doing != before.doing or finished:
            self.repeat()

    def repeat(self) -> None:
        """See Steady; as far as the run is now."""
        if (now := self._now) is not None:
            self._out(stamped(line_of(now), now.run[:SHORT_ID], now.cell))


def stamped(line: str, *about: str) -> str:
    """A line of a log: the time (UTC), what it is about, and what it says, harmless and without secrets."""
    parts = (f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", *about, line)
    return printable(masked(" ".join(part for part in parts if part)))


def line_of(now: Progress) -> str:
    """Where a run is, in a line."""
    return ", ".join(part for part in (now.doing, _count(now), _speed(now)) if part)


def _count(now: Progress) -> str:
    if now.of_units:
        return f"{now.units}/{now.of_units} units"
    return f"{now.documents} documents so far" if now.documents else ""


def _speed(now: Progress) -> str:
    """The time left, vectors, their speed, slots in use, unclosed and fidelity, as far as they are known."""
    made = now.units - now.before
    if not made or not now.seconds:
        return ""
    left = timedelta(seconds=round(now.seconds / made * (now.of_units - now.units)))
    parts = [f"{left} left"] if now.units < now.of_units else []
    parts += [f"{now.vectors} vectors{' with controls' if now.controls else ''}"]
    parts += [f"{now.vectors / now.seconds:.1f}/s"]
    parts += [] if now.slot_use is None else [f"slots {now.slot_use:.0%} in use"]
    parts += [] if now.unclosed is None else [f"unclosed {now.unclosed:.1%}"]
    parts += [] if now.fve_nrm is None else [f"fve_nrm {now.fve_nrm:.3f}"]
    return ", ".join(parts)
