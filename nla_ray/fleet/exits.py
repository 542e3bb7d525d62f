"""One exit code for a week of many cells."""

from __future__ import annotations

from collections.abc import Iterable

WORST_FIRST = (1, 9, 8, 5, 2, 10, 6, 7, 3, 4, 0)


def worst_of(exits: Iterable[int]) -> int:
    """The exit code of a week from those of its cells.

    In this order: a crash (1), for nothing else can be trusted then; over budget (9) and a passing fault (8),
    for then the week is not done; findings (5), which no other trouble may hide; an unusable input (2),
    nothing explained (10), quarantine over the limit (6), a missing input (7); not reportable (3), too little
    evidence (4); done (0). A code that is not known counts as a crash.
    """
    found = set(exits)
    return next((code for code in WORST_FIRST if code in found), 1 if found else 0)
