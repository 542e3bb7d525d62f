"""The runner of this process: one unit after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nla_ray.runtime.runner import Runner, attempt, set_up
from nla_ray.stages.stage import Chain, Stage
from nla_ray.stages.units.work import Result, Task


class LocalRunner(Runner):
    """Sets the stages up when the first unit comes."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._chain = Chain(stages)
        self._ready = False

    def stream(self, tasks: Sequence[Task]) -> Iterator[Result]:
        """See Runner."""
        if tasks and not self._ready:
            set_up(self._chain)
            self._ready = True
        for task in tasks:
            yield attempt(self._chain, task)
