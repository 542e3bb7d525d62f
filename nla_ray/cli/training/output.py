"""What `nla-ray train` prints: how far it is, what it measured, what came out."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from nla_ray.cli.output import PLAIN_INTERVAL_S
from nla_ray.text import printable

if TYPE_CHECKING:
    from nla_ray.config.training.train import TrainConfig
    from nla_ray.pipelines.train.estimate import Plan
    from nla_ray.pipelines.train.run import TrainedPair
    from nla_ray.training.loop.learner import Metrics
    from nla_ray.training.loop.metrics import Progress, Report

STARTING = "starting"


@contextmanager
def showing(console: Console) -> Iterator[Report]:
    """A bar per stage on a terminal; elsewhere a line for what is done, and for steps one each 30 s.

    Measurements have lines of their own.
    """
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[now]}"))
    with Bar(*columns, console=console) as bar:
        bars = _Bars(bar)
        try:
            yield bars
        finally:
            bars.hide_start()


class _Bars:
    """Progress for a terminal."""

    def __init__(self, bar: Bar) -> None:
        self._bar, self._before = bar, set[tuple[str, int]]()
        self._tasks: dict[str, TaskID] = {"": bar.add_task(STARTING, total=None, now="")}

    def __call__(self, now: Progress) -> None:
        if not now.stage:
            self._bar.update(self._tasks[""], description=now.doing)
            return
        self.hide_start()
        for line in lasting(now, self._before):
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        if now.stage not in self._tasks:
            self._tasks[now.stage] = self._bar.add_task(now.stage, now="")
        count = f"{now.step}/{now.steps} " if now.steps else ""
        said = count + (now.doing or speed(now))
        self._bar.update(self._tasks[now.stage], total=now.steps or None, completed=now.step, now=said)

    def hide_start(self) -> None:
        """What was done before the first stage is over."""
        self._bar.update(self._tasks[""], visible=False)


class _Lines:
    """Progress for logs."""

    def __init__(self, console: Console) -> None:
        self._console, self._at, self._before = console, 0.0, set[tuple[str, int]]()
        self._doing = ("", STARTING)
        self._say(STARTING)

    def __call__(self, now: Progress) -> None:
        for line in lasting(now, self._before):
            self._say(line)
        stage = f"{now.stage}: " if now.stage else ""
        before, self._doing = self._doing, (now.stage, now.doing)
        if now.doing and self._doing != before:
            self._say(stage + now.doing)
        elif self._due(now):
            self._at = time.monotonic()
            self._say(f"{stage}step {now.step}/{now.steps}, {speed(now)}")

    def _due(self, now: Progress) -> bool:
        taken = bool(now.metrics) and not now.held_out
        return taken and (now.step == now.steps or time.monotonic() - self._at >= PLAIN_INTERVAL_S)

    def _say(self, line: str) -> None:
        self._console.out(line, highlight=False)


def lasting(now: Progress, told: set[tuple[str, int]]) -> Iterator[str]:
    """Lines that stay: where a stage goes on from, once each, and what was just measured."""
    if now.before and (now.stage, now.before) not in told:
        told.add((now.stage, now.before))
        done = now.before == now.steps
        yield f"{now.stage}: {'trained before' if done else f'going on from step {now.before}'}"
    if now.held_out:
        yield f"{now.stage}: {measured(now.held_out)} at step {now.step}"


def measured(held_out: Metrics) -> str:
    """Held-out fidelity beside that against other vectors."""
    fve, shuffled = held_out["fve_nrm"], held_out["shuffled"]
    return f"held-out fve_nrm {fve:.3f}, shuffled {shuffled:.3f}, gap {fve - shuffled:.3f}"


def speed(now: Progress) -> str:
    """Loss of the last step, seconds a step, tokens a second, time left; as far as they are known."""
    parts = [f"loss {now.metrics['loss']:.3f}"] if "loss" in now.metrics else []
    if now.seconds_per_step is not None:
        parts.append(f"{now.seconds_per_step:.2f} s/step")
    if now.tokens_per_second is not None:
        parts.append(f"{now.tokens_per_second:,.0f} tokens/s")
    if now.seconds_left is not None and now.step < now.steps:
        parts.append(f"{timedelta(seconds=round(now.seconds_left))} left")
    return ", ".join(parts)


def stopped(config: TrainConfig) -> str:
    """What an interrupted training left, in one line."""
    from nla_ray.store.places.tree import Tree
    from nla_ray.training.saved.records import newest

    found = newest(Tree(config.output), config.stages.chosen)
    if found is None:
        return "stopped before the first checkpoint; run the same command again to start over"
    stage, step = found
    at = f"the newest checkpoint is at step {step} of stage {stage}"
    return f"stopped; {at}; run the same command again to go on"


def print_plan(plan: Plan, console: Console) -> None:
    """What would be trained, on what, and about how much work it is."""
    config = plan.config
    for said in (*map(_dropped, plan.dropped, plan.dropped.values()), *plan.warnings):
        _line(console, "warning", said)
    _line(
        console,
        "target",
        f"{config.target or 'not named'}, layer {plan.layer}, {plan.d_model} values a vector",
    )
    _line(console, "runs on", plan.device)
    for name, rows, documents in plan.splits:
        used = f", at most {config.held_out.rows} of them measured" if name == "held_out" else ""
        _line(console, f"split {name}", f"{rows:,} rows of {documents:,} documents{used}")
    for work in plan.work:
        if work.done:
            _line(console, f"stage {work.stage}", "trained before")
            continue
        most = "at most " if work.stage == "rl" else "about "
        _line(
            console,
            f"stage {work.stage}",
            f"{work.steps:,} steps, {work.rows:,} rows in all, {work.parameters:,} parameters, "
            f"{most}{work.tokens:,} tokens, {work.flops:.1e} FLOPs without measurements",
        )
    if config.report is not None:
        said = f"on at most {config.report.vectors} held-out vectors, {config.report.samples} answers to each"
        _line(console, "report", said)
    if plan.newest is not None and not all(work.done for work in plan.work):
        _line(console, "goes on", "from step {1} of stage {0}".format(*plan.newest))
    _line(console, "output", f"{config.output}; nothing was written")


def print_pair(found: TrainedPair, config: TrainConfig, console: Console) -> None:
    """What came out: fidelity of each stage beside its shuffled control, and where the pair is."""
    if found.again:
        rest = "; nothing was done" if found.idle else ""
        console.print(f"trained before{rest}", highlight=False)
    for said in (*map(_dropped, found.dropped, found.dropped.values()), *found.warnings):
        _line(console, "warning", said)
    _line(console, "fidelity", f"fve_nrm against {found.baseline}")
    console.print(table_of(found))
    for one in found.stages:
        if one.ratio is not None:
            said = f"{one.ratio:.4f} over the last steps; 1: what is sampled is what is trained"
            _line(console, "importance ratio", said)
    for role, place in (("verbalizer", found.av), ("reconstructor", found.ar)):
        if place is not None:
            _line(console, role, place)
    if found.av is not None and found.ar is not None:
        target = [] if config.target is None else ["--target", str(config.target)]
        _line(console, "check it", shlex.join(["nla-ray", "check", found.av, found.ar, *target]))
    if found.report is not None:
        _line(console, "report", f"{found.report}: {found.verdict}")
    if found.uploaded is not None:
        _line(console, "uploaded", found.uploaded)


def table_of(found: TrainedPair) -> Table:
    """What was measured at the best step of each stage; 80 columns hold it."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    names = ("stage", "best at", "rows", "documents", "fve_nrm", "95 % interval", "shuffled", "gap", "loss")
    for name in names:
        table.add_column(name, justify="left" if name == "stage" else "right")
    for one in found.stages:
        measured = one.held_out
        fve, shuffled, loss = (measured.get(name) for name in ("fve_nrm", "shuffled", "loss"))
        gap = None if fve is None or shuffled is None else fve - shuffled
        ends = [f"{measured[name]:.3f}" for name in ("fve_nrm_low", "fve_nrm_high") if name in measured]
        counts = [str(int(measured[name])) if name in measured else "-" for name in ("rows", "documents")]
        table.add_row(
            one.stage, f"{one.best_step}/{one.steps}", *counts, _shown(fve), " to ".join(ends) or "-",
            *(_shown(number) for number in (shuffled, gap, loss)),
        )  # fmt: skip
    return table


def _shown(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"


def _dropped(split: str, rows: int) -> str:
    return f"{rows} rows of {split} cannot be used (no text, or no usable vector)"


def _line(console: Console, name: str, value: str) -> None:
    console.print(Text.assemble((f"{name}: ", "bold"), printable(value)), soft_wrap=True)
