"""From plan to commit: only whole runs become visible, in any order of deaths and writers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from nla_ray.errors import ConfigError, EngineError, InputError
from nla_ray.store import connect, open_run, open_store, verify
from nla_ray.store.runs.manifest import files_of
from nla_ray.store.runs.plan import differing_keys
from nla_ray.store.runs.run import Run
from nla_ray.store.runs.unit_file import QuarantinedRow, to_bytes, unit_facts
from tests.store.rows import RECORD, ROWS, plan_of, rows_of

POISON = QuarantinedRow("u1-3", 0, "doc-u1", None, "real", "the worker died three times")


def begun(place: str, **facts: object) -> Run:
    return open_run(open_store(place), plan_of(**facts))  # type: ignore[arg-type]


def count(place: str, view: str = "all_explanations") -> int:
    return int(connect(place).sql(f"SELECT count(*) FROM {view}").fetchall()[0][0])


def finish(run: Run) -> None:
    """What a driver does, whatever is there already."""
    for unit_id in run.missing():
        run.write(unit_id, rows_of(unit_id, run.plan.run_id))
    run.commit(RECORD)


def test_a_run_is_seen_when_it_is_committed_and_not_before(place: str) -> None:
    run = begun(place)
    written = [run.write(unit_id, rows_of(unit_id)) for unit_id in run.missing()]
    with pytest.raises(InputError, match=r"no run is committed yet \(run1: 3 of 3 units"):
        connect(place)
    assert run.committed() is None
    manifest = run.commit(RECORD, written)
    assert run.committed() == manifest
    assert (manifest.units, manifest.rows, manifest.quarantined) == (3, 12, 0)
    assert count(place) == 12 and verify(place) == []


def test_writers_records_are_those_that_the_commit_finds_by_itself(place: str) -> None:
    run = begun(place)
    written = [run.write(unit_id, rows_of(unit_id)) for unit_id in run.missing()]
    manifest = run.commit(RECORD)
    assert list(files_of(run.store, manifest).records()) == written
    assert run.commit(RECORD, written) == manifest


@pytest.mark.parametrize("killed_after", range(6))
def test_a_run_that_died_anywhere_is_finished_by_running_it_again(place: str, killed_after: int) -> None:
    """Deaths: before the plan, after it, after each unit, after the commit."""
    writes = [lambda unit=unit: begun(place).write(unit, rows_of(unit)) for unit in ("u0", "u1", "u2")]
    steps = [lambda: None, lambda: begun(place), *writes, lambda: begun(place).commit(RECORD)]
    for step in steps[: killed_after + 1]:
        step()
    run = begun(place)
    assert len(run.missing()) == max(0, min(3, 4 - killed_after))
    finish(run)
    assert count(place) == 12 and verify(place) == []


def test_a_finished_run_run_again_changes_nothing(place: str) -> None:
    finish(begun(place))
    before = open_store(place).entries("")
    finish(begun(place))
    assert open_store(place).entries("") == before


def test_racing_drivers_commit_every_row_once(place: str) -> None:
    """Two drivers, each with other words for the same rows; each unit is one driver's as a whole."""

    def drive(says: str) -> None:
        run = begun(place, units=6)
        for unit_id in run.plan.units:
            run.write(unit_id, rows_of(unit_id, says=says))
        run.commit(RECORD)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(drive, ("one driver", "another driver")))
    assert count(place) == 6 * ROWS and verify(place) == []
    connection = connect(place)
    mixed = "SELECT unit_id FROM all_explanations GROUP BY 1 HAVING count(DISTINCT explanation) > 1"
    assert connection.sql(mixed).fetchall() == []


def test_a_commit_needs_every_unit(place: str) -> None:
    run = begun(place)
    run.write("u1", rows_of("u1"))
    with pytest.raises(InputError, match=r"2 of 3 units are missing in explanations \(u0, u2\)"):
        run.commit(RECORD)


def test_a_commit_refuses_units_that_were_not_planned(place: str) -> None:
    run = begun(place)
    run.store.put_new(
        run.ref.key("u9"), to_bytes(rows_of("u9"), unit_facts(run.ref.plan_sha256, "run1", "u9", ()))
    )
    with pytest.raises(InputError, match=r"not planned \(u9\)"):
        finish(run)


def test_a_commit_refuses_a_unit_with_other_rows_than_planned(place: str) -> None:
    run = begun(place)
    short = to_bytes(rows_of("u0", n=3), unit_facts(run.ref.plan_sha256, "run1", "u0", ()))
    run.store.put_new(run.ref.key("u0"), short)
    with pytest.raises(InputError, match="3 rows and 0 in quarantine where 4 were planned"):
        finish(run)


def test_quarantined_rows_count_and_are_failures(place: str) -> None:
    run = begun(place)
    run.write("u1", rows_of("u1", n=3), [POISON])
    finish(run)
    manifest = run.committed()
    assert manifest is not None and (manifest.rows, manifest.quarantined) == (11, 1)
    found = connect(place).sql("SELECT row_id, outcome, reason FROM failures ORDER BY ALL").fetchall()
    assert ("u1-3", "quarantined", POISON.reason) in found
    assert [row[:2] for row in found if row[1] == "failed"] == [(f"u{n}-0", "failed") for n in range(3)]
    assert verify(place) == []


@pytest.mark.parametrize(
    ("table", "quarantined", "message"),
    [
        (rows_of("u1", n=3), (), "3 rows were made where 4 were planned"),
        (rows_of("u1"), (POISON,), "5 rows were made"),
        (rows_of("u0"), (), "another unit_id"),
        (rows_of("u1", "run9"), (), "another run_id"),
        (rows_of("u1").drop_columns(["meta"]), (), "schema"),
        (pa.concat_tables([rows_of("u1", n=2)] * 2), (), "2 rows of explanations have the key of another"),
    ],
)
def test_wrong_rows_are_never_written(
    place: str, table: pa.Table, quarantined: tuple[QuarantinedRow, ...], message: str
) -> None:
    run = begun(place)
    with pytest.raises(EngineError, match=message):
        run.write("u1", table, quarantined)
    assert run.missing() == ["u0", "u1", "u2"]


def test_another_plan_of_the_run_is_refused_by_its_keys(place: str) -> None:
    begun(place)
    with pytest.raises(
        ConfigError, match=r"facts\.code \(absent there, 2 here\), facts\.seed \(7 there, 8 here\)"
    ):
        begun(place, seed=8, code=2)


def test_a_file_of_another_plan_is_refused(place: str) -> None:
    run = begun(place)
    run.store.put_new(run.ref.key("u1"), to_bytes(rows_of("u1"), unit_facts("0" * 64, "run1", "u1", ())))
    for act in (lambda: run.write("u1", rows_of("u1")), lambda: finish(run)):
        with pytest.raises(InputError, match=r"u1\.parquet: was written under another plan"):
            act()


def test_a_file_that_is_no_unit_is_refused(place: str) -> None:
    run = begun(place)
    run.store.put_new(run.ref.key("u1"), b"PAR1")
    with pytest.raises(InputError, match="is not a unit's Parquet file"):
        run.write("u1", rows_of("u1"))


def test_differences_are_named_by_dotted_keys() -> None:
    assert differing_keys({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}}) == [
        "a.c (2 there, 4 here)",
        "d (3 there, absent here)",
    ]


def test_runs_are_chained(place: str) -> None:
    for run_id in ("run1", "run2", "run3"):
        finish(open_run(open_store(place), plan_of(run_id), add=True))
    links = {run_id: set(open_run(open_store(place), plan_of(run_id)).committed().previous)  # type: ignore[union-attr]
             for run_id in ("run1", "run2", "run3")}  # fmt: skip
    assert links == {"run1": set(), "run2": {"run1"}, "run3": {"run2"}}
    assert connect(place).sql("SELECT run_id FROM runs ORDER BY 1").fetchall() == [
        ("run1",),
        ("run2",),
        ("run3",),
    ]
    assert verify(place) == []


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 200])
def test_names_that_are_no_file_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="run_id"):
        plan_of(name)


def test_equal_input_gives_equal_bytes() -> None:
    facts = unit_facts("0" * 64, "run1", "u1", [POISON])
    assert to_bytes(rows_of("u1"), facts) == to_bytes(rows_of("u1"), facts)
