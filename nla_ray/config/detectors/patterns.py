"""Patterns of detectors: RE2 expressions over normalised text, checked and written out for one engine."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, StringConstraints

LONGEST = 600
"""Characters of one pattern."""
MOST_ALTERNATIVES, MOST_BYTES = 500, 8000
"""Of one combined expression: past about 1,000 alternatives RE2 becomes hundreds of times slower."""

EMPTY = "it matches the empty text"

_TOKEN = re.compile(
    r"""\\(?:[pPx]\{[^}]*\}|[pP].|x[0-9a-fA-F]{2}|.)   # an escape
      | \[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]         # a class of characters
      | \(\?(?:[a-zA-Z-]*[:)]|P?<\w+>|<?[=!])           # a group with its kind, or flags
      | \{\d+(?:,\d*)?\} | . """,
    re.VERBOSE | re.DOTALL,
)
_CLASS_PART = re.compile(r"\[:\^?\w+:\]|\\(?:[pPx]\{[^}]*\}|.)")
_SAME = {" ": r"[\s*]+", "'": "['’]", '"': '["“”]', "-": "[-‐–—]"}
"""How a character of a pattern is matched: text wraps lines, marks words, and has its own quotes."""


def tokens(pattern: str) -> list[str]:
    """A pattern cut into escapes, classes, group openings, counts and single characters."""
    return _TOKEN.findall(pattern)


@lru_cache(maxsize=10_000)
def expression(pattern: str, *, whole_words: bool = True) -> str:
    """The RE2 expression of a pattern.

    A space stands for any white space and for the asterisks of emphasis, plain quotes and hyphens also for
    their typographic forms. With `whole_words` a match that begins or ends with a letter, a digit or `_`
    begins or ends a word there (`a-z`, `0-9` and `_` make words).
    """
    parts = tokens(pattern)
    after = [*(token[0] in "?*+{" for token in parts[1:]), False]
    body = "".join(_written(token, counted) for token, counted in zip(parts, after, strict=True))
    if not whole_words:
        return f"(?:{body})"
    left = r"\b" if _wordlike(parts[0]) else ""
    right = r"\b" if _wordlike(parts[-1]) or parts[-1][0] in ")*+?{" else ""
    return f"{left}(?:{body}){right}"


def _written(token: str, counted: bool) -> str:
    written = _SAME.get(token, token)
    return f"(?:{written})" if counted and token == " " else written


def _wordlike(token: str) -> bool:
    """Whether a part of a pattern is, or may be, a character that makes words."""
    return token in (r"\w", r"\d") or token[0] in "([_" or (token.isascii() and token.isalnum())


def near(first: Sequence[str], second: Sequence[str], words: int, *, ordered: bool) -> str:
    """The RE2 expression of a match of `first` and one of `second` in a sentence, at most `words` between.

    A sentence ends with a full stop, an exclamation or question mark, an empty line, or where something was
    taken out of the text (control character 3).
    """
    one, other = either(first), either(second)
    between = r"(?:[^\w.!?\n\x03]+(?:\n[^\w.!?\n\x03]*)?|\n[^\w.!?\n\x03]*)"
    gap = rf"(?:{between}\w+){{0,{words}}}{between}"
    forward = f"{one}{gap}{other}"
    return forward if ordered else f"(?:{forward}|{other}{gap}{one})"


def either(patterns: Sequence[str], *, whole_words: bool = True) -> str:
    """One expression for any of several patterns."""
    return "(?:" + "|".join(expression(pattern, whole_words=whole_words) for pattern in patterns) + ")"


def refusal(re2: str) -> str | None:
    """What RE2 says against an expression, None if it takes it."""
    try:
        empty = pc.match_substring_regex(pa.array([""]), pattern=re2)[0].as_py()
    except pa.ArrowInvalid as error:
        return str(error).removeprefix("Invalid regular expression: ")
    return EMPTY if empty else None


def check(pattern: str) -> str:
    """The pattern itself. Raises ValueError for what RE2 refuses, and for what could never match."""
    if pattern != pattern.strip():
        raise ValueError(f"pattern {pattern!r}: begins or ends with white space; leave it away")
    problem = refusal(expression(pattern, whole_words=False))
    if problem:
        raise ValueError(
            f"pattern {pattern!r}: RE2 refuses it: {problem} (RE2 has no lookaround and no backreference)"
            if problem != EMPTY
            else f"pattern {pattern!r}: {EMPTY}"
        )
    if any(token == "(" or (token[0] == "(" and token[-1] == ">") for token in tokens(pattern)):
        raise ValueError(f"pattern {pattern!r}: write groups as (?:...); this one captures")
    return pattern


def unfolded(pattern: str) -> str | None:
    """The literal part of a pattern that no normalised text can hold (upper case, full width), if any."""
    for token in tokens(pattern):
        literal = "" if token[0] == "\\" or token.startswith("(?") else _CLASS_PART.sub("", token)
        if unicodedata.normalize("NFKC", literal).casefold() != literal:
            return token
    return None


def alternatives(parts: Sequence[str]) -> Iterator[list[str]]:
    """The tokens of each alternative outside of all groups."""
    depth, branch = 0, list[str]()
    for token in parts:
        depth += (token.startswith("(") and token[-1] != ")") - (token == ")")
        if token == "|" and depth == 0:
            yield branch
            branch = []
        else:
            branch.append(token)
    yield branch


Pattern = Annotated[str, StringConstraints(min_length=2, max_length=LONGEST), AfterValidator(check)]
