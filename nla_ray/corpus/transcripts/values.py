"""JSON of untrusted files: parsed up to a size and a depth, and written so that anything can store it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

LARGEST = 1 << 30
"""Bytes of JSON that one transcript may take up."""

DEEPEST = 200
"""Objects and lists in one another: explicit, for how deep a parser comes depends on its thread."""


class UnreadableError(Exception):
    """A part of a file that cannot be read; the message says why."""


def parsed(text: bytes | str) -> Any:
    """The value of a JSON text. Raises UnreadableError."""
    try:
        value = json.loads(text)
        if not _is_deep(value):
            return value
    except RecursionError:
        pass
    except ValueError as error:
        raise UnreadableError(f"not JSON: {error}") from None
    raise UnreadableError(f"JSON nested deeper than {DEEPEST} levels")


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inner(outer) if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _inner(value: object) -> Iterator[object]:
    return iter(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())


def json_lines(file: BinaryIO) -> Iterator[tuple[int, Any]]:
    """Line numbers from 1 and values; in the place of a line that cannot be read, an UnreadableError."""
    number = 0
    while line := file.readline(LARGEST + 1):
        number += 1
        if len(line) > LARGEST:
            yield number, UnreadableError(f"more than {LARGEST >> 20} MiB; what follows is not read")
            return
        if line.strip():
            yield number, _value_or_error(line)


def _value_or_error(line: bytes) -> Any:
    try:
        return parsed(line)
    except UnreadableError as error:
        return error


def storable_json(value: Any) -> Any:
    """The value as JSON and UTF-8 can hold it: no NaN, no lone surrogates, other types as text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {storable_json(str(key)): storable_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [storable_json(inner) for inner in value]
    return str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def some_object(value: Any) -> Mapping[str, Any]:
    """The value where it is an object, and an empty one where it is not."""
    return value if isinstance(value, Mapping) else {}


def objects(values: Any) -> Iterator[Mapping[str, Any]]:
    """The objects of what may be a list."""
    return (value for value in (values if isinstance(values, list) else ()) if isinstance(value, Mapping))
