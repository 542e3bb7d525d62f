"""`nla-ray train`: a verbalizer and a reconstructor from a training set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from nla_ray.cli.output import PLAIN_INTERVAL_S, printable

if TYPE_CHECKING:
    from nla_ray.pipelines.train import TrainedPair
    from nla_ray.training.metrics import Progress, Report

Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="For example stages.sft_av.steps=100.")
]


def train_command(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="YAML file; see schemas/train.schema.json.")
    ],
    overrides: Overrides = None,
) -> None:
    """Train a pair: warm start of the reconstructor, of the verbalizer, then both together.

    The same command goes on where it was interrupted. Exits 2 when an input is not usable, 1 when joint
    training stopped at a guard.
    """
    from nla_ray.config.load import load
    from nla_ray.config.train import TrainConfig
    from nla_ray.errors import InputError
    from nla_ray.store.files import NoFileError, expand

    settings = load(TrainConfig, config, overrides or ())
    for name, url in settings.splits.items():
        try:
            expand(url)
        except NoFileError:
            raise InputError(
                f"{url}: there is no split {name} here; make a training set that has one with "
                f"`nla-ray training-set`, or name another in data.path or data.{name}"
            ) from None
    if settings.upload is not None:
        from nla_ray.pipelines.train_upload import require_token

        require_token()
    from nla_ray.pipelines.train import train

    console = Console()
    with showing(console) as report:
        found = train(settings, report)
    print_pair(found, console)


@contextmanager
def showing(console: Console) -> Iterator[Report]:
    """A bar per stage on a terminal; elsewhere a line each 30 s, and at every new measurement."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, TextColumn("{task.fields[speed]}"), console=console) as bar:
        tasks: dict[str, TaskID] = {}

        def report(now: Progress) -> None:
            if now.stage not in tasks:
                tasks[now.stage] = bar.add_task(now.stage, total=now.steps, speed="")
            bar.update(tasks[now.stage], completed=now.step, speed=said(now))

        yield report


class _Lines:
    """Progress for logs."""

    def __init__(self, console: Console) -> None:
        self._console, self._at, self._measured = console, 0.0, dict[str, float]()

    def __call__(self, now: Progress) -> None:
        fresh = now.held_out != self._measured
        if fresh or now.step == now.steps or time.monotonic() - self._at >= PLAIN_INTERVAL_S:
            self._at, self._measured = time.monotonic(), now.held_out
            self._console.out(f"{now.stage}: step {now.step}/{now.steps}, {said(now)}", highlight=False)


def said(now: Progress) -> str:
    """Loss, held-out fidelity, seconds a step, tokens a second, time left; as far as they are known."""
    parts = [f"loss {now.metrics['loss']:.3f}"] if "loss" in now.metrics else []
    if "fve_nrm" in now.held_out:
        parts.append(f"fve_nrm {now.held_out['fve_nrm']:.3f}")
    if now.seconds_per_step is not None:
        parts.append(f"{now.seconds_per_step:.2f} s/step")
    if now.tokens_per_second is not None:
        parts.append(f"{now.tokens_per_second:,.0f} tokens/s")
    if now.seconds_left is not None and now.step < now.steps:
        parts.append(f"{timedelta(seconds=round(now.seconds_left))} left")
    return ", ".join(parts)


def print_pair(found: TrainedPair, console: Console) -> None:
    """What came out: fidelity of each stage beside its shuffled control, and where the pair is."""
    for split, rows in found.dropped.items():
        _line(console, "warning", f"{rows} rows of {split} cannot be used (no text, or no usable vector)")
    _line(console, "fidelity", f"fve_nrm against {found.baseline}")
    table = Table()
    for name in ("stage", "steps", "best at", "fve_nrm", "shuffled", "loss", "gap"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for one in found.stages:
        numbers = (one.held_out.get(name) for name in ("fve_nrm", "shuffled", "loss", "gap"))
        shown = ["-" if number is None else f"{number:.3f}" for number in numbers]
        table.add_row(one.stage, str(one.steps), str(one.best_step), *shown)
    console.print(table)
    for role, place in (("verbalizer", found.av), ("reconstructor", found.ar)):
        if place is not None:
            _line(console, role, place)
    if found.av is not None and found.ar is not None:
        _line(console, "check it", f"nla-ray check {found.av} {found.ar}")
    if found.uploaded is not None:
        _line(console, "uploaded", found.uploaded)


def _line(console: Console, name: str, value: str) -> None:
    console.print(Text.assemble((f"{name}: ", "bold"), printable(value)), soft_wrap=True)
