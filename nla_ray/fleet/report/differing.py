"""What changed in a configuration from one week to the next."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from nla_ray.fleet.report.model import Changed
from nla_ray.pages.words import QUOTE, clipped
from nla_ray.text import masked


def changed_values(before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]) -> tuple[Changed, ...]:
    """The values that are another one, by their dotted key; an entry of a list that has a name goes by it."""
    was, now = ({key: masked(text) for key, text in _flat("", dict(one))} for one in (before, after))
    keys = sorted(was.keys() | now.keys())
    return tuple(
        Changed(key=key, before=clipped(was.get(key, ""), QUOTE), after=clipped(now.get(key, ""), QUOTE))
        for key in keys
        if was.get(key) != now.get(key)
    )


def _flat(name: str, value: JsonValue) -> Iterator[tuple[str, str]]:
    parts = _parts(value)
    if not parts:
        yield name, json.dumps(value, ensure_ascii=False)
    for key, part in parts.items():
        yield from _flat(f"{name}.{key}" if name else key, part)


def _parts(value: JsonValue) -> dict[str, JsonValue]:
    """What a value is made of; nothing for one that is compared as a whole."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value):
        return {str(one["name"]): one for one in value if isinstance(one, dict)}
    return {}
