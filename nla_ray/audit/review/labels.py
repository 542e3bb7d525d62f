"""Labels of hits from a CSV file, which people have edited: refused wherever it cannot be right."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from nla_ray.errors import InputError
from nla_ray.ids import digest
from nla_ray.text import printable

Verdict = Literal["true", "false", "unclear"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
NEEDED = ("hit", "verdict", "reviewer")
SHOWN_PROBLEMS = 3
_REVIEW_CHARS = 12


@dataclass(frozen=True)
class Label:
    """What a reviewer says of a hit."""

    hit: str
    verdict: Verdict
    reviewer: str
    note: str = ""


@dataclass(frozen=True)
class _Line:
    number: int
    label: Label
    text: str | None


def hit_id(review_id: str, detector: str, row_id: str, sample: int) -> str:
    """Id of what is asked about; its beginning says in which review."""
    return f"{review_id[:_REVIEW_CHARS]}-{digest('hit', review_id, detector, row_id, sample)[:20]}"


def read_labels(data: bytes, name: str, review_id: str, hits: Mapping[str, str]) -> tuple[Label, ...]:
    """The labels in a file called `name`; `hits` are those of the review by id, with the text that was shown.

    Columns: `hit`, `verdict` (true, false, unclear; empty: not judged yet, and left out), `reviewer` and, if
    given, `note` and `text`; others are not read. Where there is a `text`, it must be the one that was shown.
    A label that stands there twice counts once. Raises InputError, which names hits and lines: for what is no
    such table, hits of another review or of none, a text that was edited, two verdicts of one reviewer.
    """
    problems: list[str] = []
    lines = list(_lines(_rows(data, name), name, problems))
    for line in lines:
        problems.extend(_of_the_hit(line, review_id, hits))
    problems.extend(_contradictions(lines))
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        shown = "; ".join(problems[:SHOWN_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
        raise InputError(f"{name}: {shown}; correct that and import the file again")
    return tuple({_who(one.label): one.label for one in lines}.values())


def _rows(data: bytes, name: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line that each begins on; a spreadsheet may have saved them with another separator."""
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{name}: not UTF-8 text; save it as CSV UTF-8") from None
    header = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count), strict=True)
    before = 0
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield before + 1, row
            before = reader.line_num
    except csv.Error as error:
        raise InputError(f"{name}: line {before + 1} is no CSV: {error}; save it anew as CSV") from None


def _lines(rows: Iterator[tuple[int, list[str]]], name: str, problems: list[str]) -> Iterator[_Line]:
    """Lines with a verdict; what is wrong with others is added to `problems`."""
    _, header = next(rows, (0, []))
    columns = [cell.strip().casefold() for cell in header]
    _require_columns(columns, name)
    for number, row in rows:
        if len(row) != len(columns):
            place = _place(dict(zip(columns, row, strict=False)).get("hit", ""), number)
            problems.append(f"{place}: {len(row)} cells, the header has {len(columns)}")
            continue
        found = dict(zip(columns, row, strict=True))
        given = found["verdict"].strip().casefold()
        verdict = next((one for one in VERDICTS if one == given), None)
        hit, reviewer = found["hit"].strip(), found["reviewer"].strip()
        if not given:
            continue
        if verdict is None:
            problems.append(
                f"{_place(hit, number)}: verdict {given[:20]!r}, allowed are {', '.join(VERDICTS)}"
            )
        elif not reviewer:
            problems.append(f"{_place(hit, number)}: no reviewer")
        else:
            yield _Line(
                number, Label(hit, verdict, reviewer, found.get("note", "").strip()), found.get("text")
            )


def _require_columns(columns: Sequence[str], name: str) -> None:
    if missing := [one for one in NEEDED if one not in columns]:
        named = printable(", ".join(columns)[:200]) or "nothing"
        raise InputError(
            f"{name}: no column {missing[0]!r}; the first line names {named}, needed are {', '.join(NEEDED)}"
        )
    if twice := [one for one in (*NEEDED, "note", "text") if columns.count(one) > 1]:
        raise InputError(f"{name}: two columns are called {twice[0]!r}; leave one")


def _of_the_hit(line: _Line, review_id: str, hits: Mapping[str, str]) -> Iterator[str]:
    hit, place = line.label.hit, _place(line.label.hit, line.number)
    if hit in hits:
        if line.text is not None and not _same(line.text, hits[hit]):
            yield f"{place}: its text was edited"
    elif hit.partition("-")[0] == review_id[:_REVIEW_CHARS]:
        yield f"{place}: is not in the sample of this review: another seed, or another detector"
    else:
        yield f"{place}: is of another review than {review_id[:_REVIEW_CHARS]}"


def _place(hit: str, number: int) -> str:
    """Where in a sheet: what a spreadsheet's reader can search for, and the line of the file."""
    return f"hit {hit.strip()[:40]!r} (line {number} of the file)"


def _same(given: str, shown: str) -> bool:
    """Ends of lines and spaces may be another tool's; what is like a formula stands behind an apostrophe."""
    return shown.split() in (given.split(), given.removeprefix("'").split())


def _contradictions(lines: Sequence[_Line]) -> Iterator[str]:
    first: dict[tuple[str, str], _Line] = {}
    for line in lines:
        label = line.label
        before = first.setdefault(_who(label), line)
        if before.label.verdict != label.verdict:
            yield (
                f"hit {label.hit!r} (lines {before.number} and {line.number} of the file): "
                f"{label.reviewer[:40]!r} says {before.label.verdict} and {label.verdict} of it"
            )


def _who(label: Label) -> tuple[str, str]:
    return label.hit, label.reviewer.casefold()
