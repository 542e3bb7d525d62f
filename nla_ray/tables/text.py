"""Text from tables, made harmless to look at."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text with every control, bidirectional and otherwise unprintable character written out."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()
