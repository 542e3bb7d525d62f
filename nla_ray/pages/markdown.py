"""What Markdown pages share: every text is shown as it is, whatever a renderer would make of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from nla_ray.pages.words import QUOTE, clipped
from nla_ray.text import printable

_MARKUP = re.compile(r"([\\`*_{}\[\]<>&#~!^])")
_LIVE = re.compile(r"@|://|www\.|#\d|gh-\d|:\w+:|\$", re.IGNORECASE)
"""What GitHub makes links, mentions, pictures and formulas of, even where it is escaped."""


def code(text: str) -> str:
    """Text that every renderer shows as it is: a code span, longer fenced than any run of backticks in it."""
    line = clipped(printable(text), QUOTE).strip() or "(empty)"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line else f"`{line}`"


def plain(text: str) -> str:
    """Words of a configuration as running text; as code where a renderer would make a link of them."""
    line = " ".join(printable(" ".join(text.split())).split())
    return code(line) if _LIVE.search(line) else _MARKUP.sub(r"\\\1", line).replace("|", "&#124;")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Lines of a table; cells are Markdown already."""
    names = list(head)
    yield f"| {' | '.join(names)} |"
    yield f"|{'|'.join(' --- ' for _ in names)}|"
    yield from (f"| {' | '.join(_cell(text) for text in row)} |" for row in rows)
    yield ""


def _cell(text: str) -> str:
    """Pipes escaped; a backslash before one would undo that."""
    return text.replace("\\|", "\\ |").replace("|", "\\|")
