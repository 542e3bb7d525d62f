"""One attempt at one unit: exceptions become results, and a process whose device is lost ends."""

from __future__ import annotations

import pytest

from nla_ray.corpus.documents.pieces import UnitSource
from nla_ray.errors import ConfigError, EngineError, InputError
from nla_ray.runtime.runner import DeviceLostError, attempt, set_up
from nla_ray.stages.stage import Chain
from nla_ray.stages.units.work import Failed, Task
from tests.runtime.stages import AcceleratorError, Echo, Raising

TASK = Task("u", UnitSource(()), 1)


def test_what_comes_out_is_what_the_stage_made() -> None:
    assert attempt(Echo(), TASK) is TASK


def test_an_exception_is_the_result_of_its_unit() -> None:
    found = attempt(Raising({"u": RuntimeError("on\n several   lines " + "x" * 1000)}), TASK)
    assert isinstance(found, Failed) and found.fatal is None and found.task is TASK
    assert found.reason.startswith("RuntimeError: on several lines xxx") and len(found.reason) < 350


def test_an_error_of_ours_says_that_it_ends_the_run() -> None:
    error = InputError("the corpus has changed")
    assert attempt(Raising({"u": error}), TASK) == Failed(TASK, "the corpus has changed", fatal=error)


def test_what_failed_before_is_handed_on() -> None:
    failed = Failed(TASK, "earlier")
    assert attempt(Raising({"u": RuntimeError("never called")}), failed) is failed


def test_an_interrupt_is_nobodys_result() -> None:
    class Interrupted(Echo):
        def __call__(self, work: Task) -> Task:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(Interrupted(), TASK)


def test_whatever_is_wrong_with_a_set_up_is_an_error_of_ours() -> None:
    set_up(Echo())
    with pytest.raises(ConfigError, match=r"^as it is$"):
        set_up(Raising({}, in_setup=ConfigError("as it is")))
    with pytest.raises(EngineError, match=r"^stage echo\+raising cannot start: MemoryError: no room$"):
        set_up(Chain([Echo(), Raising({}, in_setup=MemoryError("no\n room"))]))


def test_a_lost_device_ends_its_process() -> None:
    with pytest.raises(DeviceLostError, match="CUDA error; run the same command again"):
        attempt(Raising({"u": AcceleratorError("CUDA error")}), TASK)
