"""Text without secrets, with the names that were given; untrusted text as it is matched, shown, exported."""

from __future__ import annotations

import json
import math
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

_USER = re.compile(r"(?<=://)[^/\s?#@\"\\]+(?=@)")
_CUT = re.compile(r"(?<=://)[^/\s?#@:\"\\\[]+:(?!\d+\b)[^/\s?#@\"\\]+")
"""A user with a password whose host was cut off; what ends in digits alone is a host with its port."""
_PARAMETER = re.compile(
    r"([?&;][\w.-]*(?:signature|sig|token|secret|password|passwd|credential|key|auth)[\w.-]*=)[^&\s;#\"'\\]+",
    re.IGNORECASE,
)
_SECRET = re.compile(r"SECRET|TOKEN|PASSWORD|API_?KEY|WEBHOOK", re.IGNORECASE)
_PLACE = re.compile(r"(?:PATH|FILE|DIR)$", re.IGNORECASE)
SHORTEST_SECRET = 12
MASK = "***"

SPECIAL_TOKEN = re.compile(
    r"^\s*(<[|｜][^<>]+[|｜]?>|</?(s|bos|eos|pad|unk|mask|start_of_turn|end_of_turn)>|\[/?(INST|SYSTEM_PROMPT)\]"
    r"|\[(BOS|EOS|PAD|UNK|CLS|SEP|MASK)\])\s*$"
)
"""How the special tokens of published models are written; an expression of RE2 too."""

FORMULAS = tuple("=+-@＝＋－＠")
_CONTROLS = ("\t", "\r")
_INVISIBLE = frozenset({"Cf", "Cc"})


_GIVEN: dict[str, str] = {}


def call(path: Path, words: object) -> None:
    """From now on `as_given` says these words for a path that this machine made for itself."""
    _GIVEN[str(path)] = str(words)


def as_given(text: str) -> str:
    """Text that names what somebody gave in place of what was made from it (see `call`)."""
    # The longest first: a folder's path is the beginning of those of its files.
    for path in sorted((one for one in list(_GIVEN) if one in text), key=len, reverse=True):
        text = text.replace(path, _GIVEN[path])
    return text


def masked(text: str) -> str:
    """Text without what opens something.

    That is users and passwords in URLs, signatures and keys in their queries, and the values of the
    environment whose names say that they are secret.
    """
    for secret in _secrets():
        text = text.replace(secret, MASK)
    if "://" not in text:
        return text
    return _PARAMETER.sub(rf"\1{MASK}", _CUT.sub(MASK, _USER.sub(MASK, text)))


def masked_values(value: Any) -> Any:
    """A JSON value with every text in it masked."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {key: masked_values(one) for key, one in value.items()}
    return [masked_values(one) for one in value] if isinstance(value, list | tuple) else value


def _secrets() -> list[str]:
    named = (one for one in os.environ.items() if _SECRET.search(one[0]) and not _PLACE.search(one[0]))
    return [value for _, value in named if len(value) >= SHORTEST_SECRET]


def normalise(text: str) -> str:
    """Text for matching: NFKC, casefolded, without control, zero-width and bidirectional characters.

    Full-width letters and hidden characters defeat a plain match otherwise. Newlines and tabs stay.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    hidden = {char for char in set(folded) - {"\n", "\t"} if unicodedata.category(char) in _INVISIBLE}
    return folded.translate(dict.fromkeys(map(ord, hidden))) if hidden else folded


def storable(text: str) -> str:
    """The text with lone surrogates, which UTF-8 cannot hold, as replacement characters."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def printable(text: str) -> str:
    """Text to look at: every control, bidirectional and otherwise unprintable character is written out."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()


def csv_line(values: Iterable[object]) -> str:
    """A line of CSV, without its end: text in quotes, nothing for null, no cell that is a formula."""
    return ",".join(map(_cell, values))


def json_text(value: object, *, ascii_only: bool = False) -> str:
    """JSON in which a Decimal keeps each digit, and a float that JSON has no number for is text."""
    try:
        return _ENCODERS[ascii_only].encode(value)
    except (TypeError, ValueError):
        each = partial(json_text, ascii_only=ascii_only)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{each(name)}: {each(item)}' for name, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(each, value))}]"
    return number_text(value) if isinstance(value, Decimal) else each(number_text(value))


_ENCODERS = {flag: json.JSONEncoder(ensure_ascii=flag, allow_nan=False) for flag in (False, True)}


def number_text(value: object) -> str:
    """A number with all its digits; NaN, inf or -inf for one that is none."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    return "NaN" if isinstance(value, float) and math.isnan(value) else str(value)


def _cell(value: object) -> str:
    if isinstance(value, list | dict):
        value = json_text(value)
    if not isinstance(value, str):
        number = isinstance(value, float | Decimal)
        return number_text(value) if number else "" if value is None else json.dumps(value)
    # Quoted also where no comma is in it: a spreadsheet may take another separator.
    return '"' + _inert(value).replace('"', '""') + '"'


def _inert(text: str) -> str:
    """Text behind an apostrophe where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.lstrip().startswith(FORMULAS) or text.startswith(_CONTROLS) else text
