"""Configurations from YAML files and dotted overrides; errors name the file, the key and the way out."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from nla_ray.config.base import Config
from nla_ray.config.loading.lines import OverlookedError, document
from nla_ray.config.loading.overrides import as_written, read_value
from nla_ray.contract import job
from nla_ray.errors import ConfigError, NoFileError

C = TypeVar("C", bound=Config)

Read = Callable[[str], bytes]
"""The content of an object of S3 by its URL; handed in by whoever sees the store."""

S3 = "s3://"

_JOBS = Path("jobs")

# An impossible date is a plain ValueError in PyYAML; bytes that are not UTF-8 are one too.
NOT_YAML = (yaml.YAMLError, ValueError, RecursionError)


def load(model: type[C], path: Path | str, overrides: Sequence[str] = (), *, remote: Read | None = None) -> C:
    """Read `path` (YAML) as `model`; `overrides` such as `engine.dtype=float32` win over the file.

    `jobs/NAME` is the file that comes with nla_ray where the current folder has none of that name. A URL of
    S3 (a text: a Path drops a slash) is read by `remote`, which raises its own errors.

    Raises NoFileError, ConfigError: not YAML, not a mapping, an unknown key, a value that is not allowed.
    """
    values, written = _read(path, remote), dict[str, Any]()
    for override in overrides:
        key, value, text = _parsed(override, model)
        _put(values, override, key, value)
        _put(written, override, key, text)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        meant = values
        for problem in error.errors(include_url=False):
            meant = as_written(meant, written, problem["loc"])
        with suppress(ValidationError):
            return model.model_validate(meant)
        said, where = explain(error, model)
        raise ConfigError(f"{_blamed(path, overrides, where)}: {said}") from None


def given(model: type[C], overrides: Sequence[str]) -> C:
    """A model of nothing but `KEY=VALUE`. Raises ConfigError as `load` does."""
    values: dict[str, Any] = {}
    for override in overrides:
        key, value, _ = _parsed(override, model)
        _put(values, override, key, value)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{' '.join(overrides)}: {explain(error, model)[0]}") from None


def _blamed(path: Path | str, overrides: Sequence[str], where: Sequence[int | str]) -> str:
    """What a problem is in: the last override of that key or of one above it, else the file and what it was
    given there.

    The path to a problem may name a kind of a part (a discriminator) that no key names.
    """
    keys = [(override, override.partition("=")[0].split(".")) for override in overrides]
    parts = [str(part) for part in where]
    for override, key in reversed(keys):
        left = iter(parts)
        if all(part in left for part in key):
            return f"override {override!r}"
    # What is missing may be missing because of what was given beside it.
    near = [override for override, key in keys if key[: len(parts)] == parts] or [
        override for override, key in keys if len(key) > 1 and key[:-1] == parts[:-1]
    ]
    return f"{path} with {' '.join(near)}" if near else str(path)


def _bytes(path: Path | str, remote: Read | None) -> bytes:
    if remote is not None and str(path).startswith(S3):
        return remote(str(path))
    named = Path(path)
    return (named if named.exists() or named.parent != _JOBS else job(named.name)).read_bytes()


def _read(path: Path | str, remote: Read | None) -> dict[str, Any]:
    try:
        values = document(_bytes(path, remote).decode())
    except OSError as error:
        kind = NoFileError if isinstance(error, FileNotFoundError) else ConfigError
        raise kind(f"{path}: cannot read this configuration file: {error.strerror}") from None
    except NOT_YAML as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    except OverlookedError as error:
        raise ConfigError(f"{path}: line {error.line}: {error.what}") from None
    if not isinstance(values, dict):
        what = "nothing" if values is None else type(values).__name__
        raise ConfigError(f"{path}: found {what} where keys with values belong")
    return values


def _parsed(override: str, model: type[BaseModel]) -> tuple[list[str], Any, Any]:
    """The dotted key of `a.b=value`, the value as YAML, and as it is written."""
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        known = ", ".join(model.model_fields)
        raise ConfigError(f"override {override!r}: write it as key=value; a key begins with one of {known}")
    try:
        return key.split("."), *read_value(text)
    except NOT_YAML as error:
        raise ConfigError(f"override {override!r}: the value is not YAML: {error}") from None


def _put(values: dict[str, Any], override: str, key: Sequence[str], value: Any) -> None:
    """Set a key in place."""
    *parents, leaf = key
    here: Any = values
    for at, parent in enumerate(parents):
        here = here.setdefault(parent, {})
        if not isinstance(here, dict):
            what = "a single value and has no keys below it"
            if isinstance(here, list):
                whole = ".".join(key[: at + 1])
                what = f"a list, which is given as a whole, such as {whole}=[ONE, OTHER]"
            raise ConfigError(f"override {override!r}: {parent!r} is {what}")
    here[leaf] = value


_PLAIN = {
    "tuple_type": "a list belongs here, such as [a, b]",
    "too_short": "the list needs at least one value",
    "model_type": "keys with values belong here, such as {key: value}",
    "dict_type": "keys with values belong here, such as {key: value}",
    "string_type": "a text belongs here",
    "int_type": "a whole number belongs here",
    "int_parsing": "a whole number belongs here",
    "float_type": "a number belongs here",
    "float_parsing": "a number belongs here",
    "bool_type": "true or false belongs here",
    "bool_parsing": "true or false belongs here",
}
"""What pydantic says in words of Python."""


def explain(error: ValidationError, model: type[BaseModel]) -> tuple[str, tuple[int | str, ...]]:
    """One problem in one sentence, and the path to it.

    Unknown keys come first, for a typo often shows up as a missing key too.
    """
    problems = error.errors(include_url=False)
    problem = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        message = _PLAIN.get(problem["type"], problem["msg"].removeprefix("Value error, "))
        found = "" if problem["type"] == "missing" else f" (found {_short(problem['input'])})"
        if problem["type"] == "string_type" and isinstance(problem["input"], int | float | date):
            found += "; to have it as text, put it in quotes"
        return f"{where + ': ' if where else ''}{message}{found}", problem["loc"]
    allowed = _keys_at(model, [str(part) for part in problem["loc"][:-1]])
    near = difflib.get_close_matches(str(problem["loc"][-1]), allowed, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{where}: unknown key; {hint}allowed: {', '.join(sorted(allowed))}", problem["loc"]


def _keys_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Field names of the model that lies at `path` below `model`."""
    kinds = [model]
    for name in path:
        # Of several kinds of a part, pydantic's path names the one that was meant.
        kinds = [kind for kind in kinds if name in _tags(kind)] or kinds
        field = next((kind.model_fields[name] for kind in kinds if name in kind.model_fields), None)
        if field is not None:
            kinds = _models_in(field.annotation) or kinds
    return list(kinds[0].model_fields)


def _tags(model: type[BaseModel]) -> list[str]:
    """The values of a model's discriminator."""
    field = model.model_fields.get("kind")
    return [str(value) for value in get_args(field.annotation)] if field is not None else []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _models_in(part)]


def _short(value: object, limit: int = 60) -> str:
    if isinstance(value, Mapping):
        return f"keys {', '.join(map(str, value)) or 'none'}"
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
