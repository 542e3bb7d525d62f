"""One function over many things: in order, with its own errors, here and on a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from nla_ray.config.runner import Runner
from nla_ray.errors import InputError, UnreachableError
from nla_ray.runtime.workers import Workers


def work(folder: Path, item: int) -> tuple[int, int]:
    """Counts its calls as files; some items are at fault."""
    (folder / f"{item}.{os.getpid()}").touch()
    if item == 50:
        raise InputError("a file cannot be read")
    if item == 60:
        raise ZeroDivisionError
    if item == 80 or (item == 70 and len(list(folder.glob("70.*"))) == 1):
        os._exit(1)
    return item, os.getpid()


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.slow)])
def workers(request: pytest.FixtureRequest) -> Iterator[Workers]:
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
    with Workers(Runner(name=request.param)) as opened:
        yield opened


def test_results_come_in_order(workers: Workers, tmp_path: Path) -> None:
    found = list(workers.map(partial(work, tmp_path), range(12)))
    assert [item for item, _ in found] == list(range(12))
    assert (os.getpid() not in {process for _, process in found}) == workers.elsewhere


def test_one_thing_is_done_once_where_an_actor_would_be(workers: Workers, tmp_path: Path) -> None:
    item, process = workers.once(partial(work, tmp_path), 7)
    assert item == 7 and (process != os.getpid()) == workers.elsewhere
    with pytest.raises(InputError, match=r"^a file cannot be read$"):
        workers.once(partial(work, tmp_path), 50)


def test_not_all_is_done_when_a_few_are_asked_for(workers: Workers, tmp_path: Path) -> None:
    found = workers.map(partial(work, tmp_path), range(40))
    assert [next(found)[0] for _ in range(3)] == [0, 1, 2]
    found.close()
    assert 3 <= len(list(tmp_path.iterdir())) < 30


def test_an_error_of_ours_is_raised_as_it_is(workers: Workers, tmp_path: Path) -> None:
    found = workers.map(partial(work, tmp_path), [1, 50, 2])
    assert next(found)[0] == 1
    with pytest.raises(InputError, match=r"^a file cannot be read$"):
        next(found)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_process_that_dies_is_tried_again_and_a_fault_of_ours_is_raised_as_it_is(tmp_path: Path) -> None:
    with Workers(Runner(name="ray")) as opened:
        assert [item for item, _ in opened.map(partial(work, tmp_path), [70, 1])] == [70, 1]
        with pytest.raises(ZeroDivisionError):
            list(opened.map(partial(work, tmp_path), [60]))
        with pytest.raises(UnreachableError, match=r"Ray gave up: .*; run the same command again"):
            list(opened.map(partial(work, tmp_path), [80]))
