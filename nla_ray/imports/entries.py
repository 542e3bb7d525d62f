"""One result under our names: its key, its text, its numbers; what has no name here is `meta`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nla_ray.imports.records import Record
from nla_ray.nla.outcomes import storable
from nla_ray.tables import CONTROLS, REAL

DOCUMENT = ("doc_id", "prompt_idx", "sample_idx")
POSITION = ("unpadded_pos", "pos", "position", "token_index")
SAMPLE = ("rollout", "sample_index")
TEXT = ("explanation", "nla_output")
RAW = ("raw", "raw_text", "raw_nla_output", "raw_av_text")
PARSED = ("av_parsed", "parsed_explanation_tag")
"""Names under which tools keep one thing; the first that has a value counts, further ones are `meta`."""

NUMBERS = {
    "norm": ("vec_norm", "activation_norm", "norm"),
    "cos": ("cos",),
    "mse_nrm": ("mse_nrm",),
    "fve_nrm": ("fve_nrm",),
}
INTEGERS = {
    "token_id": (("token_id",), 2**31),
    "doc_tokens": (("seq_len", "doc_tokens"), 2**31),
    "layer": (("layer",), 2**15),
    "n_tokens": (("n_tokens",), 2**31),
}
STRINGS = {"token": ("token", "token_text", "token_str"), "role": ("role",)}

MAX_POSITION, MAX_SAMPLE = 2**31 - 1, 2**15 - 1
_FINISHED = ("stop", "length")


@dataclass(frozen=True)
class Entry:
    """One result. `problem` says why it is no answer; `unreadable` that not even its key is known.

    `document` is the file's word for it, `numbered` where that is a number among its own.
    """

    record: Record
    columns: Mapping[str, Any]
    meta: Mapping[str, Any]
    document: str | None = None
    numbered: bool = False
    position: int | None = None
    control: str = REAL
    sample: int | None = None
    text: str | None = None
    raw: str | None = None
    parsed: bool | None = None
    finish_reason: str | None = None
    problem: str | None = None
    unreadable: bool = False


def entry_of(record: Record) -> Entry:
    """The record with its values under our names; never raises for the record's own faults."""
    if isinstance(record.values, str):
        return _unreadable(record, record.values, {})
    rest = _Rest(record.values)
    try:
        return _entry(record, rest)
    except _UnusableError as error:
        return _unreadable(record, str(error), record.values)


def _entry(record: Record, rest: _Rest) -> Entry:
    key, document = rest.document()
    position, control, sample = rest.key(POSITION, MAX_POSITION), rest.control(), rest.key(SAMPLE, MAX_SAMPLE)
    columns: dict[str, Any] = {name: rest.number(*names) for name, names in NUMBERS.items()}
    columns |= {name: rest.integer(names, below) for name, (names, below) in INTEGERS.items()}
    columns |= {name: rest.string(*names) for name, names in STRINGS.items()}
    text, raw = rest.string(*TEXT), rest.string(*RAW)
    parsed, finish_reason = rest.boolean(*PARSED), rest.one_of(_FINISHED, "finish_reason")
    return Entry(
        record,
        columns,
        rest.left(),
        document=document,
        numbered=key not in (None, "doc_id"),
        position=position,
        control=control,
        sample=sample,
        text=text,
        raw=raw,
        parsed=parsed,
        finish_reason=finish_reason,
        problem=rest.wrong_text() if text is None and raw is None else None,
    )


def _unreadable(record: Record, problem: str, meta: Mapping[str, Any]) -> Entry:
    none = dict.fromkeys((*NUMBERS, *INTEGERS, *STRINGS))
    return Entry(record, none, meta, problem=problem, unreadable=True)


class _UnusableError(Exception):
    """A part of the key is not what it must be."""


class _Rest:
    """Values of a record that are taken out one by one; what is not taken, or cannot be used, stays."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self._taken: set[str] = set()

    def left(self) -> dict[str, Any]:
        """What nobody took, without nulls."""
        there = ((key, value) for key, value in self.values.items() if not _missing(value))
        return {key: value for key, value in there if key not in self._taken}

    def document(self) -> tuple[str | None, str | None]:
        """The key that names the document, and its name."""
        name = self._first(DOCUMENT)
        if name is None:
            return None, None
        value = self.values[name]
        if isinstance(value, float):
            value = _integer(value)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise _UnusableError(
                f"{name}: found {_short(self.values[name])} where a name or a number belongs"
            )
        self._taken.add(name)
        return name, storable(str(value))

    def key(self, names: tuple[str, ...], highest: int) -> int | None:
        """A number of the key."""
        name = self._first(names)
        if name is None:
            return None
        value = _integer(self.values[name])
        if value is None or not 0 <= value <= highest:
            raise _UnusableError(f"{name}: found {_short(self.values[name])} where 0 to {highest} is allowed")
        self._taken.add(name)
        return value

    def control(self) -> str:
        """`real` unless the record names a control; `kind: none` is no control, `control: none` is."""
        for name, allowed in (("control", (*CONTROLS, REAL)), ("kind", (*CONTROLS[:-1], REAL))):
            value = self.values.get(name)
            if isinstance(value, str) and value in allowed:
                self._taken.add(name)
                return value
        return REAL

    def number(self, *names: str) -> float | None:
        """A finite number; NaN and infinity are none, and anything else stays where it is."""
        name = self._first(names)
        value = None if name is None else _number(self.values[name])
        if name is None or value is None:
            return None
        self._taken.add(name)
        return value if math.isfinite(value) and abs(value) < _FLOAT32_END else None

    def integer(self, names: tuple[str, ...], below: int) -> int | None:
        """An integer from 0 to below `below`."""
        name = self._first(names)
        value = None if name is None else _integer(self.values[name])
        if name is None or value is None or not 0 <= value < below:
            return None
        self._taken.add(name)
        return value

    def string(self, *names: str) -> str | None:
        """A text, with what UTF-8 cannot hold replaced."""
        name = self._first(names)
        if name is None or not isinstance(self.values[name], str):
            return None
        self._taken.add(name)
        return storable(self.values[name])

    def boolean(self, *names: str) -> bool | None:
        """True or false."""
        name = self._first(names)
        if name is None or not isinstance(self.values[name], bool):
            return None
        self._taken.add(name)
        return bool(self.values[name])

    def one_of(self, allowed: tuple[str, ...], name: str) -> str | None:
        """A text that is one of the allowed ones."""
        return self.string(name) if self.values.get(name) in allowed else None

    def wrong_text(self) -> str:
        """What is in the place of the explanation that is not there."""
        name = self._first(TEXT)
        if name is None:
            return "no explanation"
        return f"{name}: found {type(self.values[name]).__name__} where text belongs"

    def _first(self, names: tuple[str, ...]) -> str | None:
        return next((name for name in names if not _missing(self.values.get(name))), None)


_FLOAT32_END = 3.4028235677973366e38
"""From here on a number is infinite as a 32-bit float."""


def _missing(value: object) -> bool:
    """Null, or the NaN that data frames write for it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
    except OverflowError:
        return math.inf


def _integer(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return int(value) if int(value) == float(value) or isinstance(value, int) else None
    except (ValueError, OverflowError):
        return None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
