"""A run is shown while any cell needs it, and found under each; a cell's run is the latest that it got."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nla_ray.errors import ConfigError, InputError
from nla_ray.store import connect, open_run, open_store, verify
from nla_ray.store.catalog.cells import assign, called, superseded_runs
from nla_ray.store.catalog.index import known_runs
from nla_ray.store.places.folder import FolderStore
from nla_ray.store.runs.layout import cell_key
from nla_ray.store.runs.manifest import Manifest
from nla_ray.store.runs.plan import Plan
from nla_ray.store.upkeep.collect import Rules, garbage, remove
from nla_ray.store.upkeep.ended import ended_runs, retire
from nla_ray.tables import RATES, table_of
from tests.store.rows import RECORD, ROWS, plan_of, rows_of

W1, W2 = "2026-W01", "2026-W02"
CELLS = "SELECT week, run_id FROM cells ORDER BY week"
OLD = Rules(superseded_days=0)


def cell(week: str, **changes: str) -> dict[str, str]:
    return {"sweep": "s", "week": week, "model": "m", "base": "b", "corpus": "c", "layer": "3"} | changes


def commit(place: str, run_id: str, labels: dict[str, str]) -> Manifest:
    plan = plan_of(run_id, units=1).model_copy(update={"labels": labels})
    run = open_run(open_store(place), plan, add=True)
    return run.commit(RECORD, [run.write("u0", rows_of("u0", run_id))])


def audit(place: str, audit_id: str, run_id: str, labels: dict[str, str]) -> Manifest:
    """An audit of a run, of one rate and no finding."""
    facts: dict[str, Any] = {"tables": {"audited": {run_id: "0" * 64}}}
    plan = Plan(run_id=audit_id, table="rates", units={run_id: 1}, facts=facts, labels=labels)
    run = open_run(open_store(place), plan, add=True)
    fixed: dict[str, object] = {
        one.name: None if one.nullable else "" if one.type == "string" else 0 for one in RATES
    }
    mine = {"run_id": audit_id, "unit_id": run_id, "audited_run": run_id}
    return run.commit({}, [run.write(run_id, table_of([fixed | mine], RATES))])


def give(place: str, committed: Manifest, week: str) -> None:
    assign(open_store(place), committed, cell(week))


def ask(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return connection.sql(sql).fetchall()


def superseded(place: str) -> dict[str, str]:
    return superseded_runs(called(known_runs(open_store(place))))


def test_a_run_of_two_weeks_is_found_under_both_and_its_rows_are_there_once(place: str) -> None:
    shared = commit(place, "shared", cell(W1))
    give(place, shared, W2)
    every = connect(place)
    assert ask(every, "SELECT week, model, base, layer, run_id FROM cells ORDER BY week") == [
        (W1, "m", "b", 3, "shared"),
        (W2, "m", "b", 3, "shared"),
    ]
    assert ask(every, "SELECT run_id, week, corpus FROM runs") == [("shared", [W1, W2], ["c"])]
    joined = "SELECT count(*) FROM all_explanations JOIN runs USING (run_id)"
    assert ask(every, joined) == [(ROWS,)]
    by_week = "SELECT week, count(*) FROM all_explanations JOIN cells USING (run_id) GROUP BY week ORDER BY 1"
    assert ask(every, by_week) == [(W1, ROWS), (W2, ROWS)]
    with pytest.raises(duckdb.ConversionException):
        ask(every, f"FROM runs WHERE week = '{W2}'")
    for week in (W1, W2):
        one = connect(place, labels=cell(week))
        assert ask(one, CELLS) == [(week, "shared")]
        assert ask(one, joined) == [(ROWS,)] and ask(one, "SELECT week FROM runs") == [([week],)]
    assert verify(place) == []


def test_a_cell_that_is_made_again_takes_nothing_from_another(place: str) -> None:
    shared = commit(place, "shared", cell(W1))
    give(place, shared, W2)
    commit(place, "again", cell(W1))
    assert superseded(place) == {} and garbage(open_store(place), OLD) == []
    every = connect(place)
    assert ask(every, CELLS) == [(W1, "again"), (W2, "shared")]
    assert ask(every, "SELECT run_id, week FROM runs ORDER BY 1") == [("again", [W1]), ("shared", [W2])]
    assert ask(every, "SELECT week, run_id, superseded_by FROM all_cells ORDER BY ALL") == [
        (W1, "again", None),
        (W1, "shared", "again"),
        (W2, "shared", None),
    ]
    for week, run_id in ((W1, "again"), (W2, "shared")):
        one = connect(place, labels={"week": week})
        assert ask(one, "SELECT DISTINCT run_id FROM explanations") == [(run_id,)]
    commit(place, "later", cell(W2))
    assert superseded(place) == {"shared": "later"}
    remove(open_store(place), garbage(open_store(place), OLD))
    assert ended_runs(open_store(place)) == {"shared": "retired"} and verify(place) == []
    assert ask(connect(place), CELLS) == [
        (W1, "again"),
        (W2, "later"),
    ]


def test_a_cell_may_return_to_an_earlier_run(place: str) -> None:
    first = commit(place, "zz", cell(W1))
    commit(place, "aa", cell(W1))
    give(place, first, W1)
    assert superseded(place) == {"aa": "zz"}
    assert ask(connect(place), "SELECT run_id FROM cells") == [("zz",)]
    assert ask(connect(place), "SELECT DISTINCT run_id FROM explanations") == [("zz",)]
    commit(place, "bb", cell(W1))
    assert superseded(place) == {"aa": "bb", "zz": "bb"}, "a later commit counts after what was given before"


def test_what_a_cell_has_already_is_not_said_again(place: str) -> None:
    first = commit(place, "run1", cell(W1))
    for week in (W1, W2, W2):
        give(place, first, week)
    assign(open_store(place), first, {"week": "2026-W03"})
    (said,) = open_store(place).entries("cells/")
    assert said.key == "cells/s/2026-W02/m/b/c/3/0000000002-run1.json"


def test_a_run_that_another_cell_finishes_is_that_cells(place: str) -> None:
    """The week that began it may have a newer run by then, which it would supersede."""
    plan = plan_of("begun", units=1).model_copy(update={"labels": cell(W1)})
    open_run(open_store(place), plan)
    commit(place, "newer", cell(W1))
    commit(place, "begun", cell(W2))
    assert ask(connect(place), CELLS) == [
        (W1, "newer"),
        (W2, "begun"),
    ]
    assert verify(place) == []


def test_a_run_that_was_made_for_itself_stays_when_a_cell_that_shared_it_goes_on(place: str) -> None:
    give(place, commit(place, "own", {}), W1)
    assert ask(connect(place), CELLS) == [(W1, "own")]
    commit(place, "again", cell(W1))
    assert superseded(place) == {} and garbage(open_store(place), OLD) == []
    assert ask(connect(place), "SELECT run_id, week FROM runs ORDER BY 1") == [("again", [W1]), ("own", None)]
    assert ask(connect(place, labels={"week": W1}), "SELECT run_id FROM runs") == [("again",)]


@pytest.mark.parametrize("again", [False, True])
def test_the_audit_of_a_cell_is_that_of_its_run_and_may_be_that_of_two(place: str, again: bool) -> None:
    give(place, commit(place, "shared", cell(W1)), W2)
    assign(open_store(place), audit(place, "audit1", "shared", cell(W1)), cell(W2))
    if again:
        commit(place, "again", cell(W1))
    first = [] if again else [(W1, "audit1", "shared")]
    every = connect(place)
    rates = "SELECT week, audit_id, run_id FROM rates ORDER BY week"
    assert ask(every, rates) == [*first, (W2, "audit1", "shared")]
    assert ask(connect(place, labels={"week": W2}), rates) == [(W2, "audit1", "shared")]
    audits = [(W1, None if again else "audit1"), (W2, "audit1")]
    assert ask(every, "SELECT week, audit_id FROM cells ORDER BY week") == audits


def test_rates_of_an_audit_without_a_cell_are_there_once(place: str) -> None:
    give(place, commit(place, "shared", cell(W1)), W2)
    audit(place, "base", "shared", {})
    assert ask(connect(place), "SELECT week, audit_id FROM rates") == [(None, "base")]


def test_what_nobody_could_have_said_is_passed_over_and_named(place: str) -> None:
    commit(place, "run1", cell(W1))
    store = open_store(place)
    planted = [cell_key(cell(W1), 9, "nowhere"), "cells/s/x.json"]
    for key in planted:
        store.put_new(key, b"{}")
    assert ask(connect(place), CELLS) == [(W1, "run1")]
    assert {(one.kind, one.subject) for one in verify(place)} == {("stray", key) for key in planted}
    assert garbage(store, Rules(days=0)) == []


@pytest.mark.parametrize("labels", [cell("../../plans"), cell(W1, model="a/b"), cell(W1, layer="last")])
def test_a_label_that_is_no_piece_of_a_key_is_refused(place: str, labels: dict[str, str]) -> None:
    run = commit(place, "run1", cell(W2))
    with pytest.raises(ConfigError, match="a label is up to 128 letters"):
        assign(open_store(place), run, labels)
    assert open_store(place).entries("cells/") == []


def test_a_run_that_is_retired_meanwhile_is_not_given_to_a_cell(place: str) -> None:
    run = commit(place, "run1", cell(W1))
    retire(open_store(place), "run1", "superseded")
    with pytest.raises(InputError, match="was retired"):
        give(place, run, W2)


def test_a_cell_that_was_given_a_run_while_that_was_retired_has_the_run_that_it_had(place: str) -> None:
    old, _ = commit(place, "old", cell(W1)), commit(place, "new", cell(W1))
    retire(open_store(place), "old", "superseded")
    with pytest.raises(InputError, match="was retired"):
        give(place, old, W1)
    assert ask(connect(place), CELLS) == [(W1, "new")]
    assert {one.run_id for one in garbage(open_store(place), OLD)} == {"old"}


@pytest.mark.parametrize("folder", ["commits", "plans", "retired", "abandoned"])
def test_what_somebody_else_put_beside_is_named_and_stops_nothing(tmp_path: Path, folder: str) -> None:
    place = str(tmp_path)
    commit(place, "run1", cell(W1))
    other = tmp_path / folder / "copies/run1.json"
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    assert ask(connect(place), CELLS) == [(W1, "run1")] and garbage(open_store(place), OLD) == []
    assert [one.kind for one in verify(place)] == ["stray"]


class Given(FolderStore):
    """A folder in which a cell is given a run just before that is retired."""

    meanwhile: Sequence[Manifest] = ()

    def put_new(self, key: str, data: bytes) -> bool:
        for run in self.meanwhile if key.startswith("retired/") else ():
            give(str(self.folder), run, W2)
        return super().put_new(key, data)


def test_a_run_that_a_cell_is_given_while_it_is_to_be_removed_stays(tmp_path: Path) -> None:
    place = str(tmp_path)
    first, _ = commit(place, "run1", cell(W1)), commit(place, "run2", cell(W1))
    store = Given(tmp_path)
    found = garbage(store, OLD)
    assert {one.run_id for one in found} == {"run1"}
    store.meanwhile = [first]
    remove(store, found)
    assert ended_runs(store) == {} and verify(place) == []
    assert ask(connect(place), CELLS) == [(W1, "run2"), (W2, "run1")]
