"""A decode as a process of its own, forked from one that has loaded the libraries already."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.faults.harm import Harm, decode_with

LOADED = [
    "nla_ray.cli.decode.command",
    "nla_ray.pipelines.decode.run",
    "nla_ray.pipelines.decode.estimate",
    "nla_ray.stages.score",
    "nla_ray.store.places.remote.s3",
    "tests.faults.harm",
    "tests.runtime.stages",
]
PATIENCE_S = 600.0

_FORKED = get_context("forkserver")
_FORKED.set_forkserver_preload(LOADED)


@dataclass(frozen=True)
class Command:
    """`decode CONFIG [KEY=VALUE]...` in an environment; `harm` is in its stages, `log` is what it says."""

    config: Path
    overrides: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    harm: Harm | None = None

    def start(self) -> Job:
        """Begin it."""
        process = _FORKED.Process(target=_run, args=(self,))
        process.start()
        return Job(process, self.log)


@dataclass(frozen=True)
class Job:
    """A decode under way."""

    process: ForkServerProcess
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        pid = self.process.pid
        assert pid is not None
        return pid

    def signal(self, number: int) -> None:
        """Send it a signal, if it runs still."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def ended(self) -> int:
        """Its exit code, below zero for a signal that it did not survive; it is killed after ten minutes."""
        self.process.join(PATIENCE_S)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise TimeoutError(f"the decode did not end in {PATIENCE_S:.0f} s:\n{self.said()}")
        return self.process.exitcode

    def said(self) -> str:
        """What it printed so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def _run(command: Command) -> None:
    """In the child: become the command."""
    os.setsid()
    with command.log.open("ab") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    os.environ.clear()
    os.environ.update(command.environment)
    if command.harm is not None:
        decode_with(command.harm, command.config, command.overrides)
    _leave(lambda: _decode([str(command.config), *command.overrides]))


def _decode(arguments: Sequence[str]) -> None:
    from nla_ray.cli import app
    from nla_ray.cli.entry import run

    run(app, ["decode", *arguments])


def _leave(act: Callable[[], None]) -> None:
    """Do it and leave with its exit code, whatever the process was forked from."""
    code: object = 0
    try:
        act()
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)
