"""Untrusted text: as it is matched, and as it is looked at."""

from __future__ import annotations

import unicodedata

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
