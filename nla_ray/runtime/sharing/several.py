"""Several runs at one step of one runner: a unit goes to the stage of its run, models are loaded once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from nla_ray.errors import NlaError
from nla_ray.runtime.runner import set_up
from nla_ray.stages.stage import Stage
from nla_ray.stages.units.work import Task


class Several(Stage):
    """Stages by the name of their run; those that are set up later share what one before has loaded."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._stages: dict[str, Stage] = {}
        self._models: dict[str, Hashable] = {}
        self._ready: list[str] = []

    def add(self, run: str, stage: Stage, models: Hashable = None) -> None:
        """One more run; runs of equal `models` need the same ones."""
        self._stages[run] = stage
        self._models[run] = models

    def setup(self) -> None:
        """Set up the first run's stage, and with it load the models.

        Where that cannot be, the first run with other models takes its place. Raises the first error where
        all of them fail.
        """
        errors: dict[Hashable, NlaError] = {}
        for run, models in self._models.items():
            if models not in errors:
                try:
                    self._stage(run)
                    return
                except NlaError as error:
                    errors[models] = error
        raise next(iter(errors.values()))

    def __call__(self, work: Any) -> Any:
        """The unit through the stage of its run."""
        return self._stage((work if isinstance(work, Task) else work.task).run)(work)

    def _stage(self, run: str) -> Stage:
        stage = self._stages[run]
        if run not in self._ready:
            if self._ready:
                models = self._models[run]
                alike = [one for one in self._ready if self._models[one] == models]
                set_up(stage, beside=self._stages[[*alike, *self._ready][0]])
            else:
                set_up(stage, ahead_of=[one for other, one in self._stages.items() if other != run])
            self._ready.append(run)
        return stage
