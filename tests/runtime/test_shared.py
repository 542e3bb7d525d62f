"""Several runs on one runner: each has its own results, errors and end; what is loaded is loaded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from nla_ray.corpus.documents.pieces import UnitSource
from nla_ray.errors import EngineError
from nla_ray.runtime.local import LocalRunner
from nla_ray.runtime.progress import UNNAMED, Labels
from nla_ray.runtime.runner import Runner
from nla_ray.runtime.shared import Shared, StoppedError
from nla_ray.stages.stage import Stage
from nla_ray.stages.work import Failed, Result, Task


def tasks(*units: str) -> list[Task]:
    return [Task(unit, UnitSource(()), 1) for unit in units]


class Loading(Stage):
    """Loads something, unless one beside it has; fails for some units."""

    name = "load"
    loaded: list[str]

    def __init__(self, run: str, loaded: list[str], *, bad: Sequence[str] = ()) -> None:
        self._run, self.loaded, self._bad = run, loaded, bad

    def setup(self) -> None:
        self.loaded.append(self._run)

    def setup_beside(self, other: Loading) -> None:
        assert other is not self

    def __call__(self, task: Task) -> Any:
        if task.unit_id in self._bad:
            raise ValueError(f"{self._run} cannot")
        return Failed(task, f"{self._run} made {task.unit_id}")


def local(stages: Sequence[Stage], labels: Mapping[str, Labels]) -> Runner:
    return LocalRunner(stages)


def flow(
    shared: Shared, run: str, stage: Stage, ask: Sequence[Sequence[Task]], into: list[Any]
) -> Callable[[], None]:
    """Asks for units, one request after the other, and keeps what comes back or what was raised."""

    def made() -> None:
        with shared.member(run, [stage], UNNAMED) as runner:
            try:
                for some in ask:
                    into.append([one.reason for one in runner.stream(some) if isinstance(one, Failed)])
            except EngineError as error:
                into.append(error)

    return made


def test_runs_have_their_own_results_and_one_loads_for_all() -> None:
    shared, loaded = Shared(local), list[str]()
    one, two = list[Any](), list[Any]()
    shared.run(
        [
            flow(shared, "one", Loading("one", loaded), [tasks("a", "b"), tasks("c")], one),
            flow(shared, "two", Loading("two", loaded, bad=["b"]), [tasks("a", "b"), []], two),
        ]
    )
    assert one == [["one made a", "one made b"], ["one made c"]]
    assert two == [["two made a", "ValueError: two cannot"], []]
    assert loaded == ["one"]


def test_what_ends_the_stream_ends_every_run_that_waits_for_it() -> None:
    class Broken(LocalRunner):
        def stream(self, tasks: Sequence[Task]) -> Iterator[Result]:
            yield Failed(tasks[0], "made")
            raise EngineError("the cluster is gone")

    shared = Shared(lambda stages, labels: Broken(stages))
    one, two = list[Any](), list[Any]()
    shared.run(
        [
            flow(shared, "one", Loading("one", []), [tasks("a")], one),
            flow(shared, "two", Loading("two", []), [tasks("a")], two),
        ]
    )
    assert one == [["made"]] and [str(error) for error in two] == ["the cluster is gone"]


def test_an_interrupt_ends_all_runs_as_stopped() -> None:
    class Interrupted(LocalRunner):
        def stream(self, tasks: Sequence[Task]) -> Iterator[Result]:
            raise KeyboardInterrupt
            yield

    shared, found = Shared(lambda stages, labels: Interrupted(stages)), list[Any]()
    with pytest.raises(KeyboardInterrupt):
        shared.run([flow(shared, "one", Loading("one", []), [tasks("a"), tasks("b")], found)])
    assert [type(one) for one in found] == [StoppedError]


def test_a_run_that_asks_for_nothing_holds_nobody_up() -> None:
    shared, found = Shared(local), list[Any]()
    shared.run([lambda: None, flow(shared, "one", Loading("one", []), [tasks("a")], found), lambda: None])
    assert found == [["one made a"]]
