"""One result under our names: its key, its text, its numbers; what has no name here is `meta`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from nla_ray.imports.controls import ForeignError, control_in
from nla_ray.imports.formats.records import Record
from nla_ray.imports.shapes import RAW, TEXT, something_else
from nla_ray.imports.values import UnusableError, Values
from nla_ray.tables import REAL

POSITION = ("unpadded_pos", "pos", "position", "token_index")
SAMPLE = ("rollout", "sample_index")
PARSED = ("av_parsed", "parsed_explanation_tag", "parsed")
UNPARSED = ("not_parsed", "unparsed", "parse_failed")
SPECIAL = ("is_special_token", "special_token", "is_special")
"""Names under which tools keep one thing; the first that has a value counts, further ones are `meta`."""

NUMBERS = {
    "norm": ("vec_norm", "activation_norm", "norm", "l2_norm"),
    "cos": ("cos", "cosine_similarity", "cosine"),
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

_MARK = re.compile(
    r"[\[(<]\W*(?:(?P<unparsed>not[ _-]parsed|unparsed|parse[ _-](?:error|failed|failure))"
    r"|(?P<special>special[ _-]token))\W*[\])>]",
    re.IGNORECASE,
)
"""A word in brackets that a tool writes where it has no explanation."""


@dataclass(frozen=True)
class Entry:
    """One result. `problem` says why it is no answer; `unreadable` that not even its key is known.

    `document` is the file's word for it, `numbered` where that is a number among its own. `foreign` says why
    the whole file must not be imported.
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
    special: bool = False
    finish_reason: str | None = None
    problem: str | None = None
    unreadable: bool = False
    foreign: str | None = None


def entry_of(record: Record, words: Mapping[str, str] | None = None) -> Entry:
    """The record with its values under our names; never raises for the record's own faults.

    `words` says which of our controls the tool's own words for them mean.
    """
    if isinstance(record.values, str):
        return _unreadable(record, record.values, {})
    try:
        return _entry(record, Values(record.values), words or {})
    except UnusableError as error:
        return _unreadable(record, str(error), record.values)
    except ForeignError as error:
        return replace(_unreadable(record, str(error), record.values), foreign=str(error))


def _entry(record: Record, rest: Values, words: Mapping[str, str]) -> Entry:
    what = something_else(rest.values.keys())
    if what is not None:
        raise ForeignError(what)
    key, control = control_in(rest.values, words)
    if key is not None and rest.values[key] == control:
        rest.take(key)
    document, numbered = rest.document()
    position, sample = rest.key(POSITION, MAX_POSITION), rest.key(SAMPLE, MAX_SAMPLE)
    columns: dict[str, Any] = {name: rest.number(*names) for name, names in NUMBERS.items()}
    if columns["mse_nrm"] is None:
        columns["mse_nrm"] = rest.mse(columns["cos"])
    columns |= {name: rest.integer(names, below) for name, (names, below) in INTEGERS.items()}
    columns |= {name: rest.string(*names) for name, names in STRINGS.items()}
    text, raw, marks = rest.string(*TEXT), rest.string(*RAW), _marks(rest)
    finish_reason = rest.one_of(_FINISHED, "finish_reason")
    if text is not None and (mark := _MARK.fullmatch(text.strip())):
        text, marks = None, marks | {key: True for key, found in mark.groupdict().items() if found}
    return Entry(
        record,
        columns,
        rest.left(),
        document=document,
        numbered=numbered,
        position=position,
        control=control,
        sample=sample,
        text=text,
        raw=raw,
        parsed=False if marks["unparsed"] else marks["parsed"],
        special=bool(marks["special"]),
        finish_reason=finish_reason,
        problem=rest.wrong_text() if text is None and raw is None and not marks["unparsed"] else None,
    )


def _marks(rest: Values) -> dict[str, bool | None]:
    """What the tool says of the answer beside its text; `unparsed` is that it found no explanation in it."""
    parsed, unparsed = rest.boolean(*PARSED), rest.boolean(*UNPARSED)
    return {
        "parsed": parsed,
        "unparsed": unparsed or parsed is False,
        "special": rest.boolean(*SPECIAL),
    }


def _unreadable(record: Record, problem: str, meta: Mapping[str, Any]) -> Entry:
    none = dict.fromkeys((*NUMBERS, *INTEGERS, *STRINGS))
    return Entry(record, none, meta, problem=problem, unreadable=True)
