"""What a runner does: units in, results out, in whatever order they are finished."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from nla_ray.errors import EngineError, Exit, NlaError
from nla_ray.runtime.progress import Progress
from nla_ray.stages.stage import Stage
from nla_ray.stages.units.work import Failed, Result, Task, Work
from nla_ray.text import masked

DEVICE_LOST = frozenset({"AcceleratorError"})
"""Errors after which a process can do nothing right any more."""


class DeviceLostError(EngineError):
    """The process that raises it must end; another one may go on."""

    exit_code = Exit.TRY_AGAIN


class Runner(ABC):
    """Runs the same chain of stages over units, again and again until it is closed."""

    say: Callable[[str | None], None] = staticmethod(lambda _: None)
    """Told what the runner does that is no work on units, such as waiting; None: it is over."""

    @abstractmethod
    def stream(self, tasks: Sequence[Task]) -> Iterator[Result]:
        """Results as units are finished. A unit whose workers died has none."""

    def tell(self, now: Progress, run: str = "") -> None:  # noqa: B027 (a runner may be watched by nobody)
        """The run is so far; for whoever watches the runner. `run`: which of several that share it."""

    def __enter__(self) -> Self:
        """Take what is needed."""
        return self

    def __exit__(self, *_: object) -> None:  # noqa: B027 (a runner may take nothing)
        """Give back what was taken."""


def set_up(stage: Stage, beside: Stage | None = None, ahead_of: Sequence[Stage] = ()) -> None:
    """Set a stage up, maybe beside one of its kind or as the first of several.

    Raises NlaError, whatever is wrong: it ends the run.
    """
    try:
        if beside is not None:
            stage.setup_beside(beside)
        else:
            stage.setup_ahead_of(ahead_of)
    except NlaError:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise EngineError(f"stage {stage.name} cannot start: {what}") from error


def attempt(stage: Stage, work: Task | Work | Result) -> Any:
    """One stage over one unit; an exception becomes its result, so that no other unit suffers from it.

    What has a result already keeps it. Raises DeviceLostError.
    """
    if isinstance(work, Result):
        return work
    task = work if isinstance(work, Task) else work.task
    try:
        return stage(work)
    except NlaError as error:
        return Failed(task, str(error), fatal=error)
    except Exception as error:  # noqa: BLE001 (any fault of a unit is that unit's result)
        reason = masked(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        if type(error).__name__ in DEVICE_LOST:
            raise DeviceLostError(f"the device is lost: {reason}; run the same command again") from None
        return Failed(task, reason)
