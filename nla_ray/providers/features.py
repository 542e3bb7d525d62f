"""The features of an explanation by a language model, as plain paragraphs without the marks of a list.

What the published recipe does (`stage2_api_explain` of the reference code): every line is a feature, marks of
lists and of emphasis go. Beyond it: headings, rules and fences are no features, a label on a line of its own
belongs to the next line, quotation marks around a whole feature go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_LIST = re.compile(r"(?:[-*\u2022+\u2013\u2014]|\d+[.)]|\(\d+\)|[a-zA-Z][.)]|\([a-zA-Z]\)|[ivxIVX]+[.)])\s+")
_BOLD = re.compile(r"\*\*(.+?)\*\*\s*")
_LAYOUT = re.compile(r"#{1,6}(?:\s|$)|```")
LABEL_WORDS = 5
"""A longer line that ends in a colon is a feature."""
_QUOTES = {'"': '"', "\u201c": "\u201d", "\u00ab": "\u00bb"}


def features_of(text: str) -> list[str]:
    """The features in what stands between the tags."""
    features: list[str] = []
    label = ""
    for line in _lines(text):
        if line.endswith(":") and len(line.split()) <= LABEL_WORDS:
            label += f"{line} "
            continue
        features.append(label + line)
        label = ""
    return [*features, label.strip()] if label else features


def _lines(text: str) -> Iterator[str]:
    for line in map(str.strip, text.split("\n")):
        if _LAYOUT.match(line):
            continue
        bare = _LIST.sub("", line, count=1) if _LIST.match(line) else line
        if bold := _BOLD.match(bare):
            rest = bare[bold.end() :]
            bare = f"{bold[1]}{'' if rest.startswith(':') else ' '}{rest}"
        bare = _unquoted(bare.strip().strip("*_").strip())
        if any(map(str.isalnum, bare)):
            yield bare


def _unquoted(line: str) -> str:
    """Without quotation marks around all of it; two quotations in one line are not that."""
    end, inner = _QUOTES.get(line[:1]), line[1:-1]
    if end is None or not inner or not line.endswith(end) or line[0] in inner or end in inner:
        return line
    return inner.strip()
