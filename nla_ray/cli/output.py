"""What commands print: untrusted text made harmless, progress, the summary of a run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from nla_ray.text import printable as printable

if TYPE_CHECKING:
    from nla_ray.pipelines.decode import Progress, Report, Run
    from nla_ray.pipelines.summary import Summary

PLAIN_INTERVAL_S = 30.0


@contextmanager
def progress(console: Console) -> Iterator[Report]:
    """A bar on a terminal; elsewhere a line at every change of what is done, and one each 30 s."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("reading the corpus", total=None, speed="")

        def report(now: Progress) -> None:
            bar.update(task, description=now.doing, completed=now.documents, total=now.of, speed=_speed(now))

        yield report


class _Lines:
    """Progress for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._doing = ""
        self._at = time.monotonic()

    def __call__(self, now: Progress) -> None:
        due = time.monotonic() - self._at >= PLAIN_INTERVAL_S
        if now.doing == self._doing and not due and now.documents < now.of:
            return
        self._doing, self._at = now.doing, time.monotonic()
        count = f"{now.documents}/{now.of} documents"
        self._console.out(
            ", ".join(part for part in (now.doing, count, _speed(now)) if part), highlight=False
        )


def _speed(now: Progress) -> str:
    return f"{now.answers / now.seconds:.1f} answers/s" if now.answers and now.seconds else ""


def print_run(run: Run, console: Console) -> None:
    """The summary of a run: outcomes, fidelity beside controls, planted truth, time, where the table is."""
    summary = run.summary
    total = sum(summary.outcomes.values())
    shares = [f"{name} {count} ({count / total:.1%})" for name, count in summary.outcomes.items()]
    _line(console, "documents", f"{summary.documents}, {summary.vectors} vectors, {summary.rows} rows")
    for warning in run.record["warnings"]:
        _line(console, "warning", warning)
    _line(console, "outcomes of real rows", ", ".join(shares) or "none")
    for reason, count in failures(run):
        _line(console, "  failed", f"{count} x {reason}")
    if summary.flags:
        _line(console, "flags", ", ".join(f"{name} {count}" for name, count in summary.flags.items()))
    seconds = ", ".join(f"{name} {spent:.1f}" for name, spent in summary.seconds.items())
    _line(console, "speed", f"{summary.vectors_per_second:.1f} vectors/s (seconds: {seconds})")
    if summary.fidelity:
        baseline = run.record["baseline"]
        against = f"Var(v_nrm) = {baseline['value']:.4f} of {baseline['reference']}"
        _line(console, "fidelity", f"fve_nrm against {against}")
        console.print(fidelity_table(summary))
    if run.record["planted"]:
        _line(console, "planted truth", "share of explanations that name it where it has been shown")
        console.print(planted_table(run.record["planted"]))
    _line(console, "table", str(run.path))


def failures(run: Run, most: int = 5) -> list[tuple[str, int]]:
    """Why rows failed, and how many for each reason, the commonest first."""
    columns = run.table.select(["outcome", "reason"]).to_pydict()
    rows = zip(columns["outcome"], columns["reason"], strict=True)
    return Counter(str(why) for outcome, why in rows if outcome == "failed").most_common(most)


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
    """Recall of each planted property, one column per control."""
    table = Table()
    table.add_column("property")
    table.add_column("precision", justify="right")
    for control in planted:
        table.add_column(control, justify="right")
    by_control = [{score["prop"]: score for score in scores} for scores in planted.values()]
    for prop, first in by_control[0].items() if by_control else ():
        precision = "" if first["precision"] is None else f"{first['precision']:.1%}"
        recalls = [f"{scores[prop]['recall']:.1%}" if scores[prop]["n"] else "-" for scores in by_control]
        table.add_row(prop, precision, *recalls)
    return table


def _line(console: Console, name: str, value: str) -> None:
    console.print(Text.assemble((f"{name}: ", "bold"), printable(value)), soft_wrap=True)
