"""Which prompts are written on together: those of alike length, so that little of the work is padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Together = Callable[[int, int, int], bool]
"""(longest, own, count): whether a prompt of length `own` may be one of `count` beside the longest."""


def batches(lengths: Sequence[int], rows: int, together: Together) -> list[list[int]]:
    """Indices into `lengths`, longest first, in batches of at most `rows`; empty prompts are in none.

    A function of its arguments alone. Equal lengths keep their order.
    """
    order = sorted((index for index, length in enumerate(lengths) if length), key=lambda i: -lengths[i])
    found: list[list[int]] = []
    for index in order:
        last = found[-1] if found else []
        if last and len(last) < rows and together(lengths[last[0]], lengths[index], len(last) + 1):
            last.append(index)
        else:
            found.append([index])
    return found
