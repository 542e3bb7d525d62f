"""`nla-ray demo-train`: make the demo pair again, from nothing."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from nla_ray.cli.output import PLAIN_INTERVAL_S
from nla_ray.cli.settings import local_file

DEFAULT_OUT = "out/demo-pair"


class Steps(StrEnum):
    """How long to train."""

    full = "full"
    small = "small"


def demo_train_command(
    out: Annotated[str, typer.Option("--out", help="Empty or new folder for the pair.")] = DEFAULT_OUT,
    steps: Annotated[Steps, typer.Option("--steps", help="full: the shipped pair, in hours.")] = Steps.full,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of weights and batches.")] = 0,
) -> None:
    """Train the demo target, AV and AR on the planted world, measure them, and write their model card."""
    from nla_ray.demo.recipe.train import RECIPES, train_pair
    from nla_ray.errors import InputError

    folder = local_file("--out", out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{out}: exists and is not an empty folder; give another with --out")
    folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    with _Bars(console) as bars:
        train_pair(folder, RECIPES[steps.value], seed=seed, progress=bars.report)
    console.print(f"pair: {out}  card: {folder / 'README.md'}", markup=False, highlight=False, soft_wrap=True)


class _Bars:
    """A bar per stage on a terminal, else a line every 30 s and at the end of each stage."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, TextColumn("loss {task.fields[loss]:.3f}"), console=console)
        self._tasks: dict[str, TaskID] = {}
        self._said = time.monotonic()

    def __enter__(self) -> _Bars:
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def report(self, stage: str, step: int, steps: int, loss: float) -> None:
        """Show that `stage` has done `step` of `steps`."""
        if self._console.is_terminal:
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(stage, total=steps, loss=loss)
            self._bars.update(self._tasks[stage], completed=step, loss=loss)
        elif step == steps or time.monotonic() - self._said >= PLAIN_INTERVAL_S:
            self._said = time.monotonic()
            self._console.print(f"{stage}: step {step}/{steps}, loss {loss:.3f}", highlight=False)
