"""Units that fail: tried again, halved until the documents at fault are known, never without end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from nla_ray.corpus.documents.pieces import UnitSource
from nla_ray.errors import EngineError, InputError
from nla_ray.pipelines.decode.isolate import DIED, PATIENCE, isolate, retry
from nla_ray.stages.units.tally import Tally
from nla_ray.stages.units.work import Done, Failed, Result, Task


class Workers:
    """Workers that certain documents (unit, index) harm: `dies` leaves no result, any other text is a reason.

    `passing` errors of a unit come that often and then no more.
    """

    def __init__(
        self, harm: dict[tuple[str, int], str], passing: dict[str, list[str | Exception]] | None = None
    ) -> None:
        self.harm, self.passing = harm, passing or {}
        self.streams: list[list[Task]] = []

    def __call__(self, tasks: Sequence[Task]) -> Iterator[Result]:
        self.streams.append(list(tasks))
        for task in tasks:
            if self.passing.get(task.unit_id):
                error = self.passing[task.unit_id].pop()
                fatal = error if isinstance(error, Exception) else None
                yield Failed(task, str(error), fatal=fatal)
                continue
            harm = [
                self.harm[task.unit_id, index]
                for index in range(task.documents)
                if task.wants(index) and (task.unit_id, index) in self.harm
            ]
            if "dies" not in harm:
                yield Failed(task, harm[0]) if harm else Done(task, None, Tally())


def units(n: int, documents: int = 8) -> list[Task]:
    return [Task(f"u{index}", UnitSource(()), documents) for index in range(n)]


def drain(
    tasks: Sequence[Task], workers: Workers, *, allowed: float = 99, alone: bool = False
) -> dict[str, dict[int, str]]:
    """What was left out of each unit, after every one came back exactly once."""
    done = list(isolate(tasks, workers, allowed=allowed, alone=alone))
    assert Counter(one.task.unit_id for one in done) == dict.fromkeys((task.unit_id for task in tasks), 1)
    assert all(one.task.only is None for one in done)
    return {one.task.unit_id: dict(one.task.skip) for one in done}


def test_what_only_failed_once_is_made_whole() -> None:
    workers = Workers({}, passing={"u0": ["a passing fault"]})
    failed = retry(units(2), workers)
    assert [one.task.unit_id for one in iter(lambda: next(failed, None), None)] == ["u1"]
    assert drain(units(1), workers) == {"u0": {}}
    assert len(workers.streams) == 2


@pytest.mark.parametrize("documents", [1, 2, 3, 8, 13])
def test_the_documents_at_fault_are_found_and_no_others(documents: int) -> None:
    harm = {("u0", documents - 1): "dies", ("u1", 0): "ValueError: no", ("u1", documents // 2): "OSError: no"}
    left_out = drain(units(3, documents), Workers(harm))
    assert left_out["u0"] == {documents - 1: DIED} and left_out["u2"] == {}
    assert left_out["u1"].keys() == {0, documents // 2}
    assert left_out["u1"][0] in ("ValueError: no", "OSError: no")


def test_halving_asks_for_no_document_twice_at_once_and_ends_soon() -> None:
    workers = Workers({("u0", 5): "dies"})
    assert drain(units(1, 16), workers) == {"u0": {5: DIED}}
    trials = [task for stream in workers.streams for task in stream if task.only is not None]
    assert len(trials) == 2 * 4 and [len(one) for one in workers.streams if one] == [1, 2, 2, 2, 2, 1]


def test_beyond_what_is_allowed_nothing_is_halved_any_more() -> None:
    harm = {(f"u{unit}", index): "dies" for unit in range(3) for index in range(8)}
    workers = Workers(harm)
    left_out = drain(units(3), workers, allowed=0)
    assert {unit: len(reasons) for unit, reasons in left_out.items()} == {"u0": 8, "u1": 8, "u2": 8}
    patient = Workers(harm)
    drain(units(3), patient)
    assert len(workers.streams) <= len(patient.streams)


def test_a_unit_whose_halves_are_sound_but_not_the_whole_is_too_much_at_once() -> None:
    class Together(Workers):
        def __call__(self, tasks: Sequence[Task]) -> Iterator[Result]:
            for task in tasks:
                if all(task.wants(index) for index in range(task.documents)):
                    yield Failed(task, "MemoryError: together")
                else:
                    yield Done(task, None, Tally())

    with pytest.raises(EngineError, match=r"MemoryError: together; lower corpus.unit_documents"):
        drain(units(1, 4), Together({}))


@pytest.mark.parametrize("number", [1, 4])
def test_sick_workers_end_the_run_and_poison_in_every_unit_does_not(number: int) -> None:
    tasks = units(number, 2)
    sick = {(task.unit_id, index): "dies" for task in tasks for index in range(2)}
    with pytest.raises(EngineError, match=f"any document of {number} units: its worker died twice"):
        drain(tasks, Workers(sick), allowed=0.1, alone=True)
    assert drain(tasks, Workers(sick), allowed=0.1).keys() == {task.unit_id for task in tasks}
    poison = {(task.unit_id, 0): "dies" for task in tasks}
    assert drain(tasks, Workers(poison), alone=True) == {task.unit_id: {0: DIED} for task in tasks}


def test_what_fails_even_when_nothing_is_wanted_of_it_ends_the_run() -> None:
    class Never(Workers):
        def __call__(self, tasks: Sequence[Task]) -> Iterator[Result]:
            yield from (Failed(task, "OSError: disk") for task in tasks)

    with pytest.raises(EngineError, match="unit u0 fails even with its documents left out: OSError: disk"):
        drain(units(1), Never({}))


def test_an_error_that_ends_the_run_may_pass_a_few_times_at_first_and_never_in_a_trial() -> None:
    def passing(times: int) -> Workers:
        return Workers({}, {f"u{index}": [InputError("the store does not answer")] for index in range(times)})

    failed = retry(units(5), passing(PATIENCE), patience=PATIENCE)
    assert len([*failed]) == 5 - PATIENCE
    with pytest.raises(InputError, match="does not answer"):
        list(retry(units(5), passing(PATIENCE + 1), patience=PATIENCE))
    with pytest.raises(InputError, match="does not answer"):
        drain(units(2), passing(1))


def test_the_units_that_failed_come_back_from_retry() -> None:
    workers = Workers({("u1", 3): "dies", ("u2", 0): "ValueError: no"})
    run, done = retry(units(3), workers), []
    while True:
        try:
            done.append(next(run).task.unit_id)
        except StopIteration as end:
            reasons = {unit: reason for unit, (_, reason) in end.value.items()}
            break
    assert done == ["u0"] and reasons == {"u1": DIED, "u2": "ValueError: no"}
