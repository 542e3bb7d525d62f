"""Several runs on one runner: each has its own results, errors and end; what is loaded is loaded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from nla_ray.corpus.documents.pieces import Piece, UnitSource
from nla_ray.corpus.files.sources import Source
from nla_ray.errors import CheckpointError, EngineError
from nla_ray.pipelines.decode.run import runner_of
from nla_ray.runtime.local import LocalRunner
from nla_ray.runtime.progress import UNNAMED, Labels
from nla_ray.runtime.runner import Runner
from nla_ray.runtime.sharing.several import Several
from nla_ray.runtime.sharing.shared import Shared, StoppedError
from nla_ray.stages.stage import Stage
from nla_ray.stages.units.work import Failed, Result, Task
from tests.runtime.conftest import Make
from tests.runtime.stages import Echo, Logged, Raising


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


def units(run: str, *places: int) -> list[Task]:
    """A unit of each document; runs have ids of their own for the same ones."""
    source = Source("in.jsonl", "/in.jsonl", "jsonl")
    return [Task(f"{run}{n}", UnitSource((Piece(source, n, 0, 0, 1),)), 1) for n in places]


@pytest.mark.slow
def test_together_units_of_the_same_documents_go_through_one_worker_and_alone_when_tried_again(
    make: Make, one_process: str, tmp_path: Path
) -> None:
    config, log = make(one_process), tmp_path / "log"
    pool = config.runner.pool.model_copy(update={"actors": 2, "cpus": 0.5})
    config = config.model_copy(update={"runner": config.runner.model_copy(update={"pool": pool})})
    shared = Shared(lambda stages, labels: runner_of(config, stages, labels), together=True)

    def flow(run: str, *asked: Sequence[int]) -> Callable[[], None]:
        def made() -> None:
            stages = [Logged(log), Echo(), Echo(), Echo()]
            with shared.member(run, stages, UNNAMED) as runner:
                for places in asked:
                    assert {one.task.unit_id for one in runner.stream(units(run, *places))} == {
                        f"{run}{n}" for n in places
                    }

        return made

    shared.run([flow("one", range(1, 7), [2]), flow("two", (5, 3, 1, 4, 6, 2), [2])])
    lines = [line.split() for line in log.read_text().splitlines()]
    by_worker: dict[str, list[tuple[str, str]]] = {}
    for worker, place, run, together in lines:
        if together == "True":
            by_worker.setdefault(worker, []).append((place, run))
    for found in by_worker.values():
        for (one, first), (other, second) in zip(found[::2], found[1::2], strict=True):
            assert one == other and {first, second} == {"one", "two"}
    assert sum(map(len, by_worker.values())) == 12
    assert sorted(line[1:3] for line in lines if line[3] == "False") == [["2", "one"], ["2", "two"]]


def test_where_the_first_cannot_be_set_up_one_with_other_models_is() -> None:
    loaded = list[str]()
    bad = Raising({}, in_setup=CheckpointError("its file is cut"))
    several = Several("load")
    several.add("a/1", bad, "a")
    several.add("a/2", Loading("a/2", loaded), "a")
    several.add("b/1", Loading("b/1", loaded), "b")
    several.setup()
    assert loaded == ["b/1"]
    alone = Several("load")
    alone.add("a/1", bad, "a")
    with pytest.raises(CheckpointError, match="its file is cut"):
        alone.setup()
