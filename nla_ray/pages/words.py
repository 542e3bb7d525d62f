"""How a report writes numbers and untrusted text: the same on the page, in Markdown and in SARIF."""

from __future__ import annotations

import math
from collections.abc import Iterable

from nla_ray.text import printable

MINUS = "\u2212"
MISSING = "\u2013"
QUOTE = 200
"""Characters of a text that is quoted in a line."""


def shown(text: str) -> str:
    """Text with everything unprintable written out, except newlines."""
    return "\n".join(printable(line) for line in text.split("\n"))


def clipped(text: str, most: int) -> str:
    """The text, or its beginning and how much is left out: never less than the words that say so."""
    told = f" [\u2026 {len(text) - most} more characters]"
    return text if len(text) <= most + len(told) else f"{text[:most]}{told}"


def sentence(text: str) -> str:
    """Text that begins with a capital."""
    return text[:1].upper() + text[1:]


def decimals(shares: Iterable[float | None]) -> int:
    """Decimals in percent, 1 to 4, with which the smallest of these shares above zero is still above zero."""
    smallest = min((share for share in shares if share), default=1.0)
    return min(4, max(1, math.ceil(-math.log10(abs(smallest) * 100))))


def percent(share: float | None, digits: int = 1) -> str:
    """A share in percent: "12.4 %"; one that is not zero never reads as zero."""
    if share is None:
        return MISSING
    least = 10.0**-digits
    return f"< {least:.{digits}f} %" if 0 < share * 100 < least / 2 else f"{number(share * 100, digits)} %"


def points(change: float | None, digits: int = 1) -> str:
    """A difference of two shares in percentage points, signed."""
    return MISSING if change is None else number(change * 100, digits, sign=True)


def number(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """A number with fixed decimals and a real minus sign; zero has none."""
    if value is None:
        return MISSING
    text = f"{abs(value):,.{digits}f}"
    if not text.strip("0.,"):
        return text
    return (MINUS if value < 0 else "+" if sign else "") + text


def part(value: float | None) -> str:
    """A component of a score with three decimals; what is smaller still says so."""
    return "< 0.001" if value is not None and 0 < value < 0.0005 else number(value, 3)


def probability(p: float | None) -> str:
    """A p-value with three decimals."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def count(value: int) -> str:
    """An integer with separated thousands."""
    return f"{value:,}"
