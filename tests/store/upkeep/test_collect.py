"""Garbage is what nobody reads; it is removed in an order that leaves sound tables after every step."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nla_ray.errors import InputError
from nla_ray.store import connect, open_store, verify
from nla_ray.store.places.folder import FolderStore
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import commit_key, events_key, plan_key, unit_key
from nla_ray.store.upkeep.collect import DAY, Rules, garbage, remove
from nla_ray.store.upkeep.ended import abandon, ended_runs
from tests.store.rows import RECORD
from tests.store.tampering import flipped, replace
from tests.store.upkeep.conftest import begun, committed, write

NOW = Rules(days=0)
CELL = {"sweep": "s", "week": "2026-W48", "model": "m", "corpus": "c", "layer": "3"}


def kinds(store: Store, rules: Rules = NOW) -> dict[str, str]:
    return {one.key: one.kind for one in garbage(store, rules)}


def test_a_sound_root_has_no_garbage(store: Store) -> None:
    assert garbage(store, Rules(days=0, damaged=True)) == []


def test_an_abandoned_runs_files_and_plan_go_and_its_id_stays_taken(store: Store) -> None:
    for run_id in ("run1", "run2"):
        assert store.put_new(events_key(run_id, "a-1"), b"{}")
    assert kinds(store) == {}, "what befell a run that is committed or under way is kept"
    abandon(store, "run2")
    assert kinds(store, Rules(days=1)) == {}, "whoever works on it may not have noticed yet"
    found = kinds(store)
    files = {
        unit_key(table, "run2", unit) for table in ("documents", "explanations") for unit in ("u0", "u1")
    }
    files.add(events_key("run2", "a-1"))
    assert found == dict.fromkeys([*files, plan_key("run2")], "abandoned")
    assert {problem.subject for problem in verify(store.url)} == found.keys()
    remove(store, garbage(store, NOW))
    assert garbage(store, NOW) == [] and verify(store.url) == []
    assert ended_runs(store) == {"run2": "abandoned"}


def test_a_superseded_runs_files_go_and_the_chain_still_holds(store: Store) -> None:
    for run_id in ("cell1", "cell2"):
        committed(store.url, run_id, CELL)
    rules = Rules(superseded_days=0)
    assert garbage(store, Rules(superseded_days=1)) == []
    found = garbage(store, rules)
    assert {one.kind for one in found} == {"superseded"} and len(found) == 7
    assert all(one.bytes > 0 for one in found)
    remove(store, found)
    assert [problem.kind for problem in verify(store.url)] == ["unfinished"]
    assert store.entries(commit_key("cell1")) and store.entries("explanations/run_id=cell1/") == []
    runs = connect(store.url).sql("SELECT run_id FROM all_runs ORDER BY 1").fetchall()
    assert runs == [("cell2",), ("run1",)] and garbage(store, rules) == []
    committed(store.url, "run4")
    assert [problem.kind for problem in verify(store.url)] == ["unfinished"]


def test_a_run_is_spared_for_so_long_after_another_took_its_cell(tmp_path: Path) -> None:
    rules, old = Rules(superseded_days=1), time.time() - 2 * DAY
    for run_id in ("cell1", "cell2"):
        committed(str(tmp_path), run_id, CELL)
    store = open_store(str(tmp_path))
    os.utime(tmp_path / commit_key("cell1"), (old, old))
    assert garbage(store, rules) == [], "it was committed long ago, and replaced today"
    os.utime(tmp_path / commit_key("cell2"), (old, old))
    assert set(kinds(store, rules).values()) == {"superseded"}
    assert remove(store, garbage(store, rules)) and garbage(store, rules) == []


def test_strays_of_ours_go_and_what_others_put_there_stays(store: Store) -> None:
    ours = {unit_key("explanations", "run1", "u9"), unit_key("documents", "gone", "u0")}
    theirs = {"notes.txt", "explanations/notes.parquet", "plans/notes.txt"}
    for key in ours | theirs:
        store.put_new(key, b"x")
    strays = {problem.subject for problem in verify(store.url) if problem.kind == "stray"}
    assert strays == ours | theirs
    assert kinds(store) == dict.fromkeys(ours, "stray") and kinds(store, Rules(days=1)) == {}
    remove(store, garbage(store, NOW))
    assert {problem.subject for problem in verify(store.url) if problem.kind == "stray"} == theirs


def test_what_a_killed_writer_left_half_written_goes(tmp_path: object) -> None:
    committed(str(tmp_path), "run1")
    store = open_store(str(tmp_path))
    part = f"explanations/run_id=run1/.unit=u0.parquet.{'0' * 32}.part"
    for key in (part, "explanations/.keep"):
        replace(store.url, key, b"half")
    assert kinds(store) == {part: "part"} and kinds(store, Rules(days=1)) == {}
    assert [problem.subject for problem in verify(store.url)] == ["explanations/.keep"]
    remove(store, garbage(store, NOW))
    assert kinds(store) == {} and connect(store.url)


@pytest.mark.parametrize("key", [plan_key("run2"), commit_key("run1")])
def test_nothing_is_garbage_where_a_plan_or_manifest_cannot_be_read(store: Store, key: str) -> None:
    replace(store.url, key, b"{")
    with pytest.raises(InputError, match="corrupt"):
        garbage(store, NOW)


@pytest.mark.parametrize(
    ("table", "spoilt"), [("explanations", flipped), ("documents", flipped), ("documents", None)]
)
def test_damaged_units_go_and_are_made_again(store: Store, table: str, spoilt: object) -> None:
    key = unit_key(table, "run2", "u1")
    replace(store.url, key, None if spoilt is None else flipped(store.get(key)))
    assert kinds(store) == {}
    found = kinds(store, Rules(damaged=True))
    own = unit_key("explanations", "run2", "u1")
    assert found == dict.fromkeys([own, *([key] if spoilt else [])], "damaged")
    remove(store, garbage(store, Rules(damaged=True)))
    run = begun(store.url, "run2")
    write(run, *run.missing())
    run.commit(RECORD)
    assert verify(store.url) == []


class Killed(BaseException):
    """Kills whoever removes after some steps."""


class Dying(FolderStore):
    """A folder whose user is killed after so many changes."""

    left = 0

    def _step(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1

    def remove(self, key: str) -> None:
        self._step()
        super().remove(key)

    def put_new(self, key: str, data: bytes) -> bool:
        self._step()
        return super().put_new(key, data)


@pytest.mark.parametrize("steps", range(14))
def test_a_kill_after_any_step_leaves_sound_tables_and_the_rest_goes_the_next_time(
    tmp_path: object, steps: int
) -> None:
    place = str(tmp_path)
    for run_id in ("run1", "run3"):
        committed(place, run_id, CELL)
    write(begun(place, "run2"), "u0", "u1")
    store = open_store(place)
    abandon(store, "run2")
    dying = Dying(store.folder)  # type: ignore[attr-defined]
    dying.left, dying.threads = steps, 1
    rules = Rules(days=0, superseded_days=0)
    try:
        remove(dying, garbage(dying, rules))
        ended = True
    except Killed:
        ended = False
    assert ended == (steps == 13)
    left = {problem.kind for problem in verify(place)}
    assert left <= {"abandoned", "retired"} and (left == set()) == ended
    runs = {name for (name,) in connect(place).sql("SELECT run_id FROM all_runs").fetchall()}
    assert runs == ({"run1", "run3"} if steps == 0 else {"run3"})
    remove(store, garbage(store, rules))
    assert verify(place) == [] and garbage(store, rules) == []
