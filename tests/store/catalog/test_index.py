"""The index is a cache: with it few objects are read, and without it the answers are the same."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nla_ray.errors import InputError
from nla_ray.store import connect, open_run, open_store, verify
from nla_ray.store.catalog import index
from nla_ray.store.catalog.cells import assign, called, superseded_runs
from nla_ray.store.catalog.index import (
    Entry,
    heads,
    index_keys,
    known_runs,
    put_index,
    read_index,
    runs_with,
)
from nla_ray.store.places.folder import FolderStore
from nla_ray.store.runs.layout import commit_key
from nla_ray.store.runs.manifest import get_manifests
from tests.store.old import make_old
from tests.store.rows import RECORD, plan_of, rows_of
from tests.store.tampering import flipped, replace

CELL = {"sweep": "s", "week": "2026-W01", "model": "m", "corpus": "c", "layer": "3"}


def commit(place: str, run_id: str, facts: dict[str, Any] | None = None, **labels: str) -> None:
    plan = plan_of(run_id, units=1, **facts or {}).model_copy(update={"labels": labels})
    run = open_run(open_store(place), plan, add=True)
    run.commit(RECORD, [run.write("u0", rows_of("u0", run_id))])


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index after every third commit."""
    monkeypatch.setattr(index, "MOST_LACKING", 3)


def count_gets(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of all objects that are read from now on."""
    read, get = list[str](), FolderStore.get
    monkeypatch.setattr(FolderStore, "get", lambda self, key: (read.append(key), get(self, key))[1])
    return read


@pytest.mark.usefixtures("often")
def test_a_commit_now_and_then_writes_an_index(place: str) -> None:
    for number in range(7):
        commit(place, f"run{number}")
    store = open_store(place)
    newest, *older = index_keys(store)
    assert list(read_index(store, newest)) == [f"run{number}" for number in range(6)] and len(older) == 1
    known = known_runs(store)
    assert known.entries == tuple(map(Entry.of, get_manifests(store))) and known.lacking == 1
    assert verify(place) == []


@pytest.mark.usefixtures("often")
def test_only_what_the_index_lacks_is_read(tmp_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = str(tmp_path)
    for number in range(7):
        commit(place, f"run{number}", week=f"W{number}")
    read = count_gets(monkeypatch)
    assert connect(place, labels={"week": "W2"}).sql("SELECT run_id FROM runs").fetchall() == [("run2",)]
    assert sorted(key for key in read if key.startswith(("commits/", "plans/"))) == [
        "commits/run2.json",
        "commits/run6.json",
        "plans/run2.json",
    ]
    read.clear()
    commit(place, "run7")
    assert {key for key in read if key.startswith("commits/")} == {"commits/run6.json", "commits/run7.json"}


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("spoil", [flipped, lambda _: b"", lambda data: data[:99]])
def test_a_damaged_index_is_passed_over_and_named(place: str, spoil: Callable[[bytes], bytes]) -> None:
    for number in range(7):
        commit(place, f"run{number}")
    store = open_store(place)
    newest, older = index_keys(store)
    expected = known_runs(store).entries
    replace(place, newest, spoil(store.get(newest)))
    known = known_runs(store)
    assert known.entries == expected and known.lacking == 4
    assert [(one.kind, one.subject) for one in verify(place)] == [("index", newest)]
    with pytest.raises(InputError, match="its content changed"):
        read_index(store, newest)
    assert len(read_index(store, older)) == 3


def test_an_index_of_another_version_is_passed_over(tmp_path: str) -> None:
    place = str(tmp_path)
    commit(place, "run1")
    store = open_store(place)
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patched:
        patched.setattr(index, "INDEX_SCHEMA", index.INDEX_SCHEMA.remove(4))
        patched.setattr(index, "asdict", lambda one: {k: v for k, v in vars(one).items() if k != "recipe"})
        key = put_index(store, known_runs(store).entries)
    with pytest.raises(InputError, match="is of another version; upgrade nla_ray or remove it"):
        read_index(store, key)
    assert known_runs(store).lacking == 1 and [one.kind for one in verify(place)] == ["index"]


def test_an_index_that_is_not_what_the_manifests_say_is_named(place: str) -> None:
    for run_id in ("run1", "run2"):
        commit(place, run_id)
    store = open_store(place)
    one, other = known_runs(store).entries
    key = put_index(store, [one, Entry(**vars(other) | {"rows": 9})])
    (problem,) = verify(place)
    assert (problem.kind, problem.subject) == ("index", key) and "1 runs" in problem.detail


@pytest.mark.usefixtures("often")
def test_a_run_that_is_not_committed_any_more_is_in_the_index_alone(place: str) -> None:
    for number in range(3):
        commit(place, f"run{number}")
    last = get_manifests(open_store(place), ["run2"])[0].manifest
    assign(open_store(place), last, CELL)
    replace(place, commit_key("run2"), None)
    known = known_runs(open_store(place))
    assert [one.run_id for one in known.entries] == ["run0", "run1"] and known.assigned == ()
    assert connect(place).sql("FROM cells").fetchall() == []


@pytest.mark.usefixtures("often")
def test_commits_at_once_are_all_there_and_vouched_for(place: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: commit(place, f"run{number}"), range(12)))
    assert len(known_runs(open_store(place)).entries) == 12 and verify(place) == []
    commit(place, "last")
    assert list(heads(known_runs(open_store(place)).entries)) == ["last"] and verify(place) == []


@pytest.mark.usefixtures("often")
def test_runs_of_the_first_version_are_in_the_index_too(place: str) -> None:
    commit(place, "run0")
    make_old(place, "run0")
    for number in (1, 2):
        commit(place, f"run{number}")
    assert set(read_index(open_store(place), index_keys(open_store(place))[0])) == {"run0", "run1", "run2"}
    assert verify(place) == []
    assert connect(place).sql("SELECT count(*) FROM all_explanations").fetchall() == [(12,)]


def test_runs_are_found_by_recipe_the_latest_first(place: str) -> None:
    for number in range(3):
        commit(place, f"run{number}", {"recipe": "r"}, week=f"W{number}")
    commit(place, "other", {"recipe": "x"})
    store = open_store(place)
    assert [one.run_id for one in runs_with(store, recipe="r")] == ["run2", "run1", "run0"]
    assert runs_with(store, recipe="r", table="rates") == []


def test_a_later_run_of_a_cell_supersedes_the_earlier_one(place: str) -> None:
    """By the order of commits: a clock that was put back changes nothing, nor does the order of ids."""
    commit(place, "zz", **CELL)
    commit(place, "aa", **CELL)
    commit(place, "week2", **CELL | {"week": "2026-W02"})
    commit(place, "partly", **{label: value for label, value in CELL.items() if label != "layer"})
    assert superseded_runs(called(known_runs(open_store(place)))) == {"zz": "aa"}
    connection = connect(place)
    assert connection.sql("SELECT run_id, superseded_by FROM all_runs ORDER BY ALL").fetchall() == [
        ("aa", None),
        ("partly", None),
        ("week2", None),
        ("zz", "aa"),
    ]
    shown = [("aa",), ("partly",), ("week2",)]
    assert connection.sql("SELECT run_id FROM runs ORDER BY 1").fetchall() == shown
    assert connection.sql("SELECT DISTINCT run_id FROM all_explanations ORDER BY 1").fetchall() == shown
    named = connect(place, runs=["zz"])
    assert named.sql("SELECT DISTINCT run_id FROM explanations").fetchall() == [("zz",)]
    assert named.sql("SELECT run_id, superseded_by FROM runs").fetchall() == [("zz", "aa")]
