"""A unit of an earlier attempt is taken up only if every byte of it is as it was written."""

from __future__ import annotations

import re

import pytest

from nla_ray.errors import InputError
from nla_ray.store import connect, open_run, open_store, verify
from nla_ray.store.runs.plan import Plan
from nla_ray.store.runs.run import Run
from nla_ray.store.runs.unit_file import DamagedError, read_whole, to_bytes, unit_facts
from nla_ray.store.runs.units import written
from nla_ray.store.upkeep.collect import Rules, garbage, remove
from tests.store.rows import RECORD, plan_of, rows_of, sides_of
from tests.store.tampering import flipped, replace

SIDES = ("activations", "documents")


def begun(place: str) -> Run:
    """A run with two units that an earlier attempt wrote and one that is missing."""
    plan = Plan.model_validate(plan_of().model_dump() | {"sides": SIDES})
    run = open_run(open_store(place), plan)
    for unit in ("u0", "u1"):
        run.write(unit, rows_of(unit), sides=sides_of(unit))
    return run


def finish(run: Run) -> None:
    made = [run.write(unit, rows_of(unit), sides=sides_of(unit)) for unit in run.missing()]
    run.commit(RECORD, made)


@pytest.mark.parametrize("table", ["explanations", *SIDES])
def test_a_flipped_bit_between_write_and_commit_is_not_committed(place: str, table: str) -> None:
    run = begun(place)
    key = f"{table}/run_id=run1/unit=u1.parquet"
    replace(place, key, flipped(run.store.get(key)))
    with pytest.raises(DamagedError, match=r"u1\.parquet: .*1 units are damaged, nothing is committed"):
        finish(run)
    assert run.committed() is None
    for mine in ("explanations", *SIDES):
        replace(place, f"{mine}/run_id=run1/unit=u1.parquet", None)
    finish(run)
    assert verify(place) == [] and connect(place).sql("FROM documents").fetchall()


def test_all_damaged_units_are_named_at_once(place: str) -> None:
    run = begun(place)
    for unit in ("u0", "u1"):
        replace(place, run.ref.key(unit), flipped(run.store.get(run.ref.key(unit))))
    with pytest.raises(DamagedError, match=r"u0\.parquet: .*u1\.parquet: .*2 units are damaged"):
        finish(run)


def test_a_writer_that_comes_second_does_not_take_up_a_damaged_unit(place: str) -> None:
    run = begun(place)
    replace(place, run.ref.key("u1"), flipped(run.store.get(run.ref.key("u1"))))
    with pytest.raises(DamagedError, match="was changed after it was written"):
        run.write("u1", rows_of("u1"), sides=sides_of("u1"))


def test_a_look_at_a_damaged_unit_says_the_way_out_and_that_leads_out(place: str) -> None:
    run = begun(place)
    replace(place, run.ref.key("u1"), flipped(run.store.get(run.ref.key("u1"))))
    way_out = (
        rf"seal does not fit.*; remove it \(`nla-ray sweep gc {re.escape(place)} --damaged --yes`\) and run"
    )
    with pytest.raises(DamagedError, match=way_out):
        written(run.store, run.ref, "u1")
    remove(run.store, garbage(run.store, Rules(damaged=True)))
    assert written(run.store, run.ref, "u1") is None
    finish(run)
    assert verify(place) == []


def test_a_table_beside_that_was_exchanged_for_another_whole_one_is_noticed(place: str) -> None:
    run = begun(place)
    other = to_bytes(sides_of("u1", text="other")["documents"], unit_facts(run.ref.plan_sha256, "run1", "u1"))
    replace(place, run.ref.key("u1", "documents"), other)
    with pytest.raises(DamagedError, match=r"is not what explanations/.*u1\.parquet was written beside"):
        finish(run)


def test_every_flipped_bit_is_noticed_in_data_and_footer(tmp_path: object) -> None:
    store = open_store(str(tmp_path))
    good = to_bytes(rows_of("u1"), unit_facts("0" * 64, "run1", "u1", planned=4, tally={"n": 1}))
    store.put_new("x", good)
    assert read_whole(store, "x")[1] == good
    for at in range(0, len(good), 31):
        for bit in (1, 128):
            replace(store.url, "x", good[:at] + bytes([good[at] ^ bit]) + good[at + 1 :])
            with pytest.raises(DamagedError):
                read_whole(store, "x")
    for cut in (0, 3, len(good) // 2, len(good) - 1):
        replace(store.url, "x", good[:cut])
        with pytest.raises(InputError):
            read_whole(store, "x")
