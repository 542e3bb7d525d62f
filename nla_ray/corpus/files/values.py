"""Single values of a corpus: ids as text, what is carried along as JSON, what Python cannot hold."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

from nla_ray.config.reading.corpus import FILE, Corpus
from nla_ray.corpus.files.json_rows import parse_json
from nla_ray.corpus.files.names import Partition

EXACT = 2**53
"""Beyond it a float is no exact whole number."""
_DIGITS = 100

_CANNOT = (ArithmeticError, ValueError, LookupError, TypeError, NotImplementedError, pa.ArrowException)
"""What pyarrow raises for a value that has no Python counterpart, such as a date after the year 9999."""


@dataclass(frozen=True, repr=False)
class Unreadable:
    """Stands for a value that Python cannot hold."""

    kind: str

    def __repr__(self) -> str:
        return f"a value of {self.kind} that cannot be read"


def batch_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows as Python values; what Python cannot hold is `Unreadable` by itself."""
    try:
        return list(batch.to_pylist())
    except _CANNOT:
        columns = [[_value(scalar) for scalar in column] for column in batch.columns]
        return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except _CANNOT:
        return Unreadable(str(scalar.type))


def may_be_id(kind: pa.DataType) -> bool:
    """Whether a declared type can hold ids."""
    is_a = pa.types
    if is_a.is_dictionary(kind):
        return may_be_id(kind.value_type)
    text = is_a.is_string(kind) or is_a.is_large_string(kind) or is_a.is_string_view(kind)
    number = is_a.is_integer(kind) or is_a.is_floating(kind) or is_a.is_decimal(kind)
    return bool(text or number or is_a.is_null(kind) or isinstance(kind, pa.UuidType))


def id_text(value: object) -> str | None:
    """An id as text: text as it is, whole numbers of every type without a point, UUIDs; else None."""
    if isinstance(value, float):
        value = int(value) if value.is_integer() and abs(value) <= EXACT else None
    elif isinstance(value, Decimal):
        whole = value.is_finite() and value.adjusted() < _DIGITS and value == value.to_integral_value()
        value = int(value) if whole else None
    if isinstance(value, bool) or not isinstance(value, str | int | UUID):
        return None
    text = str(value)
    return text if text.strip() and is_unicode(text) else None


def joined(parts: Sequence[str]) -> str:
    """One id of several: joined by `/`, with `%` and `/` inside a part written as in a URL."""
    if len(parts) == 1:
        return parts[0]
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)


def row_id(row: Mapping[str, Any], columns: Sequence[str], file: str) -> tuple[str, str | None]:
    """The id that a row has by these columns, or the empty text and what is wrong with it."""
    parts = []
    for column in columns:
        if column != FILE and column not in row:
            return "", lacks(row, column)
        value = file if column == FILE else row[column]
        part = id_text(value)
        if part is None:
            return "", f"{column!r} holds {value!r:.80} where an id belongs"
        parts.append(part)
    return joined(parts), None


def lacks(row: Mapping[str, Any], name: str | None) -> str:
    """That a row has no such column, and which it has."""
    keys = ", ".join(map(repr, row)) or "none"
    return f"has no {name!r}; its keys are {keys:.200}"


def lacking(row: Mapping[str, Any], corpus: Corpus) -> tuple[tuple[str, str], ...]:
    """The columns of `corpus.meta` that a row does not have, each with what `lacks` says."""
    return tuple((name, lacks(row, name)) for name in corpus.meta if name != "*" and name not in row)


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold a text: there is no lone surrogate in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def row_meta(
    row: Mapping[str, Any], corpus: Corpus, partition: Partition
) -> tuple[str | None, tuple[str, ...]]:
    """The columns of a row that are carried along, as JSON, and what is not as it was.

    The text of a vector is one of them. What our own tables carried along before, in `meta`, is carried on
    under its own names.
    """
    given = corpus.vectors
    used = {*(corpus.id or ()), corpus.text, corpus.messages}
    if corpus.messages is not None:
        used |= {corpus.system, corpus.tools}
    if given is not None:
        used = {*(corpus.id or ()), given.column, given.tokens}
    named = [name for name in corpus.meta if name != "*"]
    named += [name for name in row if name not in used] if "*" in corpus.meta else []
    named += [key for key, _ in partition]
    if given is not None and corpus.text:
        named.append(corpus.text)
    if not named:
        return None, ()
    values = {name: row[name] for name in dict.fromkeys(named) if name in row}
    if given is not None and (carried := _object(values.get("meta"))) is not None:
        del values["meta"]
        values |= carried
    return meta_json(values)


def _object(value: object) -> dict[str, Any] | None:
    """The object that a JSON text holds; None for anything else."""
    try:
        found = parse_json(value.encode(errors="surrogatepass")) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def meta_json(values: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Valid JSON of the values, and what in it is not as it was, in words.

    Numbers that are not finite and values that Python cannot hold are null; bytes are base64; decimals, dates
    and durations are text.
    """
    noted: list[str] = []
    for name, value in values.items():
        if isinstance(value, Unreadable):
            noted.append(f"{name!r:.80} holds {value}: null in meta")

    def plain(value: object) -> object:
        if isinstance(value, bytes):
            return b64encode(value).decode()
        return None if isinstance(value, Unreadable) else str(value)

    try:
        text = json.dumps(values, default=plain, ensure_ascii=False, allow_nan=False)
    except ValueError:
        names = ", ".join(repr(name) for name, value in values.items() if not _is_finite(value))
        noted.append(f"numbers in {names:.80} are not finite: null in meta")
        text = json.dumps(_finite(values), default=plain, ensure_ascii=False, allow_nan=False)
    # One lone surrogate would make every question about the whole column fail.
    return text.encode(errors="replace").decode(), tuple(noted)


def _is_finite(value: Any) -> bool:
    if isinstance(value, Mapping | list | tuple):
        return all(map(_is_finite, value.values() if isinstance(value, Mapping) else value))
    return not isinstance(value, float) or math.isfinite(value)


def _finite(value: Any) -> Any:
    """The value with null for every number in it that is not finite."""
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value if _is_finite(value) else None
