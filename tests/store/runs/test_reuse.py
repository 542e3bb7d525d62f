"""Units that another run of the place holds: found by id, copied as their own writer would write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from nla_ray.errors import InputError
from nla_ray.store import verify
from nla_ray.store.places.address import open_store
from nla_ray.store.runs.plan import Plan
from nla_ray.store.runs.reuse import Held, copied, copy_unit, find_held
from nla_ray.store.runs.run import Run, open_run
from nla_ray.store.runs.unit_file import DamagedError, QuarantinedRow
from tests.store.rows import RECORD, ROWS, plan_of, rows_of, sides_of
from tests.store.tampering import flipped

SIDES = ("documents", "activations")


def run_with(place: str | Path, run_id: str, *, units: int = 3, sides: tuple[str, ...] = SIDES) -> Run:
    plan = plan_of(run_id, units).model_copy(update={"sides": sides})
    return open_run(open_store(place), plan, add=True)


def made(place: str | Path, run_id: str, **more: Any) -> Run:
    """A committed run."""
    run = run_with(place, run_id, **more)
    for unit in run.plan.units:
        beside = {name: table for name, table in sides_of(unit, run_id).items() if name in run.plan.sides}
        run.write(unit, rows_of(unit, run_id), sides=beside, tally={"vectors": 2, "seconds": {"x": 1.5}})
    run.commit(RECORD)
    return run


def says(run_id: str) -> Any:
    def columns(name: str, table: pa.Table) -> Mapping[str, object]:
        return {"run_id": run_id}

    return columns


def take(run: Run, held: Held) -> Any:
    def tally(run_id: str, old: Mapping[str, Any]) -> dict[str, Any]:
        return {**old, "of": run_id}

    return copy_unit(run.store, run.ref, held, says(run.plan.run_id), tally)


def test_a_copy_is_what_its_own_writer_would_have_written(tmp_path: Path) -> None:
    made(tmp_path, "one")
    run = run_with(tmp_path, "two")
    held = find_held(run.store, run.plan, run.missing())
    files = [take(run, held[unit]) for unit in run.missing()]
    assert verify(tmp_path) and run.commit(RECORD, files) and verify(tmp_path) == []
    assert {tally["of"] for tally in run.tallies()} == {"one"}
    fresh = run_with(tmp_path / "fresh", "two")
    for unit in fresh.plan.units:
        tally = {"of": "one", "vectors": 2, "seconds": {"x": 1.5}}
        fresh.write(unit, rows_of(unit, "two"), sides=sides_of(unit, "two"), tally=tally)
        for side in (None, *SIDES):
            key = fresh.ref.key(unit, side)
            assert (tmp_path / key).read_bytes() == (tmp_path / "fresh" / key).read_bytes()


def test_s3_too(s3: str) -> None:
    made(s3, "one", units=1)
    run = run_with(s3, "two", units=1)
    (held,) = find_held(run.store, run.plan, run.missing()).values()
    assert run.commit(RECORD, [take(run, held)]).rows == ROWS
    assert verify(s3) == []


def test_only_committed_units_with_every_table_and_every_row_are_held(tmp_path: Path) -> None:
    begun = run_with(tmp_path, "begun", units=1)
    begun.write("u0", rows_of("u0", "begun"), sides=sides_of("u0", "begun"))
    made(tmp_path, "bare", sides=("documents",))
    wanted = run_with(tmp_path, "two")
    assert find_held(wanted.store, wanted.plan, wanted.missing()) == {}
    fewer = run_with(tmp_path, "fewer", sides=())
    assert {held.run_id for held in find_held(fewer.store, fewer.plan, ["u1"]).values()} == {"bare"}
    aside = run_with(tmp_path, "aside", units=2, sides=())
    rows = rows_of("u0", "aside", n=ROWS - 1)
    aside.write("u0", rows, [QuarantinedRow("u0-3", 0, "doc-u0", 3, "real", "killed its worker")])
    aside.write("u1", rows_of("u1", "aside"))
    aside.commit(RECORD)
    other = run_with(tmp_path / "nowhere", "other", units=2, sides=())
    again = Plan(**{**other.plan.model_dump(), "run_id": "again"})
    held = find_held(aside.store, again, ["u0", "u1"])
    assert held["u0"].run_id == "bare", "the one with all its rows"


def test_a_damaged_unit_is_not_taken(tmp_path: Path) -> None:
    one = made(tmp_path, "one")
    spoilt = tmp_path / one.ref.key("u0")
    spoilt.write_bytes(flipped(spoilt.read_bytes()))
    (tmp_path / one.ref.key("u1", "documents")).unlink()
    run = run_with(tmp_path, "two")
    held = find_held(run.store, run.plan, run.missing())
    with pytest.raises(DamagedError, match="was changed after it was written"):
        take(run, held["u0"])
    taken = list(copied(run.store, list(held.values()), lambda one: take(run, one)))
    assert [(one.file.unit_id, file is not None) for one, file in taken] == [
        ("u0", False), ("u1", False), ("u2", True),
    ]  # fmt: skip
    assert run.missing() == ["u0", "u1"]


def test_units_whose_files_are_gone_are_taken_from_who_still_has_them(tmp_path: Path) -> None:
    made(tmp_path, "one")
    two = made(tmp_path, "two")
    run = run_with(tmp_path, "three")
    assert {held.run_id for held in find_held(run.store, run.plan, run.missing()).values()} == {"two"}
    (tmp_path / two.ref.key("u0")).unlink()
    held = find_held(run.store, run.plan, run.missing())
    assert {unit: one.run_id for unit, one in held.items()} == {"u0": "one", "u1": "two", "u2": "two"}


def test_other_faults_are_not_swallowed(tmp_path: Path) -> None:
    made(tmp_path, "one", units=1)
    run = run_with(tmp_path, "two", units=1)
    (held,) = find_held(run.store, run.plan, run.missing()).values()

    def broken(_: Held) -> Any:
        raise InputError("the disk is full")

    with pytest.raises(InputError, match="disk is full"):
        list(copied(run.store, [held], broken))
