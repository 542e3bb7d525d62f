"""Runs that are given up are in nobody's way, and their ids are not used again."""

from __future__ import annotations

import pytest

from nla_ray.errors import InputError, NoFileError
from nla_ray.store import connect, open_run, verify
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import ABANDONED
from nla_ray.store.upkeep.ended import Ending, abandon, ended_runs, next_id, retire
from tests.store.rows import RECORD, plan_of
from tests.store.upkeep.conftest import begun, committed, write


def test_an_abandoned_run_makes_way_for_another_plan(store: Store) -> None:
    other = plan_of("run3", units=3, seed=9)
    run = begun(store.url, "run1")
    assert run.committed() is not None
    abandon(store, "run2", "made by older code")
    retire(store, "run1", "replaced")
    open_run(store, other)
    assert ended_runs(store) == {"run1": "retired", "run2": "abandoned"}


def test_who_works_on_an_abandoned_run_is_told_and_commits_nothing(store: Store) -> None:
    run = begun(store.url, "run2")
    ending = abandon(store, "run2", "made by older code")
    write(run, *run.missing())
    for act in (lambda: run.commit(RECORD), lambda: begun(store.url, "run2")):
        with pytest.raises(InputError, match=r"run run2 was abandoned at .* \(made by older code\); run the"):
            act()
    assert run.committed() is None and ending.state == "abandoned"


def test_the_same_recipe_is_begun_anew_under_another_id(store: Store) -> None:
    assert next_id(store, "run2") == "run2"
    abandon(store, "run2")
    assert next_id(store, "run2") == "run2.2"
    write(begun(store.url, "run2.2"), "u0")
    abandon(store, "run2.2")
    assert next_id(store, "run2") == "run2.3" and next_id(store, "run1") == "run1"
    committed(store.url, "run2.3")
    assert next_id(store, "run2") == "run2.3"


def test_what_was_abandoned_twice_keeps_its_first_reason(store: Store) -> None:
    first = abandon(store, "run2", "first")
    assert abandon(store, "run2", "second") == first


def test_a_committed_run_cannot_be_abandoned_and_an_unknown_one_neither(store: Store) -> None:
    with pytest.raises(InputError, match="run run1 is committed"):
        abandon(store, "run1")
    with pytest.raises(NoFileError, match="no plan of run run9"):
        abandon(store, "run9")
    with pytest.raises(InputError, match="run2 is not committed, so it cannot be retired"):
        retire(store, "run2", "")
    assert ended_runs(store) == {}


def test_a_commit_that_came_first_stands(store: Store) -> None:
    """Whoever abandons looks for a commit, then writes; a commit in between is not undone."""
    run = begun(store.url, "run2")
    write(run, *run.missing())
    run.commit(RECORD)
    ending = Ending(run_id="run2", state="abandoned", because="", at="now", sha256="0" * 64)
    store.put_new(f"{ABANDONED}run2.json", ending.canonical().encode())
    assert ended_runs(store) == {} and next_id(store, "run2") == "run2"
    assert connect(store.url).sql("SELECT count(*) FROM runs").fetchall() == [(2,)]
    assert connect(store.url, runs=["run2"]).sql("SELECT count(*) FROM runs").fetchall() == [(1,)]


def test_a_retired_run_is_not_read_and_not_missed(store: Store) -> None:
    retire(store, "run1", "replaced")
    with pytest.raises(InputError, match="run run1 was retired"):
        connect(store.url, runs=["run1"])
    kinds = {problem.kind for problem in verify(store.url)}
    assert kinds == {"retired", "unfinished"}, "its files are there, and nobody reads them"
