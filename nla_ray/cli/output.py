"""What commands print: untrusted text made harmless, progress, the summary of a run."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Column, Table
from rich.text import Text

from nla_ray.text import printable as printable

if TYPE_CHECKING:
    from nla_ray.pipelines.decode import Decoded, Progress, Report
    from nla_ray.pipelines.planning import Decode
    from nla_ray.pipelines.summary import Summary

PLAIN_INTERVAL_S = 30.0

QUERIES = (
    "SELECT control, count(*) AS n, avg(fve_nrm) AS fve_nrm FROM all_explanations {run} GROUP BY control",
    "SELECT doc_id, position, token, explanation FROM explanations {run} ORDER BY fve_nrm DESC LIMIT 5",
    "SELECT reason, count(*) AS n FROM failures {run} GROUP BY reason ORDER BY n DESC",
)
"""Questions that every run can answer."""


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


class _Lines:
    """Progress for logs; a thread says the last of it again, for a unit may take longer than the interval."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._now: Progress | None = None
        self._at = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def __call__(self, now: Progress) -> None:
        before, self._now = self._now, now
        finished = bool(now.of_units) and now.units >= now.of_units
        if before is None or now.doing != before.doing or finished:
            self._say(now)

    def _beat(self) -> None:
        while not self._ended.wait(1.0):
            if self._now is not None and time.monotonic() - self._at >= PLAIN_INTERVAL_S:
                self._say(self._now)

    def _say(self, now: Progress) -> None:
        self._at = time.monotonic()
        parts = (now.doing, _count(now), _speed(now))
        self._console.out(", ".join(part for part in parts if part), highlight=False)


def _count(now: Progress) -> str:
    if now.of_units:
        return f"{now.units}/{now.of_units} units"
    return f"{now.documents} documents so far" if now.documents else ""


def _speed(now: Progress) -> str:
    """The time left, vectors, their speed, the unclosed share and the fidelity, as far as they are known."""
    made = now.units - now.before
    if not made or not now.seconds:
        return ""
    left = timedelta(seconds=round(now.seconds / made * (now.of_units - now.units)))
    parts = [f"{left} left"] if now.units < now.of_units else []
    parts += [f"{now.vectors} vectors{' with controls' if now.controls else ''}"]
    parts += [f"{now.vectors / now.seconds:.1f}/s"]
    parts += [] if now.unclosed is None else [f"unclosed {now.unclosed:.1%}"]
    parts += [] if now.fve_nrm is None else [f"fve_nrm {now.fve_nrm:.3f}"]
    return ", ".join(parts)


def print_plan(ready: Decode, written: int, seconds: float | None, console: Console) -> None:
    """What a decode would do."""
    survey, rows = ready.survey, [task.planned for task in ready.tasks]
    known = sum(count or 0 for count in rows)
    vectors = "as many as the target's answers have" if survey.vectors is None else f"{survey.vectors:,}"
    _line(console, "run", f"{ready.plan.run_id}, to {ready.config.output}")
    _line(console, "documents", f"{survey.documents:,}, {survey.unusable:,} of them unusable")
    _line(console, "units", f"{len(rows):,}, {written:,} of them written already")
    _line(console, "vectors", f"{vectors}, controls not counted")
    if None not in rows:
        _line(console, "rows", f"{known:,}, controls and samples counted")
        _line(console, "tokens", f"{survey.tokens:,} for the target, {survey.truncated:,} documents cut")
    if seconds is not None:
        _line(console, "estimated time", f"{timedelta(seconds=round(seconds))}, without loading the models")


def print_run(run: Decoded, console: Console) -> None:
    """The summary of a run: outcomes, fidelity beside controls, planted truth, speed, where to ask on."""
    summary, record = run.summary, run.summary.record
    if run.again:
        _line(console, "finished before", f"{record['finished_at']}; nothing was done")
    total = sum(summary.outcomes.values())
    shares = [f"{name} {count} ({count / total:.1%})" for name, count in summary.outcomes.items()]
    vectors = f"{summary.vectors} vectors and {summary.controls} controls"
    _line(console, "documents", f"{summary.documents}, {vectors}, {summary.rows} rows")
    for warning in record["warnings"]:
        _line(console, "warning", warning)
    _line(console, "outcomes of real rows", ", ".join(shares) or "none")
    for reason, count in summary.reasons.items():
        _line(console, "  failed", f"{count} x {reason}")
    if summary.quarantined:
        share = f"{summary.quarantined} rows ({run.failed_fraction:.2%})"
        _line(console, "quarantine", f"{share} that no worker could make; view `failures` says why")
    if summary.flags:
        _line(console, "flags", ", ".join(f"{name} {count}" for name, count in summary.flags.items()))
    _line(console, "speed", speed(record))
    if summary.fidelity:
        baseline = record["baseline"]
        against = f"Var(v_nrm) = {baseline['value']:.4f} of {baseline['reference']}"
        _line(console, "fidelity", f"fve_nrm against {against}")
        console.print(fidelity_table(summary))
    if summary.planted:
        _line(console, "planted truth", "share of explanations that name it where it was shown / of how many")
        console.print(planted_table(summary.planted))
    _line(console, "tables", f"{run.output}, run {run.run_id}")
    console.print(Text("ask them:", "bold"))
    for query in QUERIES:
        of_run = query.format(run=f"WHERE run_id = '{run.run_id}'")
        command = f'  nla-ray sql {shlex.quote(run.output)} "{of_run}"'
        console.print(command, markup=False, highlight=False, soft_wrap=True)


def print_over_budget(run: Decoded, allowed: float, console: Console) -> None:
    """Why the exit code is 3, and what can be done."""
    said = (
        f"{run.failed_fraction:.2%} of the rows are in quarantine, more than max_failed_fraction "
        f"({allowed:.2%}); the run is committed as it is: to try those documents again, mend what the "
        "reasons say and decode into another output"
    )
    _line(console, "failed", said)


def speed(record: Mapping[str, Any]) -> str:
    """How fast the last attempt was and where the time of all went."""
    attempt = record["attempt"]
    busy = ", ".join(f"{name} {spent:.1f}" for name, spent in record["busy_seconds"].items())
    memory = f"{attempt['peak_bytes'] / 2**30:.1f} GiB in workers and driver"
    return f"{attempt['vectors_per_second']:.1f} vectors/s with controls (busy seconds: {busy}), {memory}"


def fidelity_table(summary: Summary) -> Table:
    """Mean `fve_nrm` per control with its interval over documents."""
    table = Table()
    for name in ("injected", "rows", "documents", "mean", "95 % interval over documents"):
        table.add_column(name, justify="left" if name == "injected" else "right")
    for control, found in summary.fidelity.items():
        interval = "" if found.low is None else f"{found.low:.3f} to {found.high:.3f}"
        table.add_row(control, str(found.rows), str(found.documents), f"{found.mean:.3f}", interval)
    return table


def planted_table(planted: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Recall of each planted property, of how many explanations, by control; 80 columns hold it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("property", "prec.", *planted):
        table.add_column(name, justify="left" if name == "property" else "right", no_wrap=True)
    by_control = [{score["prop"]: score for score in scores} for scores in planted.values()]
    for prop, first in by_control[0].items() if by_control else ():
        precision = "" if first["precision"] is None else f"{first['precision']:.1%}"
        table.add_row(prop, precision, *(_share(scores[prop]) for scores in by_control))
    return table


def _share(score: Mapping[str, Any]) -> str:
    return f"{score['recall']:.0%}/{score['n']}" if score["n"] else "-"


def _line(console: Console, name: str, value: str) -> None:
    console.print(Text.assemble((f"{name}: ", "bold"), printable(value)), soft_wrap=True)
