"""Everything that can go wrong with committed tables is found and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nla_ray.errors import InputError
from nla_ray.store import connect, open_run, open_store, parquet, verify
from nla_ray.store.places import sums
from nla_ray.store.runs.layout import commit_key, plan_key, unit_key
from nla_ray.store.runs.unit_file import QuarantinedRow, to_bytes, unit_facts
from nla_ray.store.upkeep.compact import compact
from tests.store.rows import RECORD, plan_of, rows_of
from tests.store.tampering import edited, flipped, gone, replace

UNIT = unit_key("explanations", "run1", "u1")
MANIFEST = commit_key("run1")


@pytest.fixture
def tables(place: str) -> str:
    """Two committed runs, the second with a quarantined row."""
    for run_id in ("run1", "run2"):
        run = open_run(open_store(place), plan_of(run_id, units=2), add=True)
        run.write("u0", rows_of("u0", run_id))
        poison = QuarantinedRow("u1-3", 0, "doc", 3, "real", "poison")
        run.write("u1", rows_of("u1", run_id, n=3), [poison])
        run.commit(RECORD)
    return place


@pytest.mark.parametrize(
    ("key", "spoil", "expected"),
    [
        (UNIT, flipped, {("digest", UNIT)}),
        (UNIT, gone, {("missing", UNIT)}),
        (unit_key("quarantine", "run2", "u1"), flipped, {("digest", unit_key("quarantine", "run2", "u1"))}),
        (
            plan_key("run1"),
            edited(units={"u0": 4, "u1": 5}),
            {("plan", plan_key("run1")), ("rows", MANIFEST)},
        ),
        (plan_key("run1"), gone, {("plan", plan_key("run1"))}),
        (MANIFEST, edited(rows=9), {("rows", MANIFEST), ("chain", MANIFEST)}),
        (MANIFEST, edited(record={}), {("chain", MANIFEST)}),
        (MANIFEST, gone, {("chain", MANIFEST), ("unfinished", "run1")}),
        (
            commit_key("run2"),
            lambda data: data[:50],
            {("corrupt", commit_key("run2")), ("unfinished", "run2")},
        ),
        (commit_key("run2"), edited(version=99), {("corrupt", commit_key("run2")), ("unfinished", "run2")}),
    ],
)
def test_what_was_changed_is_named(
    tables: str, key: str, spoil: Callable[[bytes], bytes | None], expected: set[tuple[str, str]]
) -> None:
    assert verify(tables) == []
    connect(tables)
    replace(tables, key, spoil(open_store(tables).get(key)))
    assert {(problem.kind, problem.subject) for problem in verify(tables)} == expected


def test_a_flipped_byte_is_not_read(place: str) -> None:
    run = open_run(open_store(place), plan_of())
    for unit_id in run.missing():
        run.write(unit_id, rows_of(unit_id))
    run.commit(RECORD)
    replace(place, UNIT, flipped(run.store.get(UNIT)))
    with pytest.raises(InputError, match=r"unit=u1.parquet: its content changed after it was committed"):
        connect(place)
    replace(place, UNIT, None)
    with pytest.raises(InputError, match="is committed but missing"):
        connect(place)


def test_neither_verify_nor_compact_believes_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sums, "LEAST_BYTES", 0)
    monkeypatch.setattr(sums, "SETTLED_S", -1.0)
    place = tmp_path / "tables"
    run = open_run(open_store(place), plan_of())
    for unit_id in run.missing():
        run.write(unit_id, rows_of(unit_id))
    run.commit(RECORD)
    for path in [path for path in place.rglob("*") if path.is_file()]:
        sums.known_sha256(path)
    for note in (tmp_path / "cache" / "sums").iterdir():
        note.write_text(f"{note.name} {'0' * 64}")
    with pytest.raises(InputError, match="its content changed"):
        connect(place)
    assert verify(place) == [] and compact(run.store, "run1").files_after == 1


def test_files_of_no_run_are_named(tables: str) -> None:
    strays = {unit_key("explanations", "run1", "u7"), "notes.txt"}
    for key in strays:
        replace(tables, key, b"")
    assert {(problem.kind, problem.subject) for problem in verify(tables)} == {
        ("stray", key) for key in strays
    }


def test_a_run_under_way_is_named(tables: str) -> None:
    run = open_run(open_store(tables), plan_of("run3"), add=True)
    run.write("u0", rows_of("u0", "run3"))
    (problem,) = verify(tables)
    assert (problem.kind, problem.subject) == ("unfinished", "run3") and "1 of 3 units" in problem.detail


@pytest.mark.parametrize("files", [1, parquet.AT_ONCE])
def test_duplicates_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    """No writer makes them; a hand that forges files and manifest does. So many files are read at once."""
    monkeypatch.setattr(parquet, "AT_ONCE", files)
    run = open_run(open_store(tmp_path), plan_of(units=2))
    run.write("u0", rows_of("u0"))
    run.store.put_new(
        run.ref.key("u1"), to_bytes(rows_of("u0"), unit_facts(run.ref.plan_sha256, "run1", "u1", ()))
    )
    run.commit(RECORD)
    (problem,) = verify(tmp_path)
    assert (problem.kind, problem.subject) == ("duplicate", "run1") and "4 keys" in problem.detail


def test_a_place_without_tables_is_refused(place: str) -> None:
    for look in (verify, connect):
        with pytest.raises(InputError, match="holds no tables"):
            look(place)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (edited(version=3), "has version 3, this nla_ray reads up to 2; upgrade nla_ray"),
        (lambda data: data[:99], "not a JSON object with a version"),
        (edited(units=-1), "corrupt manifest: units"),
        (edited(run_id="other"), "that of run other"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused(
    tables: str, spoil: Callable[[bytes], bytes], message: str
) -> None:
    replace(tables, MANIFEST, spoil(open_store(tables).get(MANIFEST)))
    with pytest.raises(InputError, match=message):
        connect(tables)
