"""Tables beside the explanations: written before a unit is done, committed, verified and read with it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from nla_ray.errors import EngineError, InputError
from nla_ray.store import connect, open_run, open_store, verify
from nla_ray.store.runs.layout import commit_key, unit_key
from nla_ray.store.runs.manifest import files_of
from nla_ray.store.runs.run import Run
from nla_ray.store.runs.unit_file import to_bytes, unit_facts
from nla_ray.store.sql.query import query
from tests.store.rows import RECORD, plan_of, rows_of, sides_of
from tests.store.tampering import edited, flipped, gone, replace

SIDES = ("documents", "activations")


def begun(place: str, sides: tuple[str, ...] = SIDES) -> Run:
    return open_run(open_store(place), plan_of(units=2).model_copy(update={"sides": sides}))


def finish(run: Run, text: str = "as the target saw it") -> None:
    for unit_id in run.missing():
        run.write(unit_id, rows_of(unit_id), sides=sides_of(unit_id, text=text))
    run.commit(RECORD)


def test_tables_beside_are_read_with_their_run(place: str) -> None:
    run = begun(place)
    finish(run)
    manifest = run.committed()
    assert manifest is not None and manifest.sides == SIDES
    files = files_of(run.store, manifest)
    assert [file.key for file in files.records("documents")] == [
        unit_key("documents", "run1", unit) for unit in ("u0", "u1")
    ]
    connection = connect(place)
    found = connection.sql("SELECT unit_id, doc_id, text, token_ends FROM documents ORDER BY 1").fetchall()
    assert found == [(f"u{n}", "doc-shared", "as the target saw it", [2, 9]) for n in (0, 1)]
    joined = "SELECT count(*) FROM explanations JOIN activations USING (run_id, row_id)"
    assert connection.sql(joined).fetchall() == [(6,)]
    assert connection.sql("SELECT bytes FROM runs").fetchall() == [
        (sum(file.bytes for file in files.records()),)
    ]
    assert verify(place) == []


def test_what_is_left_out_is_not_fetched_and_never_taken_for_empty(place: str) -> None:
    run = begun(place)
    finish(run)
    replace(place, unit_key("activations", "run1", "u0"), None)
    with pytest.raises(InputError, match="is committed but missing"):
        connect(place)
    connection = connect(place, without=["activations"])
    assert connection.sql("SELECT count(*) FROM documents").fetchall() == [(2,)]
    for sql in (
        "FROM activations",
        "SELECT count(*) FROM activations",
        "SELECT * FROM explanations LEFT JOIN activations USING (run_id, row_id)",
        "FROM explanations WHERE row_id NOT IN (SELECT row_id FROM activations)",
    ):
        with pytest.raises(duckdb.InvalidInputException, match="activations were left out"):
            connection.sql(sql).fetchall()


def test_a_query_fetches_the_large_tables_that_it_names(tmp_path: Path) -> None:
    run = begun(str(tmp_path))
    finish(run)
    (tmp_path / unit_key("activations", "run1", "u0")).unlink()
    with query(tmp_path, "SELECT count(*) AS n FROM Documents") as answer:
        assert [batch.to_pylist() for batch in answer.batches] == [[{"n": 2}]]
    with query(
        tmp_path, "SELECT view_name FROM duckdb_views() WHERE view_name = 'activ' || 'ations'"
    ) as answer:
        assert [batch.num_rows for batch in answer.batches] == [1]
    with pytest.raises(InputError, match="is committed but missing"), query(tmp_path, "FROM ACTIVATIONS"):
        pass


def test_a_unit_whose_writer_died_before_it_was_done_keeps_the_first_writers_tables(place: str) -> None:
    run = begun(place)
    facts = unit_facts(run.ref.plan_sha256, "run1", "u0")
    run.store.put_new(
        run.ref.key("u0", "documents"), to_bytes(sides_of("u0", text="first")["documents"], facts)
    )
    assert run.missing() == ["u0", "u1"]
    finish(run, "second")
    texts = connect(place).sql("SELECT unit_id, text FROM documents ORDER BY 1").fetchall()
    assert texts == [("u0", "first"), ("u1", "second")] and verify(place) == []


def test_a_table_of_another_plan_beside_is_refused(place: str) -> None:
    run = begun(place)
    facts = unit_facts("0" * 64, "run1", "u0")
    run.store.put_new(run.ref.key("u0", "documents"), to_bytes(sides_of("u0")["documents"], facts))
    with pytest.raises(InputError, match=r"documents/.*u0\.parquet: was written under another plan"):
        finish(run)
    assert run.missing() == ["u0", "u1"]


def test_a_commit_needs_every_file_beside(place: str) -> None:
    run = begun(place)
    facts = unit_facts(run.ref.plan_sha256, "run1", "u0", planned=4)
    run.store.put_new(run.ref.key("u0"), to_bytes(rows_of("u0"), facts))
    with pytest.raises(InputError, match=r"1 of 2 units are missing in documents \(u0\); remove these units"):
        finish(run)


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ({}, "has no tables beside it where the run's plan names documents, activations"),
        (sides_of("u1"), "in documents have another unit_id"),
        (sides_of("u0", "run2"), "in documents have another run_id"),
        (sides_of("u0") | {"activations": rows_of("u0")}, "schema of activations"),
        (
            sides_of("u0") | {"documents": pa.concat_tables([sides_of("u0")["documents"]] * 2)},
            "1 rows of documents have the key of another",
        ),
    ],
)
def test_wrong_tables_beside_are_never_written(
    tmp_path: str, sides: dict[str, pa.Table], message: str
) -> None:
    run = begun(tmp_path)
    with pytest.raises(EngineError, match=message):
        run.write("u0", rows_of("u0"), sides=sides)
    assert [one.key for one in run.store.entries("documents/")] == []


@pytest.mark.parametrize("sides", [("quarantine",), ("nothing",), ("explanations",), ("documents",) * 2])
def test_a_plan_names_tables_that_exist(sides: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="must be some of activations, documents"):
        type(plan_of()).model_validate(plan_of().model_dump() | {"sides": sides})


DOCUMENTS = unit_key("documents", "run1", "u1")


@pytest.mark.parametrize(
    ("key", "spoil", "expected"),
    [
        (DOCUMENTS, flipped, {("digest", DOCUMENTS)}),
        (DOCUMENTS, gone, {("missing", DOCUMENTS)}),
        (
            commit_key("run1"),
            edited(sides=["documents"]),
            {("rows", commit_key("run1"))},
        ),
        (commit_key("run1"), gone, {("unfinished", "run1")}),
    ],
)
def test_what_was_changed_beside_is_named(
    place: str, key: str, spoil: object, expected: set[tuple[str, str]]
) -> None:
    run = begun(place)
    finish(run)
    replace(place, key, spoil(run.store.get(key)))  # type: ignore[operator]
    assert {(problem.kind, problem.subject) for problem in verify(place)} == expected


def test_duplicate_vectors_are_found(place: str) -> None:
    """No writer makes them; a hand that forges files does."""
    run = begun(place)
    forged = pa.concat_tables([sides_of("u0")["activations"]] * 2)
    data = to_bytes(forged, unit_facts(run.ref.plan_sha256, "run1", "u0"))
    run.store.put_new(run.ref.key("u0", "activations"), data)
    finish(run)
    (problem,) = verify(place)
    assert (problem.kind, problem.subject) == ("duplicate", "run1")
    assert problem.detail.startswith("4 keys (run_id, row_id) of activations")
