"""Values that nobody vouches for: where one is in a chat, what it may hold, the fields of an object."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nla_ray.corpus.chats.model import ChatError

MAX_DEPTH = 64
"""Levels of lists and objects in one field: explicit, for how deep a parser comes depends on its thread."""

_TOO_DEEP = f"nested deeper than {MAX_DEPTH}"
_UNSET = frozenset({"partial", "prefix", "redacted"})
"""Flags that change what the target saw, and say nothing where they are false."""


@dataclass(frozen=True)
class Place:
    """Where a value is: `message 2` and the path in it, `content[0].text`; fields to `ignore` anywhere."""

    top: str = ""
    path: str = ""
    ignore: frozenset[str] = frozenset()

    def at(self, step: str | int) -> Place:
        """The place of a field, or of an item of a list."""
        if isinstance(step, int):
            return replace(self, path=f"{self.path}[{step}]")
        return replace(self, path=f"{self.path}.{_shown(step)}" if self.path else _shown(step))

    def error(self, problem: str) -> ChatError:
        """The problem with its place before it."""
        return ChatError(": ".join(part for part in (self.top, self.path, problem) if part))


class Fields:
    """The fields of one object, taken out one by one; null is absent, and so is what is ignored."""

    def __init__(self, value: object, place: Place, what: str) -> None:
        """Raises ChatError where the value is no object; `what` says what belongs there."""
        if not isinstance(value, Mapping):
            raise place.error(f"found {kind(value)} where {what} belongs")
        self.place = place
        self._values = {
            name: found for name, found in value.items() if found is not None and name not in place.ignore
        }

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def take(self, name: str) -> object:
        """The value of a field, None where it is absent."""
        return self._values.pop(name, None)

    def text(self, name: str) -> str | None:
        """The text of a field, None where it is absent."""
        return self.needed_text(name) if name in self else None

    def needed_text(self, name: str) -> str:
        """The text of a field that must be there."""
        return text_of(self.take(name), self.place.at(name))

    def name(self, name: str) -> str:
        """The text of a field that must hold more than blanks."""
        return name_of(self.take(name), self.place.at(name))

    def close(self, metadata: frozenset[str]) -> None:
        """Raise ChatError for fields that hold something, were not taken, and are no mere metadata."""
        left = [
            _shown(name)
            for name, found in self._values.items()
            if name not in metadata and not is_nothing(found) and not (found is False and name in _UNSET)
        ]
        if left:
            names = ", ".join(left)
            way_out = f"if the target never saw this, set corpus.chat.ignore: [{names}]"
            raise self.place.error(f"{names}: not understood; {way_out}")


def kind(value: object) -> str:
    """What a value is, in a word."""
    return "null" if value is None else type(value).__name__


def is_nothing(value: object) -> bool:
    """Whether a value is null, an empty text, an empty list or an empty object."""
    return value is None or (isinstance(value, str | list | Mapping) and not value)


def text_of(value: object, place: Place) -> str:
    """The value, if it is text and valid Unicode."""
    if not isinstance(value, str):
        raise place.error(f"found {kind(value)} where text belongs")
    if problem := _leaf_problem(value):
        raise place.error(problem)
    return value


def name_of(value: object, place: Place) -> str:
    """The value, if it is text with more than blanks in it."""
    if not (name := text_of(value, place)).strip():
        raise place.error("is empty")
    return name


def list_of(value: object, place: Place, what: str) -> list[object]:
    """The value, if it is a list; `what` says of what."""
    if not isinstance(value, list):
        raise place.error(f"found {kind(value)} where a list of {what} belongs")
    return value


def object_of(value: object, place: Place, what: str) -> Mapping[str, Any]:
    """The value, if it is an object that JSON can hold; `what` says what belongs there."""
    if not isinstance(value, Mapping):
        raise place.error(f"found {kind(value)} where {what} belongs")
    for problem in filter(None, map(_leaf_problem, _leaves(value))):
        raise place.error(problem)
    return value


def plain(value: object, place: Place, *, nulls: bool) -> object:
    """A value that is not too deep; without `nulls`, also without the null fields that Arrow adds."""
    if _is_deeper(value, MAX_DEPTH):
        raise place.error(_TOO_DEEP)
    return value if nulls else _without_nulls(value)


def unpaired(value: object) -> object:
    """An Arrow map, which comes as pairs, as an object; anything else as it is."""
    if not (isinstance(value, list) and value and all(isinstance(item, tuple) for item in value)):
        return value
    return dict(value) if all(len(item) == 2 and isinstance(item[0], str) for item in value) else value


def parsed(text: str, place: Place, what: str) -> Any:
    """What a JSON text holds; `what` says what belongs there."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise place.error(_TOO_DEEP) from None
    except ValueError as error:
        if text.lstrip()[:1] in ("[", "{", "(") and text.lstrip("[{( \t\r\n")[:1] == "'":
            raise place.error("text in Python's notation, not JSON; write it with json.dumps") from None
        raise place.error(f"text that is not JSON where {what} belongs ({error})") from None
    # Fields are measured one by one, later; this far above their limit no parser gives up by itself.
    if _is_deeper(found, 2 * MAX_DEPTH):
        raise place.error(_TOO_DEEP)
    return found


def _is_deeper(value: object, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for one in level for child in _children(one)]
    return any(isinstance(one, Mapping | list | tuple) for one in level)


def _children(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list | tuple):
        yield from value


def _leaves(value: object) -> Iterator[object]:
    """Every name and every value in it that is neither an object nor a list."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            yield from one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        else:
            yield one


def _leaf_problem(value: object) -> str | None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return "not valid Unicode (a lone surrogate)"
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return f"holds {value}, which is no number of JSON"
    if value is None or isinstance(value, bool | int | float):
        return None
    return f"holds {kind(value)}, which JSON has not"


def _without_nulls(value: object) -> object:
    value = unpaired(value)
    if isinstance(value, Mapping):
        return {name: _without_nulls(found) for name, found in value.items() if found is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def _shown(name: object) -> str:
    """The name of a field; nobody vouches for it either."""
    if isinstance(name, str) and name.isidentifier() and len(name) <= 40:
        return name
    return f"{name!r:.40}"
