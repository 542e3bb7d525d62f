"""Planted-truth scores: how often explanations name what was planted, beside chance."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from nla_ray.demo import world

PLAIN = ("topic", "item", "mood")


@dataclass(frozen=True)
class Judged:
    """One explanation and its document: what the document says in all, what it had shown, what was named."""

    truth: Mapping[str, str]
    shown: frozenset[str]
    named: Mapping[str, str]


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


def score(rows: Sequence[Judged]) -> list[PropertyScore]:
    """Topic, item and mood, then every safety property that occurs, in the world's order."""
    scores = [_multiclass(prop, rows) for prop in PLAIN]
    return [*scores, *(_one_value(value, rows) for value in world.safety_properties())]


def mean_safety(scores: Sequence[PropertyScore]) -> tuple[float, float]:
    """Mean recall and mean precision over the safety properties (a property never named has precision 0)."""
    safety = [one for one in scores if one.prop not in PLAIN]
    return sum(s.recall for s in safety) / len(safety), sum(s.precision or 0.0 for s in safety) / len(safety)


def _multiclass(prop: str, rows: Sequence[Judged]) -> PropertyScore:
    where = [row for row in rows if prop in row.shown]
    hits = sum(row.named.get(prop) == row.truth[prop] for row in where)
    claims = [row for row in rows if prop in row.named]
    right = sum(row.named[prop] == row.truth[prop] for row in claims)
    true, said = Counter(row.truth[prop] for row in where), Counter(row.named.get(prop) for row in where)
    chance = sum(true[value] * said[value] for value in true)
    return PropertyScore(
        prop, len(where), _share(hits, len(where)), right / len(claims) if claims else None,
        _share(chance, len(where) ** 2),
    )  # fmt: skip


def _one_value(value: str, rows: Sequence[Judged]) -> PropertyScore:
    shown = [row for row in rows if "safety" in row.shown]
    where = [row for row in shown if row.truth["safety"] == value]
    claims = [row for row in rows if row.named.get("safety") == value]
    return PropertyScore(
        value, len(where),
        _share(sum(row.named.get("safety") == value for row in where), len(where)),
        sum(row.truth["safety"] == value for row in claims) / len(claims) if claims else None,
        _share(sum(row.named.get("safety") == value for row in shown), len(shown)),
    )  # fmt: skip


def _share(k: int, n: int) -> float:
    return k / n if n else 0.0


def score_table(table: pa.Table) -> dict[str, list[PropertyScore]]:
    """Scores per control ("real" first) of an `explanations` table whose `meta` column holds the demo truth.

    A control's explanation is judged against the document it stands beside, as everything else about it is.
    """
    columns = table.select(["control", "position", "explanation", "meta"]).to_pylist()
    found: dict[str, list[Judged]] = {}
    for row in columns:
        one = judged(row["position"], row["explanation"], row["meta"])
        if one is not None:
            found.setdefault(row["control"], []).append(one)
    order = sorted(found, key=lambda control: (control != "real", control))
    return {control: score(found[control]) for control in order}


def judged(position: int | None, explanation: str | None, meta: str | None) -> Judged | None:
    """A row of that table; None where its corpus had no truth or its position is not known."""
    truth = json.loads(meta or "{}").get("truth")
    if truth is None or position is None:
        return None
    shown = frozenset(prop for prop, first in truth["shown"].items() if position >= first)
    return Judged(truth, shown, world.named(explanation or ""))
