"""Where units end: by number alone, or where the documents say."""

from __future__ import annotations

import random
from itertools import accumulate

import pytest

from nla_ray.corpus.documents.cut import Cut
from nla_ray.ids import digest

Unit = tuple[str, ...]


def units(documents: list[str], most: int, by: str = "content") -> list[Unit]:
    cut, found, unit = Cut(by, most), list[Unit](), list[str]()  # type: ignore[arg-type]
    for one in documents:
        unit.append(one)
        if cut.after(one):
            found, unit = [*found, tuple(unit)], []
    return [*found, tuple(unit)] if unit else found


def some(name: str, n: int) -> list[str]:
    return [digest(name, number) for number in range(n)]


def test_by_count_every_unit_but_the_last_is_full() -> None:
    assert [len(unit) for unit in units(some("a", 23), 5, "count")] == [5, 5, 5, 5, 3]


@pytest.mark.parametrize("most", [1, 2, 3, 32, 128])
def test_by_content_a_unit_has_half_to_all_of_the_most(most: int) -> None:
    found = units(some("a", 100 * most), most)
    sizes = [len(unit) for unit in found[:-1]]
    assert min(sizes) >= most / 2 and max(sizes) <= most
    assert [one for unit in found for one in unit] == some("a", 100 * most)


@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_new_documents_move_only_the_units_beside_them(where: float) -> None:
    before, new = some("a", 4000), some("new", 1000)
    at = int(where * len(before))
    now = units([*before[:at], *new, *before[at:]], 32)
    same = set(now) & set(units(before, 32))
    assert len(same) >= 0.75 * len(now)
    gone = units(before[:at] + before[at + 1000 :], 32)
    assert len(set(gone) & set(units(before, 32))) >= len(gone) - 10


def test_by_count_they_move_all_that_follow() -> None:
    before = some("a", 4000)
    assert not set(units(["new", *before], 32, "count")) & set(units(before, 32, "count"))


def test_a_few_scattered_changes_leave_most_units() -> None:
    before, rng = some("a", 4000), random.Random(0)
    after = list(before)
    for at in rng.sample(range(len(after)), 20):
        after[at] = digest("changed", at)
    ends = list(accumulate(map(len, units(after, 32))))
    assert ends[-1] == 4000 and len(set(units(after, 32)) & set(units(before, 32))) >= 0.75 * len(ends)
