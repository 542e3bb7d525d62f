"""Untrusted YAML: one mapping per file, typed fields, and an error that names file, field and remedy."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nla_ray.config.loading.lines import OverlookedError, document
from nla_ray.config.models.injection import parse_scale
from nla_ray.errors import CheckpointError

MAX_BYTES = 1 << 20
OUR_GROUPS = ("extraction", "tokens", "prompt_templates")

_shown = reprlib.Repr()
_shown.maxlevel, _shown.maxlist, _shown.maxdict = 2, 4, 4
_shown.maxstring = _shown.maxother = 100


def load_mapping(path: Path) -> dict[str, Any]:
    """The YAML mapping in `path`; anything else is a CheckpointError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError(f"{path}: larger than {MAX_BYTES} bytes; a sidecar is a page of YAML")
        loaded = document(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; a published checkpoint carries this sidecar") from None
    except yaml.YAMLError as error:
        raise CheckpointError(f"{path}: not valid YAML: {_yaml_problem(error)}") from None
    except OverlookedError as error:
        raise CheckpointError(f"{path}: {error.what} (line {error.line})") from None
    # PyYAML raises ValueError for an impossible date or number and RecursionError for a tower of brackets.
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read as YAML: {type(error).__name__}: {error}") from None
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{path}: found a {type(loaded).__name__}; a mapping (key: value) was expected")
    return {str(key): value for key, value in loaded.items()}


def _yaml_problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem} (line {error.problem_mark.line + 1})"
    return reprlib.repr(str(error))


@dataclass(frozen=True)
class Fields:
    """One sidecar's mapping, looked up by dotted field names.

    `None` and an absent key are told apart by `present`. Every refusal is a CheckpointError that names
    the file, the field, what was found and what to do.
    """

    path: Path
    meta: Mapping[str, Any]
    dialect: str = "released"
    original: Mapping[str, Any] = field(default_factory=dict)
    """The mapping as it stands in the file, where `meta` says the same in the released dialect's names."""
    known: str | None = None
    """The injection that the table of known pairs says."""
    neighbours: bool = True
    """Whether sidecars of this dialect record the marker's ids."""

    def refuse(self, field: str, remedy: str) -> CheckpointError:
        """The error for `field`, showing what stands there (shortened: the text is untrusted)."""
        found = _shown.repr(self.get(field)) if self.present(field) else "nothing"
        return CheckpointError(f"{self.path}: {field}: found {found}; {remedy}")

    def present(self, field: str) -> bool:
        """Whether the key is there at all, null included."""
        *groups, key = field.split(".")
        return key in self._group(groups)

    def get(self, field: str) -> Any:
        """The value, or None where it is null or absent."""
        *groups, key = field.split(".")
        return self._group(groups).get(key)

    def first(self, names: Sequence[str]) -> str | None:
        """The first of these fields that holds something."""
        return next((name for name in names if self.get(name) is not None), None)

    def integer(self, field: str, minimum: int) -> int:
        """A whole number of at least `minimum`; `20`, `20.0` and `"20"` are the same."""
        value = self.get(field)
        if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
            value = int(value) if len(value) < 20 else None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise self.refuse(field, f"a whole number of at least {minimum} was expected")
        return value

    def text(self, field: str) -> str:
        """A string with something in it."""
        value = self.get(field)
        if not isinstance(value, str) or not value:
            raise self.refuse(field, "a text was expected")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.refuse(field, "a text without lone surrogates was expected") from None
        return value

    def scale(self, field: str, d_model: int) -> float | None:
        """An L2 norm: a positive number (or its text), `sqrt_d_model`, or None for `raw`, `none` and null."""
        try:
            return parse_scale(self.get(field), d_model)
        except ValueError as error:
            raise self.refuse(field, str(error)) from None

    def group(self, name: str) -> Mapping[str, Any]:
        """The mapping under a dotted name, empty where there is none; "" is the whole sidecar."""
        return self._group(name.split(".") if name else [])

    def _group(self, names: Sequence[str]) -> Mapping[str, Any]:
        here: Mapping[str, Any] = self.meta
        for name in names:
            below = here.get(name)
            if not isinstance(below, dict):
                if below is not None and name in OUR_GROUPS:
                    found = _shown.repr(below)
                    raise CheckpointError(f"{self.path}: {name}: found {found}; a mapping was expected")
                return {}
            here = below
        return here
