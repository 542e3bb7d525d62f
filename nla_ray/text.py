"""Untrusted text: as it is matched, as it is looked at, as a spreadsheet takes it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable

FORMULAS = tuple("=+-@＝＋－＠")
_CONTROLS = ("\t", "\r")
_INVISIBLE = frozenset({"Cf", "Cc"})


def normalise(text: str) -> str:
    """Text for matching: NFKC, casefolded, without control, zero-width and bidirectional characters.

    Full-width letters and hidden characters defeat a plain match otherwise. Newlines and tabs stay.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    hidden = {char for char in set(folded) - {"\n", "\t"} if unicodedata.category(char) in _INVISIBLE}
    return folded.translate(dict.fromkeys(map(ord, hidden))) if hidden else folded


def printable(text: str) -> str:
    """Text to look at: every control, bidirectional and otherwise unprintable character is written out."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()


def csv_line(values: Iterable[object]) -> str:
    """A line of CSV, without its end: text in quotes, nothing for null, no cell that is a formula."""
    return ",".join(map(_cell, values))


def _cell(value: object) -> str:
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str):
        return "" if value is None or value != value else json.dumps(value)
    # Quoted also where no comma is in it: a spreadsheet may take another separator.
    return '"' + _inert(value).replace('"', '""') + '"'


def _inert(text: str) -> str:
    """Text behind an apostrophe where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.lstrip().startswith(FORMULAS) or text.startswith(_CONTROLS) else text
