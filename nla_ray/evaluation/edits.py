"""Edits of explanations: a text without its order, its quotes, one of its sections or its end."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

_QUOTED = re.compile(
    '"[^"]*"|\u201c[^\u201d]*\u201d|\u201e[^\u201c\u201d]*[\u201c\u201d]|\u00ab[^\u00bb]*\u00bb|\u300c[^\u300d]*\u300d'
    r"|(?<!\w)'[^'\n]*'(?!\w)|(?<!\w)\u2018[^\u2019\n]*\u2019(?!\w)|`[^`]*`"
)
_WORD = re.compile(r"\S+")
_BREAK = re.compile(r"\n[^\S\n]*\n\s*")

SHARES = tuple(step / 10 for step in range(11))
"""Of its words, that a cut text keeps: ten steps after the empty text."""


@dataclass(frozen=True)
class Rule:
    """An edit; `apply` is given a text and a key, and returns the same text where it does not apply."""

    name: str
    about: str
    apply: Callable[[str, str], str]


def shuffle_words(text: str, key: str) -> str:
    """The words in an order that the key draws, one space between them."""
    words = text.split()
    random.Random(key).shuffle(words)
    return " ".join(words)


def remove_quotes(text: str, key: str = "") -> str:
    """The text without quoted spans and their marks; an apostrophe within a word is none."""
    kept, spans = _QUOTED.subn("", text)
    return re.sub(r"[^\S\n]{2,}", " ", kept).strip() if spans else text


def sections(text: str) -> list[str]:
    """The parts between blank lines, which is how explanations set their features apart."""
    return [part for part in _BREAK.split(text.strip()) if part]


def remove_section(text: str, key: str, which: str) -> str:
    """Without the first or the last of at least two sections, or one of those between, drawn by the key."""
    parts = sections(text)
    if len(parts) < (3 if which == "middle" else 2):
        return text
    middle = random.Random(key).randrange(1, len(parts) - 1) if which == "middle" else 0
    gone = {"first": 0, "middle": middle, "last": len(parts) - 1}[which]
    return "\n\n".join(part for at, part in enumerate(parts) if at != gone)


def keep_words(text: str, share: float) -> str:
    """The beginning of the text with this share of its words, rounded up."""
    ends = [word.end() for word in _WORD.finditer(text)]
    count = math.ceil(share * len(ends) - 1e-9)
    return text[: ends[count - 1]] if count else ""


RULES = (
    Rule("word shuffle", "all words in a drawn order: is it more than a bag of words?", shuffle_words),
    Rule("without quotes", "quoted spans removed: how much is copied from the text?", remove_quotes),
    Rule("without the first section", "of at least two",
         lambda text, key: remove_section(text, key, "first")),
    Rule("without a middle section", "one of those between the first and the last",
         lambda text, key: remove_section(text, key, "middle")),
    Rule("without the last section", "of at least two; usually about the final token",
         lambda text, key: remove_section(text, key, "last")),
)  # fmt: skip
