"""Several runs at one step of one runner: a unit goes to the stage of its run, models are loaded once."""

from __future__ import annotations

from typing import Any

from nla_ray.runtime.runner import set_up
from nla_ray.stages.stage import Stage
from nla_ray.stages.work import Task


class Several(Stage):
    """Stages by the name of their run; those that are set up later share what the first has loaded."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._stages: dict[str, Stage] = {}
        self._ready: list[str] = []

    def add(self, run: str, stage: Stage) -> None:
        """One more run."""
        self._stages[run] = stage

    def setup(self) -> None:
        """Set up the first run's stage, and with it load the models."""
        if not self._ready:
            self._stage(next(iter(self._stages)))

    def __call__(self, work: Any) -> Any:
        """The unit through the stage of its run."""
        return self._stage((work if isinstance(work, Task) else work.task).run)(work)

    def _stage(self, run: str) -> Stage:
        stage = self._stages[run]
        if run not in self._ready:
            set_up(stage, self._stages[self._ready[0]] if self._ready else None)
            self._ready.append(run)
        return stage
