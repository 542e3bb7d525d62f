"""Units of a run under way that are not as they were written, and must be made anew."""

from __future__ import annotations

from functools import partial

from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import unit_prefix
from nla_ray.store.runs.plan import Plan
from nla_ray.store.runs.unit_file import DamagedError
from nla_ray.store.runs.units import RunRef, done_units, record_of, side_record
from nla_ray.store.upkeep.strays import Leftover


def damaged_files(store: Store, plan: Plan) -> list[Leftover]:
    """Files to remove so that their units are made again: all files of the run are read.

    Where one beside a unit is damaged or missing, the unit's own file is among them.
    """
    ref, found = RunRef.of(plan), dict[str, Leftover]()
    tables = (plan.table, *plan.sides)
    listed = {one.key: one for table in tables for one in store.entries(unit_prefix(table, plan.run_id))}
    done = done_units(store, ref)
    for side in (None, *plan.sides):
        units = sorted(done if side is None else done | done_units(store, ref, side))
        faults = store.map(partial(_fault, store, ref, side, done), units)
        for unit, fault in zip(units, faults, strict=True):
            for key, beside in ((ref.key(unit), False), (ref.key(unit, side), side is not None)):
                if fault and key in listed:
                    one = listed[key]
                    found.setdefault(
                        key,
                        Leftover("damaged", key, one.bytes, one.modified, fault, plan.run_id, beside),
                    )
    return list(found.values())


def _fault(store: Store, ref: RunRef, side: str | None, done: frozenset[str], unit: str) -> str | None:
    """What is wrong with a unit's file, or with the one beside it."""
    try:
        if side is not None and unit in done:
            side_record(store, ref, unit, side, look=True)
        else:
            record_of(store, ref, unit, side)
    except DamagedError as error:
        return str(error)
    except FileNotFoundError:
        return f"the file of unit {unit} in {side} is missing"
    return None
