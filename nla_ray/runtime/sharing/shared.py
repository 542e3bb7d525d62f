"""One runner for several runs with the same models: their units go through the same workers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from queue import SimpleQueue

from nla_ray.corpus.documents.pieces import UnitSource
from nla_ray.errors import EngineError
from nla_ray.runtime.progress import Labels, Progress
from nla_ray.runtime.runner import Runner
from nla_ray.runtime.sharing.several import Several
from nla_ray.stages.one_pass import shares_of
from nla_ray.stages.stage import Stage
from nla_ray.stages.units.work import Result, Task

Flow = Callable[[], None]
"""What makes one run: it plans, streams its units through a `Member`, and commits. It raises nothing."""

Open = Callable[[Sequence[Stage], Mapping[str, Labels]], Runner]
"""Makes the runner over stages that serve these runs."""


@dataclass(frozen=True)
class Pass:
    """A pass over a model up to the output of a block, see `shares_of`."""

    model: Hashable
    layer: int


_STOPPED = "stopped: what is written stays; run the same command again"
STOP_S = 10.0
"""A flow that is told to stop has so long to end by itself."""


class StoppedError(EngineError):
    """The runs that share a runner are ended from outside."""


@dataclass
class _Request:
    """Units that a flow waits for; the answers end with None, or with an error."""

    run: str
    tasks: Sequence[Task]
    again: bool
    """Whether the run had asked before: these failed then."""
    answers: SimpleQueue[Result | BaseException | None] = field(default_factory=SimpleQueue)


class Shared:
    """Runs flows together. What they ask for is streamed at once, when every one of them waits or has ended.

    Flows begin one after the other, each in a thread of its own; the stream runs in the caller's thread. With
    `together`, units of the same documents go through one worker, one run's after the other's.
    """

    def __init__(self, opened: Open, *, together: bool = False) -> None:
        self._open, self._together = opened, together
        self._stages: list[Several] = []
        self._labels: dict[str, Labels] = {}
        self._passes: dict[str, Pass] = {}
        self._members: list[Member] = []
        self._runner: Runner | None = None
        self._changed = threading.Condition()
        self._requests: list[_Request] = []
        self._asked: set[str] = set()
        self._busy = 0
        self._stopped = False

    def member(
        self,
        run: str,
        stages: Sequence[Stage],
        labels: Labels,
        models: Hashable = None,
        over: Pass | None = None,
    ) -> Runner:
        """The runner of one run, for its flow; `run` tells the runs apart, for `models` see `Several`.

        `over` is the pass that its units need, whose time is shared out where several need it.
        """
        if not self._stages:
            self._stages = [Several(stage.name) for stage in stages]
        for several, stage in zip(self._stages, stages, strict=True):
            several.add(run, stage, models)
        self._labels[run] = labels
        if over is not None:
            self._passes[run] = over
        self._members.append(member := Member(self, run))
        return member

    def run(self, flows: Sequence[Flow]) -> None:
        """Make all runs. Raises what ends the stream from outside, such as KeyboardInterrupt."""
        threads = [threading.Thread(target=self._flow, args=(flow,), daemon=True) for flow in flows]
        try:
            for thread in threads:
                self._busy += 1
                thread.start()
                self._wait()
            while self._wait():
                self._serve()
        except BaseException:
            self.stop()
            for thread in threads:
                if thread.ident is not None:
                    thread.join(STOP_S)
            raise

    def ask(self, run: str, tasks: Sequence[Task]) -> Iterator[Result]:
        """The results of some units, for a flow."""
        named = [replace(task, run=run, together=None, share=1.0) for task in tasks]
        with self._changed:
            if self._stopped:
                raise StoppedError(_STOPPED)
            request = _Request(run, named, run in self._asked)
            self._asked.add(run)
            self._requests.append(request)
            self._busy -= 1
            self._changed.notify_all()
        while (answer := request.answers.get()) is not None:
            if isinstance(answer, BaseException):
                raise answer
            yield answer

    def tell(self, run: str, now: Progress) -> None:
        """A run is so far."""
        if self._runner is not None:
            self._runner.tell(now, run)

    def _say(self, said: str | None) -> None:
        """What the runner does besides its work, it does for every run."""
        for member in self._members:
            member.say(said)

    def _flow(self, flow: Flow) -> None:
        try:
            flow()
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def _wait(self) -> bool:
        """Until no flow is busy; whether one of them waits for units."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy)
            return bool(self._requests)

    def _serve(self) -> None:
        """Stream what was asked for; a run whose units are all back goes on while others wait."""
        with self._changed:
            requests, self._requests = self._requests, []
        by_run = {request.run: request for request in requests}
        left = Counter({request.run: len(request.tasks) for request in requests})
        tasks = in_order(requests, self._passes if self._together else None)
        error: BaseException | None = None
        try:
            for result in self._stream(tasks):
                if self._stopped:
                    raise StoppedError(_STOPPED)
                run = result.task.run
                by_run[run].answers.put(result)
                left[run] -= 1
                if not left[run]:
                    self._answer(by_run.pop(run), None)
        except Exception as raised:  # noqa: BLE001 (every flow raises it in its own place)
            error = raised
        except BaseException:
            error = StoppedError(_STOPPED)
            raise
        finally:
            for request in by_run.values():
                self._answer(request, error)

    def _stream(self, tasks: Sequence[Task]) -> Iterator[Result]:
        runner = self._open(self._stages, self._labels)
        runner.say = self._say
        with runner as self._runner:
            yield from self._runner.stream(tasks)

    def _answer(self, request: _Request, end: BaseException | None) -> None:
        """Let a flow go on."""
        with self._changed:
            self._busy += 1
        request.answers.put(end)

    def stop(self) -> None:
        """End all flows from another thread, as soon as the unit that is worked on is done."""
        with self._changed:
            self._stopped = True
            requests, self._requests = self._requests, []
        for request in requests:
            self._answer(request, StoppedError(_STOPPED))


def in_order(requests: Sequence[_Request], passes: Mapping[str, Pass] | None = None) -> list[Task]:
    """What is asked for, run by run, or with `passes` (by run) source by source.

    A unit that failed stands alone when it is tried again: no other run's may be lost with it.
    """
    by_source: dict[UnitSource, list[Task]] = {}
    others: list[Task] = []
    for request in requests:
        for task in request.tasks:
            if passes is not None and not request.again:
                by_source.setdefault(task.source, []).append(task)
            else:
                others.append(task)
    groups = [_shared_out(tasks, passes or {}) for tasks in by_source.values()]
    return [replace(task, together=n) for n, tasks in enumerate(groups) for task in tasks] + others


def _shared_out(tasks: Sequence[Task], passes: Mapping[str, Pass]) -> list[Task]:
    """Units of the same documents, each with its share of the pass over its model."""
    shares: dict[str, float] = {}
    runs = [task.run for task in tasks if task.run in passes]
    for model in {passes[run].model for run in runs}:
        of_model = [run for run in runs if passes[run].model == model]
        shares |= zip(of_model, shares_of([passes[run].layer for run in of_model]), strict=True)
    return [replace(task, share=shares.get(task.run, 1.0)) for task in tasks]


class Member(Runner):
    """One run's part of a shared runner."""

    def __init__(self, shared: Shared, run: str) -> None:
        self._shared, self._run = shared, run

    def stream(self, tasks: Sequence[Task]) -> Iterator[Result]:
        """See Runner."""
        if tasks:
            yield from self._shared.ask(self._run, tasks)

    def tell(self, now: Progress, run: str = "") -> None:
        """See Runner."""
        self._shared.tell(self._run, now)
