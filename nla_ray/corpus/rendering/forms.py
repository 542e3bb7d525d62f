"""The forms in which a template can write a value: whole, stripped, escaped as in JSON or in Python."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"})
_PYTHON = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r"})
_ESCAPES: tuple[Callable[[str], str], ...] = (
    str,
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1].translate(_HTML),
    lambda text: json.dumps(text)[1:-1].translate(_HTML),
    lambda text: text.translate(_PYTHON),
)


def forms(value: Any) -> dict[str, bool]:
    """Each form of a value, the whole one first, and whether whitespace at its ends is missing."""
    if not isinstance(value, str):
        return dict.fromkeys((json.dumps(value), str(value), str(value).lower()), False)
    found: dict[str, bool] = {}
    for escape in _ESCAPES:
        for text in _stripped(value):
            found.setdefault(escape(text), text != value)
    for escape in _ESCAPES[1:]:
        for text in _stripped(escape(value)):
            found.setdefault(text, True)
    return found


def _stripped(text: str) -> Iterator[str]:
    for left in dict.fromkeys((text, text.lstrip("\n"), text.lstrip())):
        yield from dict.fromkeys((left, left.rstrip("\n"), left.rstrip()))
