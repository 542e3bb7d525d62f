"""What a disturbed run left, held against what a calm one leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import pytest

from nla_ray.store import verify
from nla_ray.tables import REAL
from tests.decoded import Row, rows_of, select

Key = tuple[str, int]

OF_NEIGHBOURS = ("shuffled", "mean")
"""Controls that are drawn among the documents of a unit, and so depend on which are left out."""

PASSING = frozenset({"stray"})
"""What `verify` may find after a fault: a file that a killed writer left and nobody reads."""


@dataclass(frozen=True)
class Verdict:
    """Rows that were planned, of them lost, there twice, other than in a calm run; and what else is wrong."""

    planned: int
    lost: int
    duplicated: int
    wrong: int
    problems: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether nothing is."""
        return (self.lost, self.duplicated, self.wrong, self.problems) == (0, 0, 0, ())


def judge(
    tables: str, calm: list[Row], poisoned: Collection[str] = (), failed: Collection[str] = ()
) -> Verdict:
    """Compare; documents that are `poisoned` must be in quarantine, all rows of those that are `failed` must
    have failed with a reason, and all others must be as if nothing had been."""
    made = rows_of(tables)
    aside = [row for row in rows_of(tables, "failures") if row["outcome"] == "quarantined"]
    there = Counter(map(_key, [*made, *aside]))
    expected = {_key(row): row for row in calm}
    problems = [f"{one.kind}: {one.subject}" for one in verify(tables) if one.kind not in PASSING]
    if {row["doc_id"] for row in aside} != set(poisoned):
        problems.append(f"in quarantine: {sorted({row['doc_id'] for row in aside})}")
    (planned,) = select(tables, "SELECT sum(rows + quarantined)::BIGINT AS n FROM runs")
    if planned["n"] != there.total():
        problems.append(f"the run counts {planned['n']} rows, {there.total()} are there")
    return Verdict(
        planned=len(expected),
        lost=len(expected.keys() - there.keys()),
        duplicated=there.total() - len(there),
        wrong=len(there.keys() - expected.keys())
        + sum(not _same(row, expected[_key(row)], poisoned, failed) for row in made if _key(row) in expected),
        problems=tuple(problems),
    )


def _key(row: Row) -> Key:
    return row["row_id"], row["sample"]


def judge_real(tables: str, calm: list[Row], others: int) -> Verdict:
    """Compare the real rows of the usual documents where the corpus held more than them.

    So many rows of `others` must have failed, each with its reason.
    """
    usual = {row["doc_id"] for row in calm}
    expected = {_key(row): row for row in calm if row["control"] == REAL}
    made = [row for row in rows_of(tables) if row["doc_id"] in usual and row["control"] == REAL]
    there = Counter(map(_key, made))
    (found,) = select(
        tables, "SELECT count(*) AS n, count(reason) AS said FROM failures WHERE control = 'real'"
    )
    problems = [f"{one.kind}: {one.subject}" for one in verify(tables) if one.kind not in PASSING]
    if found != {"n": others, "said": others}:
        problems.append(f"{found['n']} rows failed, {found['said']} with a reason, {others} were expected to")
    return Verdict(
        planned=len(expected) + others,
        lost=len(expected.keys() - there.keys()),
        duplicated=there.total() - len(there),
        wrong=sum(not _same(row, expected[_key(row)], (), ()) for row in made if _key(row) in expected),
        problems=tuple(problems),
    )


def _same(row: Row, calm: Row, poisoned: Collection[str], failed: Collection[str]) -> bool:
    """Whether a row is that of a calm run; sums may differ in their last digits between machines."""
    if row["doc_id"] in failed:
        # What is injected for some controls is not its own vector, and can be explained; it has no score.
        told = row["control"] != REAL and row["cos"] is None
        return told or (row["outcome"] == "failed" and bool(row["reason"]))
    if (poisoned or failed) and row["control"] in OF_NEIGHBOURS:
        return True
    apart = {"run_id", "unit_id"} | ({"fve_nrm"} if poisoned or failed else set())
    return all(_equal(row[name], calm[name]) for name in row.keys() - apart)


def _equal(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return bool(one == pytest.approx(other, rel=0, abs=1e-5, nan_ok=True))
    return one == other
