"""The plan of a run: what its rows follow from and how many each unit must have; written first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, JsonValue, StringConstraints, ValidationError, ValidationInfo, field_validator

from nla_ray.errors import ConfigError, DamagedTablesError, InputError
from nla_ray.store.places.objects import Store
from nla_ray.store.record import Record
from nla_ray.store.runs.layout import NAME, PLANS, RESERVED, is_state, plan_key, run_of, unit_prefix
from nla_ray.store.upkeep.ended import ended_runs
from nla_ray.tables import LABELS, SCHEMAS

VERSION: Literal[1] = 1
"""Version of the layout and of plans."""

EXPLANATIONS_TABLE = "explanations"
_SUMMED_UP = "fingerprint"

Name = Annotated[str, StringConstraints(pattern=rf"^{NAME}$")]
Count = Annotated[int, Field(ge=0)]
LabelText = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Plan(Record):
    """A run before it starts. Equal inputs give equal bytes: nothing in it depends on time or machine."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"labels"})

    version: Literal[1] = VERSION
    run_id: Name
    table: Name = Field(default=EXPLANATIONS_TABLE, description="The table that the units' rows go to.")
    units: dict[Name, Count | None] = Field(
        description="Planned rows of each unit by its id: those written and those quarantined. None where "
        "only the run itself can tell; the unit's file then says how many its writer counted before it began."
    )
    sides: tuple[Name, ...] = Field(
        default=(),
        description="Tables beside it, such as `documents`, that every unit writes a file of too.",
    )
    facts: dict[str, JsonValue] = Field(
        description="What the rows follow from: configuration, fingerprint, corpus and model digests, "
        "seeds, code."
    )
    labels: dict[str, LabelText] = Field(
        default={},
        description="What the run is called by: its place in a sweep. No part of its identity: those of the "
        "attempt that commits it count, and it may be that of other cells too, see `catalog.cells`.",
    )

    @field_validator("labels")
    @classmethod
    def _known_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        unknown = sorted(labels.keys() - set(LABELS))
        if unknown:
            raise ValueError(f"{unknown[0]} is no label; there are {', '.join(LABELS)}")
        return labels

    @field_validator("table")
    @classmethod
    def _free_name(cls, table: str) -> str:
        if table in RESERVED:
            raise ValueError(f"{table} is the name of a folder of its own; choose another table name")
        return table

    @field_validator("sides")
    @classmethod
    def _known_sides(cls, sides: tuple[str, ...], given: ValidationInfo) -> tuple[str, ...]:
        allowed = SCHEMAS.keys() - RESERVED - {given.data.get("table")}
        if len(set(sides)) < len(sides) or not allowed.issuperset(sides):
            raise ValueError(f"must be some of {', '.join(sorted(allowed))}, each once")
        return sides

    def sha256(self) -> str:
        """Digest of all that the run is: everything in the plan but its labels."""
        return self.fingerprint()

    def canonical(self) -> str:
        """See Config."""
        return self._text(self.without_effect)

    def to_bytes(self) -> bytes:
        """The plan as it is stored, which its digest is of where it has no labels."""
        return self._text(frozenset() if self.labels else self.without_effect).encode()

    def _text(self, without: frozenset[str]) -> str:
        """The JSON of any configuration. Units are sorted as text: looked up in another order than they lie
        in, each of a million would be a cache miss."""
        values = self.model_dump(mode="json", exclude={"units", *without})
        parts = {key: json.dumps(one, sort_keys=True, separators=(",", ":")) for key, one in values.items()}
        units = sorted([f'"{unit}":{"null" if n is None else n}' for unit, n in self.units.items()])
        parts["units"] = "{" + ",".join(units) + "}"
        return "{" + ",".join(f'"{key}":{parts[key]}' for key in sorted(parts)) + "}"


def put_plan(store: Store, plan: Plan) -> bool:
    """Write the plan; an equal one that is there already is as good, and the answer is then False.

    Raises ConfigError that names the differing keys where another plan has the run's id.
    """
    key, data = plan_key(plan.run_id), plan.to_bytes()
    if store.put_new(key, data):
        return True
    there = None if store.get(key) == data else get_plan(store, plan.run_id)
    if there is None or there.sha256() == plan.sha256():
        return False
    keys = differing_keys(there.effective(), plan.effective())
    raise ConfigError(
        f"{store.url}: holds another plan for run {plan.run_id}; it differs in {some_of(keys)}: "
        "continue with what it was begun with, or name another output"
    )


def get_plan(store: Store, run_id: str) -> Plan | None:
    """A run's plan, None where there is none. Raises InputError for one that cannot be read."""
    key = plan_key(run_id)
    try:
        data = store.get(key)
    except FileNotFoundError:
        return None
    require_version(f"{store.url}/{key}", data)
    try:
        return Plan.model_validate_json(data)
    except ValidationError as error:
        raise InputError(f"{store.url}/{key}: corrupt plan: {first_problem(error)}") from None


def other_plans(store: Store, plan: Plan) -> list[Plan]:
    """Plans of other runs for the same table, the most alike first: fewest facts differ.

    A plan of which nothing was written is none: its run ended before it began. Nor is that of a run that was
    abandoned or retired.
    """
    ended = ended_runs(store)
    run_ids = [
        run_id
        for run_id in planned_runs(store)
        if run_id != plan.run_id and run_id not in ended and store.keys(unit_prefix(plan.table, run_id))
    ]
    found = store.map(lambda run_id: get_plan(store, run_id), run_ids)
    others = [other for other in found if other is not None and other.table == plan.table]
    return sorted(others, key=lambda other: len(differing_keys(other.facts, plan.facts)))


def refuse_other_plans(store: Store, plan: Plan) -> None:
    """Raise ConfigError where explanations of another run are planned and this run is not.

    It names what differs from the plan that is most like this one.
    """
    if plan.table != EXPLANATIONS_TABLE or plan.run_id in planned_runs(store):
        return
    others = other_plans(store, plan)
    if not others:
        return
    ours, theirs = ({k: v for k, v in one.facts.items() if k != _SUMMED_UP} for one in (plan, others[0]))
    keys = differing_keys(theirs, ours)
    more = f" (the nearest of {len(others)})" if len(others) > 1 else ""
    raise ConfigError(
        f"{store.url}: output holds another plan, run {others[0].run_id}{more}; it differs in "
        f"{some_of(keys or ['units alone'])}: give its config to continue it, name another output, or "
        "pass --add to keep several runs in one place"
    )


def refuse_any_other_plan(store: Store, plan: Plan) -> None:
    """Raise ConfigError, naming what differs, where a place for one run alone holds the units of another."""
    others = other_plans(store, plan)
    if others:
        keys = differing_keys(
            *({k: v for k, v in one.facts.items() if k != _SUMMED_UP} for one in (others[0], plan))
        )
        raise ConfigError(
            f"{store.url}: output holds another plan, run {others[0].run_id}; it differs in "
            f"{some_of(keys or ['units alone'])}: give its config to continue it, or another output"
        )


def planned_runs(store: Store) -> list[str]:
    """Ids of all runs that have a plan; what lies there under no key of a plan is somebody else's."""
    return [run_of(key) for key in store.keys(PLANS) if is_state(key)]


def require_version(name: str, data: bytes, newest: int = VERSION) -> dict[str, Any]:
    """The values of a JSON object. Raises InputError for a newer version, DamagedTablesError for none."""
    try:
        values: dict[str, Any] = json.loads(data)
        version = values["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DamagedTablesError(
            f"{name}: corrupt: not a JSON object with a version; restore it from a backup"
        ) from None
    if isinstance(version, int) and version > newest:
        raise InputError(f"{name}: has version {version}, this nla_ray reads up to {newest}; upgrade nla_ray")
    return values


def first_problem(error: ValidationError) -> str:
    """Where a JSON document is wrong and how."""
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where or 'JSON'}: {problem['msg']}"


def differing_keys(there: Mapping[str, object], here: Mapping[str, object]) -> list[str]:
    """Dotted keys under which two JSON objects differ, each with both values, in order."""
    return list(_differences(there, here, ""))


def _differences(there: object, here: object, key: str) -> Iterator[str]:
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for name in sorted({*there, *here}):
            dotted = f"{key}.{name}" if key else str(name)
            yield from _differences(there.get(name, _ABSENT), here.get(name, _ABSENT), dotted)
    elif there != here:
        yield f"{key} ({_short(there)} there, {_short(here)} here)"


_ABSENT = object()


def _short(value: object) -> str:
    if value is _ABSENT:
        return "absent"
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:39] + "…"


def some_of(items: Sequence[str], n: int = 5) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(items) - n} more" if len(items) > n else ""
    return ", ".join(items[:n]) + more
