"""Stages around the real ones in which certain documents do harm; workers import them from here."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nla_ray.stages.stage import Stage
from nla_ray.stages.units.tally import Tally
from nla_ray.stages.units.work import Done, Task, Work


class AcceleratorError(RuntimeError):
    """What torch raises once a device is lost, by name."""


class Faulty(Stage):
    """Another stage, in which a document may `raise`, `exit`, `kill` its process or `lose` its device once.

    Every fault leaves a line in `log`.
    """

    def __init__(self, stage: Stage, faults: Mapping[str, str], log: Path) -> None:
        self._stage, self._faults, self._log = stage, dict(faults), log
        self.name = stage.name

    def setup(self) -> None:
        """Set up the real stage."""
        self._stage.setup()

    def __call__(self, work: Work) -> Any:
        """Do harm if a document that is worked on does, else what the real stage does."""
        for index, reading in enumerate(work.readings):
            if work.task.wants(index):
                self._meet(reading.document.doc_id)
        return self._stage(work)

    def _meet(self, doc_id: str) -> None:
        fault = self._faults.get(doc_id)
        if fault is None or (fault == "lose" and self._log.exists() and doc_id in self._log.read_text()):
            return
        with self._log.open("a") as log:
            log.write(f"{doc_id} {os.getpid()}\n")
        match fault:
            case "exit":
                os._exit(1)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "lose":
                raise AcceleratorError("CUDA error: an illegal memory access was encountered")
        raise RuntimeError(f"cannot stand\n  {doc_id}")


class Elsewhere(Stage):
    """Another stage, in whose process S3 is found by other settings and nothing is asked again for long."""

    def __init__(self, stage: Stage, settings: Mapping[str, str]) -> None:
        self._stage, self._settings = stage, dict(settings)
        self.name = stage.name

    def setup(self) -> None:
        """Change the settings and set up the real stage."""
        from nla_ray.store.places.remote import asking

        os.environ.update(self._settings)
        asking.PATIENCE = 0.2
        self._stage.setup()

    def __call__(self, work: Task) -> Any:
        """What the real stage does."""
        return self._stage(work)


class Echo(Stage):
    """Gives a unit back."""

    name = "echo"

    def __call__(self, work: Task) -> Task:
        """The unit."""
        return work


class Last(Stage):
    """Says that a unit is made; nothing is written."""

    name = "last"

    def __call__(self, work: Task) -> Done:
        """The unit, made."""
        return Done(work, None, Tally())


class Logged(Stage):
    """Writes down which process made which unit of which run, and whether with others."""

    name = "logged"

    def __init__(self, log: Path) -> None:
        self._log = log

    def __call__(self, work: Task) -> Done:
        """The unit, made."""
        with self._log.open("a") as log:
            first = work.source.pieces[0].first
            log.write(f"{os.getpid()} {first} {work.run} {work.together is not None}\n")
        return Done(work, None, Tally())


class Raising(Stage):
    """Raises an error over certain units, or in its set-up."""

    name = "raising"

    def __init__(self, errors: Mapping[str, Exception], *, in_setup: Exception | None = None) -> None:
        self._errors, self._in_setup = dict(errors), in_setup

    def setup(self) -> None:
        """Raise, if it is to be here."""
        if self._in_setup is not None:
            raise self._in_setup

    def __call__(self, work: Task) -> Task:
        """The unit, unless it is one of those."""
        if work.unit_id in self._errors:
            raise self._errors[work.unit_id]
        return work
