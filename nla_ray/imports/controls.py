"""Which control a row of another tool says it is of; a word that is not known is nobody's guess."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nla_ray.imports.values import missing
from nla_ray.tables import CONTROLS, REAL

NAMES = (REAL, *CONTROLS)

_LOOSE = ("kind", "condition")
"""Keys that other things stand in, too: what looks like a control counts. `none` is none there."""

_LIKE = re.compile(
    r"(?<![a-z])(?:shuffled?|random(?:ized)?|mean|zero(?:s|ed)?|noise|permuted|teacher|baseline|control)(?![a-z])"
)


class ForeignError(Exception):
    """A row says that it is something that has no place here: it must not be filed as something else."""


def control_in(values: Mapping[str, Any], words: Mapping[str, str]) -> tuple[str | None, str]:
    """The key that says which control the row is of, if one does, and our name for it.

    `words` are names for the tool's own words. Raises ForeignError for a word that neither has.
    """
    word = _word(values.get("control"))
    if word:
        return "control", _named("control", word, words)
    for key in _LOOSE:
        word = _word(values.get(key))
        if word in words or (word in NAMES and word != "none") or _LIKE.search(word):
            return key, _named(key, word, words)
    return None, REAL


def _word(value: object) -> str:
    """The value as a word; what says nothing, as null and false do, is an empty one."""
    if missing(value) or value is False:
        return ""
    return (value if isinstance(value, str) else repr(value)).strip().lower()


def _named(key: str, word: str, words: Mapping[str, str]) -> str:
    name = words.get(word, word)
    if name not in NAMES:
        short = word if len(word) <= 40 else word[:39] + "…"
        raise ForeignError(
            f"{key}: {short!r} is not one of {', '.join(NAMES)}; say which one it is with --control "
            f"{short}=NAME, or leave these rows out of the file"
        )
    return name
