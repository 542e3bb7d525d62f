"""What a step of a job is: light to make and to send, heavy only after `setup`, then called once per unit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from nla_ray.stages.units.work import Done


class Stage(ABC):
    """One step. It can be pickled until `setup`; a runner gives it a process, threads and a device."""

    name: str

    def setup(self) -> None:  # noqa: B027 (many stages need none)
        """Open what the step needs; called once in the process that runs it."""

    def setup_ahead_of(self, others: Sequence[Any]) -> None:
        """The same, where others of its kind may be set up beside it: it can load what serves them too."""
        self.setup()

    def setup_beside(self, other: Any) -> None:
        """The same, beside a stage of its kind that is set up: what is equal need not be loaded twice."""
        self.setup()

    @abstractmethod
    def __call__(self, work: Any) -> Any:
        """Do one unit; what comes out is what the next stage takes."""


class Chain(Stage):
    """Several stages one after the other in one process."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = tuple(stages)
        self.name = "+".join(stage.name for stage in stages)

    def setup(self) -> None:
        """Set up every stage, in order."""
        for stage in self.stages:
            stage.setup()

    def __call__(self, work: Any) -> Any:
        """The unit through all stages, or until one of them says that it is done."""
        for stage in self.stages:
            work = stage(work)
            if isinstance(work, Done):
                break
        return work
