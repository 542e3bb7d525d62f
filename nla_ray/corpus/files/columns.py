"""The columns that are wanted of a corpus file, and what is wrong with those that it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from nla_ray.corpus.files.recognise import refuse_transcript
from nla_ray.corpus.files.values import may_be_id
from nla_ray.errors import InputError

_OF_MESSAGES = frozenset({"role", "from", "content", "value"})
"""A message has some of these keys in every shape."""


class Columns:
    """The columns that are wanted of each file, and the check that a file has them."""

    def __init__(
        self,
        wanted: Sequence[str],
        *,
        needed: Sequence[str],
        one_of: Sequence[str] = (),
        optional: Sequence[str] = (),
        ids: Sequence[str] = (),
        vector: str | None = None,
    ) -> None:
        """`wanted` may hold `"*"`; `needed` must all be there, of `one_of` at least one; `ids` are ids."""
        self._wanted, self._needed, self._one_of = tuple(wanted), tuple(needed), tuple(one_of)
        self._ids = tuple(ids)
        self._read = {*wanted, *one_of, *optional}
        self.vector = vector

    def check(self, label: str, there: Sequence[str], *, declared: bool = False, hint: str = "") -> list[str]:
        """The wanted columns among those that are there; a file that declares its columns must have them all.

        Raises InputError naming the missing column and those that there are.
        """
        needed = [*self._needed, *(() if any(name in there for name in self._one_of) else self._one_of)]
        if declared:
            needed += [name for name in self._wanted if name != "*"]
        for name in needed:
            if name not in there:
                columns = ", ".join(there) or "none"
                raise InputError(f"{label}: no column {name!r}; the columns are {columns:.500}{hint}")
        return [name for name in there if "*" in self._wanted or name in self._read]

    def check_row(self, label: str, row: Mapping[str, Any]) -> None:
        """Raise InputError where a row shows that its file has other columns, or is no corpus at all."""
        refuse_transcript(label, row)
        self.check(label, list(row), hint=self._inside(label, row))

    def check_schema(self, label: str, schema: pa.Schema) -> list[str]:
        """`check` for a file with declared columns. Raises InputError also for types that cannot be used."""
        names = self.check(label, schema.names, declared=True)
        for name in names:
            if schema.names.count(name) > 1:
                raise InputError(f"{label}: two columns are called {name!r}; give one of them another name")
            kind = schema.field(name).type
            if name in self._ids and not may_be_id(kind):
                raise InputError(
                    f"{label}: column {name!r} is {kind!s:.200}; an id is text, a whole number or a UUID: "
                    "cast it, or name another column in corpus.id"
                )
        return names

    def _inside(self, label: str, row: Mapping[str, Any]) -> str:
        """Where in a row the wanted columns may be, for what is named is a key of the row itself."""
        for name in (*self._needed, *self._one_of):
            outer, dot, inner = name.partition(".")
            if dot and name not in row and isinstance(row.get(outer), Mapping):
                return f"; a column is a key of the row itself, and {inner!r} lies inside of {outer!r}"
        missing = {name for name in (*self._needed, *self._one_of) if name not in row}
        for name, value in row.items():
            if not (isinstance(value, list) and value and isinstance(value[0], Mapping)):
                continue
            if missing and missing <= value[0].keys() and name.isidentifier():
                return f"; if {name!r} holds the rows, make lines of them: jq -c '.{name}[]' {label}"
            if missing & {*self._one_of} and value[0].keys() & _OF_MESSAGES:
                return f"; if {name!r} holds the chats: corpus.messages: {name}"
        return ""
