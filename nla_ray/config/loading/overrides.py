"""Overrides of the command line: values are YAML; what was meant as text is taken as it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import yaml

_PLAIN = "#?@%`*&!"
"""They mean something in YAML; in an override they are parts of names."""
_PRIVATE = range(0xE000, 0xF8FF)


def read_value(text: str) -> tuple[Any, Any]:
    """The value of an override as YAML, and the same with every scalar as it is written.

    Raises what PyYAML raises for what is not YAML.
    """
    masks = "".join(islice((char for char in map(chr, _PRIVATE) if char not in text), len(_PLAIN)))
    masked, back = text.translate(str.maketrans(_PLAIN, masks)), str.maketrans(masks, _PLAIN)
    # It makes nothing but texts, lists and mappings.
    written = yaml.load(masked, Loader=yaml.BaseLoader)
    return _translated(yaml.safe_load(masked), back), _translated(written, back)


def _translated(value: Any, table: Mapping[int, Any]) -> Any:
    if isinstance(value, str):
        return value.translate(table)
    if isinstance(value, list):
        return [_translated(one, table) for one in value]
    if isinstance(value, dict):
        return {_translated(name, table): _translated(one, table) for name, one in value.items()}
    return value


def as_written(value: Any, written: Any, where: Sequence[int | str]) -> Any:
    """The value with what is written in the place of the number, date or truth value at the end of a path.

    `written` holds what overrides gave. A path may name a kind of a part (a discriminator), which is no key.
    """
    if not where:
        scalar = value is not None and not isinstance(value, str | list | dict)
        return written if scalar and isinstance(written, str) else value
    part, rest = where[0], where[1:]
    if not _has(value, part):
        return as_written(value, written, rest)
    if not _has(written, part):
        return value
    changed = as_written(value[part], written[part], rest)
    if isinstance(value, list):
        return [changed if at == part else one for at, one in enumerate(value)]
    return value | {part: changed}


def _has(value: Any, part: int | str) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value
