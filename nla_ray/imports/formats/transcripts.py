"""Text transcripts of the reference repository: a header, then rows of one position each.

A row is `[ i]  PROMPT|REPLY  token='...'  ||v||=F  mse_nrm=F  cos=F  fve_nrm=F` and then the explanation,
indented.
What follows the rows (a summary, further samples of one position) is not in this grammar and not read.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator

Record = dict[str, object]

_START = re.compile(r"\[\s*\d+\]\s+(?:PROMPT|REPLY)\b")
_ROW = re.compile(
    r"\[\s*(?P<pos>\d+)\]\s+(?P<section>PROMPT|REPLY)\s+token=(?P<token>.*?)[ \t]{1,8}\|\|v\|\|=(?P<norm>\S+)"
    r"\s+mse_nrm=(?P<mse_nrm>\S+)\s+cos=(?P<cos>\S+)\s+fve_nrm=(?P<fve_nrm>\S+)\s*"
)
_FACTS = {
    "av": re.compile(r"AV checkpoint:\s+(\S+)\s*"),
    "ar": re.compile(r"AR checkpoint:\s+(\S+)\s*"),
    "target": re.compile(r"Extraction model:\s+(\S+)\s*"),
    "layer": re.compile(r"Extraction:\s+layer (\d{1,5})\b.*"),
    "fve_baseline": re.compile(r"fve_nrm:\s+1 - mse_nrm / (\d+\.\d+)\b.*"),
}
_INDENT = 4


def is_transcript(head: str) -> bool:
    """Whether a line of the text begins as a row does."""
    return any(_START.match(line) for line in head.splitlines())


def header(lines: Iterable[str]) -> Record:
    """What the lines before the first row say: `target`, `av`, `ar`, `layer`, `fve_baseline`."""
    found: Record = {}
    for line in lines:
        if _START.match(line):
            break
        for name, pattern in _FACTS.items():
            if match := pattern.fullmatch(line):
                found.setdefault(name, match[1])
    numbers = {"layer": int, "fve_baseline": float}
    return {name: numbers.get(name, str)(str(value)) for name, value in found.items()}


def rows(lines: Iterable[str]) -> Iterator[tuple[int, Record | str]]:
    """Rows with the number of their first line, from 1; what begins as a row and is none is said instead."""
    number, row, text = 0, None, list[str]()
    for at, line in enumerate(lines, start=1):
        if _START.match(line):
            if row is not None:
                yield number, _finished(row, text)
            number, row, text = at, _row(line), []
        elif row is not None and (not line.strip() or line[0] in " \t"):
            text.append(_dedented(line))
        elif row is not None:
            yield number, _finished(row, text)
            row = None
    if row is not None:
        yield number, _finished(row, text)


def _row(line: str) -> Record | str:
    match = _ROW.fullmatch(line)
    if match is None:
        return f"not a row of a transcript: {line[:80]!r}"
    role = {"role": "assistant"} if match["section"] == "REPLY" else {}
    return match.groupdict() | {"token": _token(match["token"])} | role


def _finished(row: Record | str, text: list[str]) -> Record | str:
    return row if isinstance(row, str) else row | {"explanation": "\n".join(text).strip()}


def _token(quoted: str) -> str:
    """A token as it was written by `repr`, or between quotes that nothing is escaped in."""
    if len(quoted) < 2 or quoted[0] != quoted[-1] or quoted[0] not in "'\"":
        return quoted
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an escape that `repr` does not write
            token = ast.literal_eval(quoted)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        token = None
    return token if isinstance(token, str) else quoted[1:-1]


def _dedented(line: str) -> str:
    return line[_INDENT:] if line[:_INDENT].isspace() else line.strip()
