"""Planted truth: what documents say of themselves, and how often explanations name it, beside chance."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from nla_ray.tables import REAL

TRUTH = "truth"
"""The demo world's column: each property's value, and in `shown` the token from which on it has been said."""


@dataclass(frozen=True)
class Property:
    """A planted property and how explanations name its values."""

    name: str
    phrases: Mapping[str, Sequence[str]]
    """By value; one of them in a text names it."""
    anywhere: bool = False
    """Whether they count in all of a text; else in its first paragraph."""
    apart: tuple[str, ...] = ()
    """Values that are scored each by itself; none: the property is scored as a whole."""
    column: str | None = None
    """A corpus's own column with the value, which holds for all of a document; phrases are then whole words
    in any case. None: the value is in `TRUTH`."""

    def said_in(self, text: str) -> str | None:
        """The value that a text names; None where it names none, or more than one."""
        where = text if self.anywhere else text.split("\n\n")[0]
        hits = [value for value, said in self.phrases.items() if any(self._is_in(where, one) for one in said)]
        return hits[0] if len(hits) == 1 else None

    def _is_in(self, where: str, phrase: str) -> bool:
        if self.column is None:
            return phrase in where
        return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", where, re.IGNORECASE) is not None


@dataclass(frozen=True)
class Judged:
    """One explanation and its document: what the document says in all, what it had shown, what was named."""

    truth: Mapping[str, str]
    shown: frozenset[str]
    named: Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """What is scored under one name: a property, or one value of it."""

    name: str
    prop: str
    value: str | None = None

    def counts(self, row: Judged) -> bool:
        """Whether the row should name it."""
        return self.prop in row.shown and self.value in (None, row.truth[self.prop])

    def claimed(self, row: Judged) -> bool:
        """Whether the row names it."""
        return self.prop in row.named and self.value in (None, row.named[self.prop])

    def right(self, row: Judged) -> bool:
        """Whether what the row names is so."""
        return row.named.get(self.prop) == row.truth[self.prop]


@dataclass(frozen=True)
class Vocabulary:
    """The properties that were planted in a corpus."""

    properties: tuple[Property, ...]

    def asked(self) -> list[Asked]:
        """What is scored, in the properties' order."""
        return [
            asked
            for one in self.properties
            for asked in [Asked(value, one.name, value) for value in one.apart] or [Asked(one.name, one.name)]
        ]

    def named(self, text: str) -> dict[str, str]:
        """What an explanation names, by property.

        Text that names two values of one property (a muddled explanation) names neither.
        """
        named = {one.name: one.said_in(text) for one in self.properties}
        return {name: value for name, value in named.items() if value is not None}

    def judged(self, position: int | None, explanation: str | None, meta: str | None) -> Judged | None:
        """An explanation beside the `meta` of its document; None where that has no such truth.

        Any corpus may have a column of that name. Without a position it is not known what had been shown.
        """
        if any(one.column is not None for one in self.properties):
            return self._by_columns(explanation or "", meta)
        truth = _truth_of(meta)
        names = [one.name for one in self.properties]
        if position is None or not all(isinstance(truth.get(name), str) for name in names):
            return None
        if not isinstance(first := truth.get("shown"), dict):
            return None
        shown = (name for name in names if isinstance(first.get(name), int) and position >= first[name])
        return Judged({name: truth[name] for name in names}, frozenset(shown), self.named(explanation or ""))

    def _by_columns(self, explanation: str, meta: str | None) -> Judged | None:
        """The same by a corpus's own columns; a property whose value is none of its own is not asked."""
        held, truth = _held(meta), {}
        for one in self.properties:
            value = held.get(one.column or "")
            said = value if isinstance(value, str) else json.dumps(value)
            if said in one.phrases:
                truth[one.name] = said
        named = {name: value for name, value in self.named(explanation).items() if name in truth}
        return Judged(truth, frozenset(truth), named) if truth else None


def _held(meta: str | None) -> dict[str, Any]:
    held = json.loads(meta or "{}")
    return held if isinstance(held, dict) else {}


def _truth_of(meta: str | None) -> dict[str, Any]:
    truth = _held(meta).get(TRUTH)
    return truth if isinstance(truth, dict) else {}


@dataclass(frozen=True)
class PropertyScore:
    """How well one planted property is named.

    `recall`: share of the `n` explanations whose document had shown the property that name its value.
    `precision`: share of the explanations naming a value whose document has it (None when none does).
    `chance`: the recall of the same explanations dealt out to documents at random.
    """

    prop: str
    n: int
    recall: float
    precision: float | None
    chance: float


def score(rows: Sequence[Judged], vocabulary: Vocabulary) -> list[PropertyScore]:
    """Of everything that is asked, in its order."""
    return [_scored(asked, rows) for asked in vocabulary.asked()]


def _scored(asked: Asked, rows: Sequence[Judged]) -> PropertyScore:
    shown = [row for row in rows if asked.prop in row.shown]
    where = [row for row in shown if asked.counts(row)]
    claims = [row for row in rows if asked.claimed(row)]
    said = Counter(row.named.get(asked.prop) for row in shown)
    true = Counter([asked.value] if asked.value else [row.truth[asked.prop] for row in shown])
    by_chance = sum(n * said[value] for value, n in true.items())
    return PropertyScore(
        asked.name,
        len(where),
        _share(sum(map(asked.right, where)), len(where)),
        sum(map(asked.right, claims)) / len(claims) if claims else None,
        _share(by_chance, true.total() * len(shown)),
    )


def _share(k: int, n: int) -> float:
    return k / n if n else 0.0


def score_table(table: pa.Table, vocabulary: Vocabulary) -> dict[str, list[PropertyScore]]:
    """Scores per control ("real" first) of an `explanations` table; none of rows without a truth.

    A control's explanation is judged against the document it stands beside, as everything else about it is.
    """
    found: dict[str, list[Judged]] = {}
    for row in table.select(["control", "position", "explanation", "meta"]).to_pylist():
        one = vocabulary.judged(row["position"], row["explanation"], row["meta"])
        if one is not None:
            found.setdefault(row["control"], []).append(one)
    order = sorted(found, key=lambda control: (control != REAL, control))
    return {control: score(found[control], vocabulary) for control in order}
