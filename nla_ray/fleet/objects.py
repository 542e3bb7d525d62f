"""The JSON objects that a sweep keeps: written once, read back checked."""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic import ValidationError

from nla_ray.config.base import Config
from nla_ray.errors import InputError
from nla_ray.store.places.objects import Store

VERSION = 1
"""Of all objects of a sweep."""

C = TypeVar("C", bound=Config)


def put_object(store: Store, key: str, value: Config) -> bool:
    """Write an object that is not there yet; False where another was there first."""
    return store.put_new(key, encoded(value))


def encoded(value: Config) -> bytes:
    """The bytes of an object."""
    return json.dumps({"version": VERSION} | value.model_dump(mode="json"), sort_keys=True).encode()


def get_object(store: Store, key: str, kind: type[C]) -> C | None:
    """An object, None where there is none. Raises InputError for a damaged or newer one."""
    try:
        data = store.get(key)
    except FileNotFoundError:
        return None
    return decoded(f"{store.url}/{key}", data, kind)


def decoded(name: str, data: bytes, kind: type[C]) -> C:
    """What the bytes of an object say. Raises InputError that names it."""
    try:
        values = json.loads(data)
        version = values.pop("version")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(
            f"{name}: damaged: not a JSON object with a version; restore it from a backup"
        ) from None
    if version != VERSION:
        raise InputError(f"{name}: has version {version!r}, this nla_ray reads {VERSION}; upgrade nla_ray")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "JSON"
        raise InputError(f"{name}: damaged: {where}: {problem['msg']}; restore it from a backup") from None
