"""The plan of a run: what its rows follow from and how many each unit must have; written first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints, ValidationError, field_validator

from nla_ray.config.base import Config
from nla_ray.errors import ConfigError, InputError
from nla_ray.store.layout import NAME, PLANS, RESERVED, plan_key
from nla_ray.store.objects import Store

VERSION: Literal[1] = 1
"""Version of the layout, of plans and of manifests."""

Name = Annotated[str, StringConstraints(pattern=rf"^{NAME}$")]
Count = Annotated[int, Field(ge=0)]


class Plan(Config):
    """A run before it starts. Equal inputs give equal bytes: nothing in it depends on time or machine."""

    version: Literal[1] = VERSION
    run_id: Name
    table: Name = "explanations"
    """The table that the units' rows go to."""
    units: dict[Name, Count]
    """Planned rows of each unit by its id: those written and those quarantined."""
    facts: dict[str, JsonValue]
    """What the rows follow from: configuration, fingerprint, corpus and model digests, seeds, code."""

    @field_validator("table")
    @classmethod
    def _free_name(cls, table: str) -> str:
        if table in RESERVED:
            raise ValueError(f"{table} is the name of a folder of its own; choose another table name")
        return table

    def sha256(self) -> str:
        """Digest of the plan's bytes."""
        return self.fingerprint()


def put_plan(store: Store, plan: Plan) -> None:
    """Write the plan; an equal one that is there already is as good.

    Raises ConfigError that names the differing keys where another plan has the run's id.
    """
    if store.put_new(plan_key(plan.run_id), plan.canonical().encode()):
        return
    there = get_plan(store, plan.run_id)
    if there is None or there.sha256() == plan.sha256():
        return
    keys = differing_keys(there.model_dump(mode="json"), plan.model_dump(mode="json"))
    raise ConfigError(
        f"{store.url}: holds another plan for run {plan.run_id}; it differs in {_some(keys)}: "
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


def planned_runs(store: Store) -> list[str]:
    """Ids of all runs that have a plan."""
    return [listed.key.removeprefix(PLANS).removesuffix(".json") for listed in store.entries(PLANS)]


def require_version(name: str, data: bytes) -> None:
    """Raise InputError for a JSON object of a newer version, or for what is no JSON object."""
    try:
        version = json.loads(data)["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            f"{name}: corrupt: not a JSON object with a version; restore it from a backup"
        ) from None
    if isinstance(version, int) and version > VERSION:
        raise InputError(
            f"{name}: has version {version}, this nla_ray reads up to {VERSION}; upgrade nla_ray"
        )


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


def _some(items: list[str], n: int = 5) -> str:
    more = f" and {len(items) - n} more" if len(items) > n else ""
    return ", ".join(items[:n]) + more
